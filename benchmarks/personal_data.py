"""Personal data found and ordinary numbers left alone, by kind; beside Presidio where it is there.

    python -m benchmarks.personal_data [--each 400] [--seed 7] [--presidio] [--faker] [--show 0]

Items are generated (see personal_examples.py) and put into sentences of several languages. Recall:
every letter and digit of the item is masked, whatever the marker. False alarm: any part of an
ordinary item is masked. The third table is of numbers that may be somebody's or nobody's. Presidio
(``pip install presidio-analyzer``) is its AnalyzerEngine with all its recognisers for English and a
blank spaCy pipeline, as no model is downloaded; what it finds counts from a score of 0.4, without
dates, links and names. Prints Markdown. Without Presidio: less than a minute.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from behavior_spark.cleaning.personal_data import find_personal_data
from behavior_spark.model.measures.confidence import wilson_interval
from benchmarks.ordinary_numbers import EITHER, ORDINARY
from benchmarks.personal_examples import (
    FRAMES,
    PERSONAL,
    PHONE_FRAMES,
    Make,
    with_other_signs,
)

Spans = list[tuple[int, int]]
Find = Callable[[str], Spans]
_UNCHANGED = ("key by prefix", "JWT", "named secret", "secret in URL", "e-mail", "e-mail, encoded")


@dataclass(frozen=True)
class Sentence:
    """A text and the span of the item in it."""

    text: str
    start: int
    end: int


@dataclass
class Tally:
    """Hits of one way of finding, and the seconds it took."""

    hits: int = 0
    seconds: float = 0.0
    missed: list[str] = field(default_factory=list)


def sentences(rng: random.Random, kind: str, make: Make, count: int) -> Iterator[Sentence]:
    """Items of a kind in sentences; half of those with digits in other separators."""
    frames = PHONE_FRAMES if kind in ("phone, national", "phone (Faker)") else FRAMES
    for _ in range(count):
        lead, _, rest = (
            ("\0" + make(rng)).rpartition("\0")
            if kind not in ("secret in URL",)
            else make(rng).partition("\0")
        )
        item, _, tail = rest.partition("\0")
        lead = lead.replace("\0", "")
        if kind.startswith("national id"):
            lead += rng.choice([" ", ": ", " is "])
        if kind in PERSONAL and kind not in _UNCHANGED and rng.random() < 0.5:
            item = with_other_signs(rng, item)
        before, after = rng.choice(frames).split("{}")
        start = len(before) + len(lead)
        text = before + lead + item + tail + after
        yield Sentence(text, start, start + len(item))


def is_masked(sentence: Sentence, spans: Spans) -> bool:
    """Whether all letters and digits of the item are inside the spans."""
    covered = {place for start, end in spans for place in range(start, end)}
    places = range(sentence.start, sentence.end)
    return all(place in covered for place in places if sentence.text[place].isalnum())


def is_touched(sentence: Sentence, spans: Spans) -> bool:
    """Whether any of the item is inside the spans."""
    return any(start < sentence.end and end > sentence.start for start, end in spans)


def ours(text: str) -> Spans:
    """This project's spans."""
    return [(personal.start, personal.end) for personal in find_personal_data(text)]


def presidio() -> Find:
    """Presidio's spans, without any model of names."""
    logging.disable(logging.WARNING)
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(nlp_engine=Blank(), registry=registry, supported_languages=["en"])
    wanted = set(engine.get_supported_entities("en"))
    wanted -= {"DATE_TIME", "URL", "PERSON", "LOCATION", "NRP", "ORGANIZATION"}

    def find(text: str) -> Spans:
        results = engine.analyze(text, "en", entities=sorted(wanted), score_threshold=0.4)
        return [(result.start, result.end) for result in results]

    return find


def measure(
    kinds: dict[str, Make], ways: dict[str, Find], hit: Callable[[Sentence, Spans], bool],
    *, each: int, seed: int, wanted: bool,
) -> dict[str, dict[str, Tally]]:  # fmt: skip
    """Hits by kind and way; ``wanted`` says whether a hit is right, for the list of misses."""
    table: dict[str, dict[str, Tally]] = {}
    for kind, make in kinds.items():
        examples = list(sentences(random.Random(f"{seed}/{kind}"), kind, make, each))
        table[kind] = {}
        for name, find in ways.items():
            tally = table[kind][name] = Tally()
            start = time.process_time()
            for sentence in examples:
                touched = hit(sentence, find(sentence.text))
                tally.hits += touched
                if touched != wanted:
                    tally.missed.append(sentence.text)
            tally.seconds = time.process_time() - start
    return table


def bounds(hits: int, count: int, digits: int) -> str:
    """Wilson's 95 % interval of a share."""
    low, high = wilson_interval(hits / count, count)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def show(title: str, table: dict[str, dict[str, Tally]], each: int, digits: int) -> None:
    """One table of shares."""
    names = list(next(iter(table.values())))
    print(f"\n| {title} | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for kind, tallies in table.items():
        shares = (
            f"{tally.hits / each:.{digits}f} ({bounds(tally.hits, each, digits)})"
            for tally in tallies.values()
        )
        print(f"| {kind} | {' | '.join(shares)} |")
    totals = (sum(table[kind][name].hits for kind in table) for name in names)
    shares = (f"{total / each / len(table):.{digits}f}" for total in totals)
    print(f"| all | {' | '.join(shares)} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=400, help="items of each kind")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--presidio", action="store_true", help="beside Presidio")
    parser.add_argument("--faker", action="store_true", help="with what Faker makes")
    parser.add_argument("--show", type=int, default=0, help="of our mistakes, so many by kind")
    options = parser.parse_args()
    ways: dict[str, Find] = {"ours": ours} | ({"Presidio": presidio()} if options.presidio else {})
    each, seed = options.each, options.seed
    personal, ordinary = PERSONAL, ORDINARY
    if options.faker:
        from benchmarks.faker_examples import FAKER_ORDINARY, FAKER_PERSONAL

        personal, ordinary = PERSONAL | FAKER_PERSONAL, ORDINARY | FAKER_ORDINARY
    recall = measure(personal, ways, is_masked, each=each, seed=seed, wanted=True)
    alarms = measure(ordinary, ways, is_touched, each=each, seed=seed, wanted=False)
    print(f"{each} items of each kind, seed {seed}")
    show("recall", recall, each, 3)
    show("false alarms", alarms, each, 4)
    either = measure(EITHER, ways, is_touched, each=each, seed=seed, wanted=False)
    show("masked, of what may be either", either, each, 4)
    for name in ways:
        seconds = sum(t[name].seconds for table in (recall, alarms) for t in table.values())
        print(f"\n{name}: {each * (len(recall) + len(alarms)) / seconds:,.0f} texts/s")
    for table in (recall, alarms):
        for kind, tallies in table.items():
            for text in tallies["ours"].missed[: options.show]:
                print(f"{kind}: {text!r}")


if __name__ == "__main__":
    main()
