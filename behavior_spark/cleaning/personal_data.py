"""Mask personal numbers, addresses and secrets in a text.

Each kind is found by its shape and, where it has one, by its checksum or its registry; see the
modules of :mod:`behavior_spark.cleaning.personal`. What is looked at is a plain copy of the text
(digits of every script as 0 to 9, dashes and spaces of one kind, nothing invisible, ``%40`` and
``&#64;`` read); what is masked is the text itself. Names and postal addresses have no shape of
their own and are not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from behavior_spark.cleaning.personal.cards import find_cards
from behavior_spark.cleaning.personal.emails import find_emails
from behavior_spark.cleaning.personal.folding import fold_text
from behavior_spark.cleaning.personal.ibans import find_ibans
from behavior_spark.cleaning.personal.internet_addresses import find_internet_addresses
from behavior_spark.cleaning.personal.national_ids import find_national_ids
from behavior_spark.cleaning.personal.numbers import NumberedText
from behavior_spark.cleaning.personal.phones import find_phones
from behavior_spark.cleaning.personal.secrets import find_secrets

EMAIL, PHONE, CARD, IBAN, IP = "<email>", "<phone>", "<card>", "<iban>", "<ip>"
NATIONAL_ID, SECRET = "<id>", "<secret>"

Finder = Callable[[NumberedText], Iterable[tuple[int, int]]]

# In this order: what one kind takes, the next ones do not see.
_FINDERS: tuple[tuple[str, Finder], ...] = (
    (SECRET, find_secrets),
    (EMAIL, find_emails),
    (IBAN, find_ibans),
    (IP, find_internet_addresses),
    (NATIONAL_ID, find_national_ids),
    (CARD, find_cards),
    (PHONE, find_phones),
)
_WITHOUT_NUMBERS = _FINDERS[:2]
MARKERS = tuple(marker for marker, _ in _FINDERS)

# A text with none of these holds nothing to mask.
_TELLING = re.compile(r"[\d@:=&\uff20\ufe6b\uff1a\uff1d]")
_FOUR_DIGITS = re.compile("[0-9](?:[^0-9]*+[0-9]){3}")
_SPELT = re.compile(r"[\[({<] ?(?:at|AT|At) ?[\])}>]")
# What is masked may show what stood next to it: looked at again, but not for ever.
_ROUNDS = 4


@dataclass(frozen=True)
class PersonalData:
    """A stretch of a text to be masked.

    Attributes:
        start, end: Half-open span of the text, in characters.
        marker: What to put there, such as ``<email>``.
    """

    start: int
    end: int
    marker: str


def mask_personal_data(text: str) -> tuple[str, int]:
    """Replace each number, address or secret by its marker.

    Takes time in proportion to the text's length.

    Returns:
        The masked text, and how many things were masked.

    >>> mask_personal_data("write to ann@example.com or call +44 20 7946 0018")
    ('write to <email> or call <phone>', 2)
    >>> mask_personal_data("order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30")
    ('order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30', 0)
    """
    found = find_personal_data(text)
    if not found:
        return text, 0
    pieces, read = [], 0
    for personal in found:
        pieces += [text[read : personal.start], personal.marker]
        read = personal.end
    return "".join([*pieces, text[read:]]), len(found)


def find_personal_data(text: str) -> list[PersonalData]:
    """What :func:`mask_personal_data` masks, by its place in the text, in order, apart.

    >>> find_personal_data("I am ann%40example.com")
    [PersonalData(start=5, end=22, marker='<email>')]
    """
    if not _is_telling(text):
        return []
    folded = fold_text(text)
    finders = _FINDERS if _FOUR_DIGITS.search(folded.text) else _WITHOUT_NUMBERS
    numbered = NumberedText(folded.text)
    found: list[tuple[int, int, str]] = []
    for _ in range(_ROUNDS):
        before = len(found)
        for marker, find in finders:
            spans = _apart(find(numbered))
            if spans:
                found += [(start, end, marker) for start, end in spans]
                numbered = NumberedText(_blanked(numbered.text, spans))
        if len(found) == before:
            break
    return [
        PersonalData(*folded.original_span(start, end), marker)
        for start, end, marker in sorted(found)
    ]


def _is_telling(text: str) -> bool:
    """Whether anything could be found in a text; most end here."""
    return bool(
        _TELLING.search(text) or " dot " in text or " DOT " in text or _SPELT.search(text)
    )


def _apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order; of those that overlap the first and longest."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with each span as a marker of the same length, in which nothing is found."""
    pieces, read = [], 0
    for start, end in spans:
        pieces += [text[read:start], "<", "\0" * (end - start - 2), ">"]
        read = end
    return "".join([*pieces, text[read:]])
