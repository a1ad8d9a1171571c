"""Which number format a model runs in: chosen once by a self-check, recorded, then kept.

bf16 halves the time where the processor multiplies it natively. It is chosen when, on a sample
of texts, every embedding keeps a cosine of at least 0.999 with fp32's and no head changes its
label on more than 1 % of them. The choice is part of the backbone's digest.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from behavior_spark.model.encoder import Encoder
from behavior_spark.model.heads import Floats, Head
from behavior_spark.model.model_folder import EncoderOptions, Precision

LEAST_COSINE = 0.999
MOST_LABELS_CHANGED = 0.01
SAMPLE = 256
# As the kernel names them: x86's two kinds, and Arm's.
_NATIVE_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


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


def is_native(precision: Precision, device: torch.device) -> bool:
    """Whether the processor computes in a format itself; another one can still emulate it."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return bool(_NATIVE_FLAGS & _cpu_flags())


def runs_natively(encoder: Encoder) -> bool:
    """Whether the processor an encoder is on computes in its precision itself."""
    return is_native(encoder.options.precision, encoder.device)


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


def describe_processor(device: torch.device) -> str:
    """The processor in words, such as ``cuda: NVIDIA H100`` or ``cpu: x86_64 avx512_bf16``."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    native = sorted(_NATIVE_FLAGS & _cpu_flags())
    return " ".join([f"cpu: {platform.machine()}", *native])


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


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    """Flags of the first processor; none where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(flags.split())
    return frozenset()
