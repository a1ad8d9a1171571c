"""International bank account numbers: SWIFT's registry (through python-stdnum), ISO 13616."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from stdnum import numdb
from stdnum.iso7064 import mod_97_10

from behavior_spark.cleaning.personal.numbers import NumberedText

Span = tuple[int, int]

_HEAD = re.compile(r"[A-Za-z]{2}[0-9]{2}")
_SPACED_HEAD = re.compile(r"[A-Za-z]{2} [0-9]{2}")
_SEPARATORS = " -./:_"
_FIELD = re.compile(r"(\d+)!([nac])")
_CLASSES = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
_LONGEST = 34


@lru_cache(maxsize=512)
def account_form(country: str) -> tuple[int, re.Pattern[str]] | None:
    """Length of a country's IBAN and the form of its account part; None where it has none."""
    info = numdb.get("iban").info(country)[0][1]
    if "bban" not in info:
        return None
    fields = _FIELD.findall(info["bban"])
    form = "".join(f"{_CLASSES[kind]}{{{size}}}" for size, kind in fields)
    return 4 + sum(int(size) for size, _ in fields), re.compile(form)


def find_ibans(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the account numbers in a text; each of several that are glued together.

    One that is glued to other letters or digits, or oddly spaced, needs the country's own form
    beside the checksum.
    """
    text, behind = numbered.text, 0
    for start, end in numbered.words:
        if start >= 3 and text[start - 1] == " " and text[start - 3 : start - 1].isalpha():
            start -= 3  # "DE 89 3704 ..."
        position = max(start, behind)
        while position < end:
            head = _HEAD.search(text, position, end)
            if head is None and text[position + 2 : position + 3] == " ":
                head = _SPACED_HEAD.match(text, position)
            if head is None:
                break
            stop = _end_of(text, head.start(), glued=head.start() not in (start, behind))
            if stop:
                yield head.start(), stop
                position = behind = stop
            else:
                position = head.end() - 1 if head.start() == start else head.end()


def _end_of(text: str, start: int, *, glued: bool) -> int | None:
    """Where the IBAN that starts here ends; None where there is none."""
    form = account_form(text[start : start + 2].upper())
    if form is None:
        return None
    taken: list[str] = []
    gaps: list[int] = []
    place = start
    limit = min(len(text), start + 3 * _LONGEST)
    while len(taken) < form[0] and place < limit:
        character = text[place]
        if character.isascii() and character.isalnum():
            taken.append(character)
        elif character in _SEPARATORS and text[place - 1 : place] not in ("", *"./:_"):
            gaps.append(len(taken))
        else:
            return None
        place += 1
    compact = "".join(taken)
    if len(compact) < form[0] or not (compact.upper() == compact or compact.lower() == compact):
        return None
    compact = compact.upper()
    glued = glued or text[place : place + 1].isalnum()
    fours = all(gap % 4 == 0 for gap in gaps)
    if (glued or not fours) and not form[1].fullmatch(compact[4:]):
        return None
    return place if mod_97_10.is_valid(compact[4:] + compact[:4]) else None
