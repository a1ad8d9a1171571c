"""Numbers that states give to persons: by their form and check digits, and the words beside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from behavior_spark.cleaning.personal.context import is_reference, label, words_before
from behavior_spark.cleaning.personal.national_formats import ID_WORDS, NATIONAL_FORMATS
from behavior_spark.cleaning.personal.numbers import NumberedText

Span = tuple[int, int]

# "National id" and the like name a number of any country; "ID number" says only that an
# unmistakable form may be one.
_NATIONAL = label(
    r"national id\w*(?: ?(?:card|no|nr|number|code))?", r"(?:personal|national|civil) (?:identity|"
    r"identification|insurance|number|code|id)(?: ?(?:no|nr|number|code))?",
    r"identity (?:card|number|no|document)", r"citizen\w* (?:id|number|card)",
    r"personalausweis\w*", r"ausweisn\w+", r"carte d'identité",
    r"documento (?:de identidad|d'identità)", r"carta d'identità",
    r"dowód\w* osobist\w+", r"személyi\w*", r"osobní číslo",
)  # fmt: skip
_ANY_ID = label(ID_WORDS)
_BEHIND_DIGITS = re.compile(r"\d $")  # of a longer number, such as a card's
_SEPARATED = re.compile(r"[ .\-/+]{0,2}+")
_SIGNS = re.compile(r"[ .\-/]")
_LAST_LETTERS = re.compile(r"[ .\-]?[A-Za-z]{1,2}(?![A-Za-z0-9])")
_MOST_CHARACTERS, _FEWEST = 24, 7


def find_national_ids(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the national numbers in a text, in order."""
    previous_end = 0
    text = numbered.text
    words = numbered.words
    for index, (start, end) in enumerate(words):
        if start < previous_end:
            continue
        if text[start - 1 : start] in (" ", "-", ".") and end - start <= 2:  # AB 12 34 56 C
            span = _judge(text, [(start - 3, stop) for stop in _stops(text, words, index)])
            if span:
                yield span
                previous_end = span[1]
                continue
        if end - start > 20:
            continue
        span = _judge(text, [(start, stop) for stop in _stops(text, words, index)])
        if span:
            yield span
            previous_end = span[1]


def _stops(text: str, words: list[tuple[int, int]], index: int) -> list[int]:
    """Possible ends of a number that starts with this word, the farthest first."""
    start, end = words[index]
    stops = [end]
    for following, stop in words[index + 1 : index + 8]:
        if stop - start > _MOST_CHARACTERS or not _SEPARATED.fullmatch(text, end, following):
            break
        stops.append(stop)
        end = stop
    letter = _LAST_LETTERS.match(text, end)
    if letter and letter.end() - start <= _MOST_CHARACTERS:
        stops.append(letter.end())
    return [stop for stop in reversed(stops) if stop - start >= _FEWEST]


def _judge(text: str, spans: list[Span]) -> Span | None:
    """The first of some candidate spans that is a national number."""
    before: str | None = None
    for start, stop in spans:
        if start < 0 or not _is_apart(text, start, stop):
            continue
        candidate = text[start:stop]
        if not 7 <= sum(c.isalnum() for c in candidate) <= 18:
            continue
        for form in NATIONAL_FORMATS:
            if not form.form.fullmatch(candidate):
                continue
            if not (form.is_valid(candidate) or form.is_valid(_SIGNS.sub("", candidate))):
                continue
            if before is None:
                before = words_before(text, start, 48)
            if form.named.search(before) or _NATIONAL.search(before):
                return start, stop
            if (
                form.alone
                and form.alone.fullmatch(candidate)
                and not _BEHIND_DIGITS.search(text[max(start - 2, 0) : start])
                and (not is_reference(text, start) or _says_only_id(before))
            ):
                return start, stop
    return None


def _says_only_id(before: str) -> bool:
    """Whether the words are "ID number" and not "order id"."""
    names = list(_ANY_ID.finditer(before))
    return bool(names) and not is_reference(before[: names[-1].start()], names[-1].start())


def _is_apart(text: str, start: int, stop: int) -> bool:
    """Whether the number is not part of a longer word or number."""
    left, right = text[max(start - 2, 0) : start], text[stop : stop + 2]
    if any(c.isalnum() and c.isascii() for c in (left[-1:], right[:1])):
        return False
    if left[-1:] in ("-", "/", ".", "_", "+") and left[:1].isalnum():
        return False
    return not (right[:1] in ("-", "/", ".", "_") and right[1:].isalnum())
