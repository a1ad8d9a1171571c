"""Choose the number format of a model (bf16 or fp32) by a self-check.

bf16 halves the time on processors that multiply it natively. It is chosen if, on a sample of
texts, every bf16 embedding has a cosine of at least 0.999 with the fp32 embedding, and no head
changes its labels for more than 1 % of the texts. The choice is made once and recorded; it is
part of the digest of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.devices import describe_processor, is_native
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.options import EncoderOptions, Precision
from behavior_spark.model.heads.head import Head

LEAST_COSINE = 0.999
MOST_LABELS_CHANGED = 0.01
SAMPLE = 256


@dataclass(frozen=True)
class PrecisionCheck:
    """Result of a self-check.

    Attributes:
        precision: The chosen format.
        reason: The reason in words.
        processor: Processor on which the check ran.
        texts: Number of texts compared.
        least_cosine: Lowest cosine between the bf16 and fp32 embeddings of a text.
        labels_changed: Share of texts whose label changed, of the head with the highest share.
        settled: False if there was no text to compare, so that a later check may choose.
    """

    precision: Precision
    reason: str
    processor: str
    texts: int = 0
    least_cosine: float | None = None
    labels_changed: float | None = None
    settled: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def check_precision(
    source: str,
    options: EncoderOptions,
    texts: Sequence[str],
    *,
    heads: Mapping[str, Head] | None = None,
    device: str | None = None,
) -> PrecisionCheck:
    """Compare bf16 with fp32 on up to 256 texts, and choose one.

    Args:
        source: Folder or ``package:`` name of the encoder.
        options: Options of the encoder; their precision is ignored.
        texts: Texts that the model will read, or similar ones.
        heads: Heads by name, to compare labels too. They may be fitted on either format.
        device: As for :meth:`Encoder.load`.

    Raises:
        ModelError: The encoder cannot be used.
    """
    fp32_encoder = Encoder.load(source, replace(options, precision="fp32"), device=device)
    processor = describe_processor(fp32_encoder.device)
    if not is_native("bf16", fp32_encoder.device):
        return PrecisionCheck("fp32", "this processor has no bf16 of its own", processor)
    bf16_encoder = Encoder.load(source, replace(options, precision="bf16"), device=device)
    sample = spread_sample(texts)
    fp32_vectors, bf16_vectors = (
        fp32_encoder.embed(sample).embeddings,
        bf16_encoder.embed(sample).embeddings,
    )
    comparable = np.isfinite(fp32_vectors).all(axis=1) & np.isfinite(bf16_vectors).all(axis=1)
    if not comparable.any():
        reason = "there was no text to compare on"
        return PrecisionCheck("fp32", reason, processor, settled=False)
    cosine = float(_cosines(fp32_vectors[comparable], bf16_vectors[comparable]).min())
    changed = max(
        (
            _labels_changed(head, fp32_vectors[comparable], bf16_vectors[comparable])
            for head in (heads or {}).values()
        ),
        default=0.0,
    )
    return _decide(
        processor, int(comparable.sum()), cosine, changed, broken=int((~comparable).sum())
    )


def spread_sample(texts: Sequence[str]) -> list[str]:
    """Up to 256 distinct texts of evenly spread lengths, from the shortest to the longest."""
    ordered = sorted({text for text in texts if text.strip()}, key=lambda text: (len(text), text))
    if len(ordered) <= SAMPLE:
        return ordered
    places = np.linspace(0, len(ordered) - 1, SAMPLE).round().astype(int)
    return [ordered[place] for place in places]


def _decide(
    processor: str, texts: int, cosine: float, changed: float, *, broken: int
) -> PrecisionCheck:
    def result(precision: Precision, reason: str) -> PrecisionCheck:
        return PrecisionCheck(precision, reason, processor, texts, cosine, changed)

    if cosine < LEAST_COSINE:
        return result("fp32", f"a bf16 embedding has cosine {cosine:.5f} < {LEAST_COSINE}")
    if changed > MOST_LABELS_CHANGED:
        return result("fp32", f"bf16 changes {changed:.1%} of the labels")
    if broken:
        return result("fp32", f"{broken} texts have no embedding in one of the formats")
    return result("bf16", f"cosine >= {cosine:.5f} and {changed:.1%} of labels changed")


def _cosines(left: Floats, right: Floats) -> Floats:
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: Floats = (left * right).sum(axis=1) / np.maximum(scale, 1e-12)
    return cosines


def _labels_changed(head: Head, fp32_vectors: Floats, bf16_vectors: Floats) -> float:
    before = head.decide_all(head.probabilities(fp32_vectors))
    after = head.decide_all(head.probabilities(bf16_vectors))
    return float(
        np.mean(
            [
                labels_before != labels_after
                for labels_before, labels_after in zip(before, after, strict=True)
            ]
        )
    )
