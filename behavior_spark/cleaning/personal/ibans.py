"""Find IBANs (ISO 13616) by checksum and by SWIFT's registry of formats (from python-stdnum)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from stdnum import numdb
from stdnum.iso7064 import mod_97_10

from behavior_spark.cleaning.personal.context import words_before
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
    """Length of a country's IBAN, and pattern of its account part; None without IBANs."""
    info = numdb.get("iban").info(country)[0][1]
    if "bban" not in info:
        return None
    fields = _FIELD.findall(info["bban"])
    form = "".join(f"{_CLASSES[kind]}{{{size}}}" for size, kind in fields)
    return 4 + sum(int(size) for size, _ in fields), re.compile(form)


def find_ibans(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the IBANs in a text; there may be several without a space between.

    An IBAN directly beside other letters or digits, or with unusual spacing, must match the
    country's format as well as the checksum.
    """
    text, previous_end = numbered.text, 0
    for start, end in numbered.words:
        if _has_spaced_country(text, start):
            start -= 3
        position = max(start, previous_end)
        while position < end:
            head = _HEAD.search(text, position, end)
            if head is None and text[position + 2 : position + 3] == " ":
                head = _SPACED_HEAD.match(text, position)
            if head is None:
                break
            begin = head.start()
            in_code = (
                text[begin - 1 : begin] in ("-", "_") and text[begin - 2 : begin - 1].isalnum()
            )
            stop = _end_of(text, begin, glued=in_code or begin not in (start, previous_end))
            if stop:
                yield head.start(), stop
                position = previous_end = stop
            else:
                position = head.end() - 1 if head.start() == start else head.end()


def _has_spaced_country(text: str, start: int) -> bool:
    """Whether "DE " is before the check digits, not the end of a word or a word such as "es"."""
    country = text[max(start - 3, 0) : start]
    return (
        len(country) == 3
        and country[2] == " "
        and country[:2].isalpha()
        and not text[start - 4 : start - 3].isalnum()
        and (country.isupper() or "iban" in words_before(text, start - 3))
    )


def _end_of(text: str, start: int, *, glued: bool) -> int | None:
    """End of the IBAN that starts at ``start``; None if there is none.

    ``glued``: whether a letter or digit is directly before it.
    """
    form = account_form(text[start : start + 2].upper())
    if form is None:
        return None
    characters: list[str] = []
    gaps: list[int] = []
    position = start
    limit = min(len(text), start + 3 * _LONGEST)
    while len(characters) < form[0] and position < limit:
        character = text[position]
        if character.isascii() and character.isalnum():
            characters.append(character)
        elif character in _SEPARATORS and text[position - 1 : position] not in ("", *"./:_"):
            gaps.append(len(characters))
        else:
            return None
        position += 1
    compact = "".join(characters)
    if len(compact) < form[0] or not (compact.upper() == compact or compact.lower() == compact):
        return None
    compact = compact.upper()
    glued = glued or text[position : position + 1].isalnum()
    fours = all(gap % 4 == 0 for gap in gaps)
    if (glued or not fours) and not form[1].fullmatch(compact[4:]):
        return None
    return position if mod_97_10.is_valid(compact[4:] + compact[:4]) else None
