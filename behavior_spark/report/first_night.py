"""How long a first night and its stages take: a guess by rates that were measured on two cores.

A whole night: 74 to 260 s for logs of 31,000 to 542,000 events, of which most goes into planning
and small commits; 11 s for each further million events while features are built (the high end takes
40 s, as reading and writing them was not measured apart); 130 long texts a second by an encoder of
90 MB (``benchmarks/README.md``). A stage has a share of that: between half and twice of what it had
in three first nights of generated shops, as logs differ. Texts are of the stage that embeds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Seconds on two cores: lowest and highest.
ANY_NIGHT = (70.0, 260.0)
EACH_MILLION_EVENTS = (11.0, 40.0)
LONG_TEXTS_A_SECOND = 130.0
MEASURED_ENCODER_BYTES = 90e6
EMBED = "embed texts"
# Stage -> share of a first night, in per cent: half of the lowest and twice the highest of three
# first nights, of generated shops with 11,000 to 45,000 events.
SHARES: Mapping[str, tuple[float, float]] = {
    "ingest events": (4.0, 23.5), "quarantine": (3.0, 14.0), "sessions": (1.5, 12.0),
    EMBED: (4.5, 32.0), "build activity": (3.0, 15.0), "build features": (3.0, 20.0),
    "train": (4.0, 24.0), "predict": (1.5, 12.5), "profile": (1.0, 8.5),
    "audiences": (3.5, 18.0), "service queue": (3.0, 21.0),
}  # fmt: skip

# Figures of a run on one machine: what its first night was guessed to take without texts.
FORESEEN = ("foreseen_seconds_low", "foreseen_seconds_high")

Range = tuple[float, float]


def night_range(events: int, *, texts: int = 0, encoder_bytes: float | None = None) -> Range:
    """Seconds of a first night, lowest and highest.

    Args:
        events: Number of rows.
        texts: Number of rows.
        encoder_bytes: Size of the encoder's weights; None: no text is embedded.
    """
    low, high = (
        base + each * events / 1e6
        for base, each in zip(ANY_NIGHT, EACH_MILLION_EVENTS, strict=True)
    )
    return low, high + texts_seconds(texts, encoder_bytes)


def texts_seconds(texts: int, encoder_bytes: float | None) -> float:
    """Seconds for texts, all of them long and different, at most.

    Rows of a log are often the same few texts: the low end of a range has no text to embed.
    """
    if encoder_bytes is None:
        return 0.0
    return texts / LONG_TEXTS_A_SECOND * max(1.0, encoder_bytes / MEASURED_ENCODER_BYTES)


def stage_ranges(
    stages: Iterable[str], night: Range, *, for_texts: float = 0.0
) -> dict[str, Range]:
    """Seconds of those stages whose share is known, lowest and highest.

    Args:
        stages: Stages of the night.
        night: Seconds of the night, without its texts.
        for_texts: Seconds for its texts, at most.

    >>> stage_ranges(["build features", "no such stage"], (100.0, 200.0))
    {'build features': (3.0, 40.0)}
    """
    ranges = {}
    for stage in stages:
        if stage in SHARES:
            low, high = (share / 100 * end for share, end in zip(SHARES[stage], night, strict=True))
            ranges[stage] = low, high + (for_texts if stage == EMBED else 0.0)
    return ranges
