"""Which number format a model runs in: chosen once by a self-check, recorded, then kept.

bf16 halves the time where the processor multiplies it natively. It is chosen when, on a sample
of texts, every embedding keeps a cosine of at least 0.999 with fp32's and no head changes its
label on more than 1 % of them. The choice is part of the backbone's digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.devices import describe_processor, is_native
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import EncoderOptions, Precision
from behavior_spark.model.heads.head import Head

LEAST_COSINE = 0.999
MOST_LABELS_CHANGED = 0.01
SAMPLE = 256


@dataclass(frozen=True)
class PrecisionCheck:
    """What a self-check found.

    Attributes:
        precision: The format chosen.
        reason: Why, in words.
        processor: What the check ran on.
        texts: Texts compared.
        least_cosine: The lowest cosine between a text's bf16 and fp32 embeddings.
        labels_changed: The highest share, over the heads, of texts whose label changed.
        settled: False where there was no text to choose by: the next check may choose.
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
    """Compare bf16 with fp32 on up to 256 texts and choose.

    Args:
        source: Encoder folder or ``package:`` name.
        options: The other options; their precision is not read.
        texts: What the model will read, or the like of it.
        heads: By name, to compare labels too; whichever of the two formats they were fitted on.
        device: As for :meth:`Encoder.load`.

    Raises:
        ModelError: The encoder cannot be used, or fails on every text.
    """
    plain = Encoder.load(source, replace(options, precision="fp32"), device=device)
    processor = describe_processor(plain.device)
    if not is_native("bf16", plain.device):
        return PrecisionCheck("fp32", "this processor has no bf16 of its own", processor)
    half = Encoder.load(source, replace(options, precision="bf16"), device=device)
    sample = spread_sample(texts)
    exact, rough = plain.embed(sample).embeddings, half.embed(sample).embeddings
    both = np.isfinite(exact).all(axis=1) & np.isfinite(rough).all(axis=1)
    if not both.any():
        reason = "there was no text to compare on"
        return PrecisionCheck("fp32", reason, processor, settled=False)
    cosine = float(_cosines(exact[both], rough[both]).min())
    changed = max(
        (_labels_changed(head, exact[both], rough[both]) for head in (heads or {}).values()),
        default=0.0,
    )
    return _decide(processor, int(both.sum()), cosine, changed, broken=int((~both).sum()))


def spread_sample(texts: Sequence[str]) -> list[str]:
    """Up to 256 distinct texts, the shortest and the longest among them, evenly spread between."""
    ordered = sorted({text for text in texts if text.strip()}, key=lambda text: (len(text), text))
    if len(ordered) <= SAMPLE:
        return ordered
    places = np.linspace(0, len(ordered) - 1, SAMPLE).round().astype(int)
    return [ordered[place] for place in places]


def _decide(
    processor: str, texts: int, cosine: float, changed: float, *, broken: int
) -> PrecisionCheck:
    def found(precision: Precision, reason: str) -> PrecisionCheck:
        return PrecisionCheck(precision, reason, processor, texts, cosine, changed)

    if cosine < LEAST_COSINE:
        return found("fp32", f"a bf16 embedding has cosine {cosine:.5f} < {LEAST_COSINE}")
    if changed > MOST_LABELS_CHANGED:
        return found("fp32", f"bf16 changes {changed:.1%} of the labels")
    if broken:
        return found("fp32", f"{broken} texts have no embedding in one of the formats")
    return found("bf16", f"cosine >= {cosine:.5f} and {changed:.1%} of labels changed")


def _cosines(left: Floats, right: Floats) -> Floats:
    scale = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    found: Floats = (left * right).sum(axis=1) / np.maximum(scale, 1e-12)
    return found


def _labels_changed(head: Head, exact: Floats, rough: Floats) -> float:
    before = head.decide_all(head.probabilities(exact))
    after = head.decide_all(head.probabilities(rough))
    return float(np.mean([one != two for one, two in zip(before, after, strict=True)]))
