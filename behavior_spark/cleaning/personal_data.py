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
from functools import lru_cache, partial

from behavior_spark.cleaning.personal.cards import find_cards
from behavior_spark.cleaning.personal.emails import find_emails
from behavior_spark.cleaning.personal.folding import fold_text
from behavior_spark.cleaning.personal.ibans import find_ibans
from behavior_spark.cleaning.personal.internet_addresses import find_internet_addresses
from behavior_spark.cleaning.personal.national_ids import find_national_ids
from behavior_spark.cleaning.personal.numbers import NumberedText
from behavior_spark.cleaning.personal.phones import find_phones
from behavior_spark.cleaning.personal.presidio import find_with_presidio
from behavior_spark.cleaning.personal.secrets import find_secrets
from behavior_spark.config.privacy import PERSONAL_KINDS, PHONE_REGIONS, Privacy

EMAIL, PHONE, CARD, IBAN, IP = "<email>", "<phone>", "<card>", "<iban>", "<ip>"
NATIONAL_ID, SECRET, OTHER = "<id>", "<secret>", "<personal>"
MARKERS = (SECRET, EMAIL, IBAN, IP, NATIONAL_ID, CARD, PHONE, OTHER)

Finder = Callable[[NumberedText], Iterable[tuple[int, int]]]

# A text with none of these holds nothing to mask.
_TELLING = re.compile(r"[\d@:=&\uff20\ufe6b\uff1a\uff1d]")
_FOUR_DIGITS = re.compile("[0-9](?:[^0-9]*+[0-9]){3}")
_SPELT = re.compile(r"[\[({<] ?(?:at|AT|At) ?[\])}>]")
# What is masked may show what stood next to it: looked at again, but not for ever.
_ROUNDS = 4


@dataclass(frozen=True)
class Masking:
    """What to mask.

    Attributes:
        kinds: Of :data:`behavior_spark.config.privacy.PERSONAL_KINDS`.
        phone_regions: Countries whose own grouping of a phone number is enough.
        presidio: Names of Presidio's pattern recognisers to use too; what they find is
            ``<personal>``.
    """

    kinds: tuple[str, ...] = PERSONAL_KINDS
    phone_regions: tuple[str, ...] = PHONE_REGIONS
    presidio: tuple[str, ...] = ()


ALL_KINDS = Masking()


def masking_of(privacy: Privacy) -> Masking | None:
    """What the settings say to mask; None where nothing is."""
    if not privacy.mask_personal_data:
        return None
    return Masking(privacy.masked_kinds, privacy.phone_regions, privacy.presidio_recognizers)


@lru_cache(maxsize=16)
def _finders(masking: Masking, numbers: bool) -> tuple[tuple[str, Finder], ...]:
    """Marker and finder of each kind, in order: what one takes, the next ones do not see.

    Without ``numbers`` those that a text of less than four digits can have.
    """
    known: dict[str, Finder] = {
        "secret": find_secrets, "email": find_emails, "iban": find_ibans,
        "ip": find_internet_addresses, "id": find_national_ids, "card": find_cards,
        "phone": partial(find_phones, regions=masking.phone_regions),
    }  # fmt: skip
    chosen = [kind for kind in known if kind in masking.kinds]
    if not numbers:
        chosen = [kind for kind in chosen if kind in ("secret", "email", "iban", "ip")]
    finders = [(f"<{kind}>", known[kind]) for kind in chosen]
    if masking.presidio:
        finders.append((OTHER, partial(find_with_presidio, names=masking.presidio)))
    return tuple(finders)


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


def mask_personal_data(text: str, masking: Masking = ALL_KINDS) -> tuple[str, int]:
    """Replace each number, address or secret by its marker.

    Takes time in proportion to the text's length.

    Returns:
        The masked text, and how many things were masked.

    >>> mask_personal_data("write to ann@example.com or call +44 20 7946 0018")
    ('write to <email> or call <phone>', 2)
    >>> mask_personal_data("order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30")
    ('order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30', 0)
    """
    found = find_personal_data(text, masking)
    if not found:
        return text, 0
    pieces, read = [], 0
    for personal in found:
        pieces += [text[read : personal.start], personal.marker]
        read = personal.end
    return "".join([*pieces, text[read:]]), len(found)


def find_personal_data(text: str, masking: Masking = ALL_KINDS) -> list[PersonalData]:
    """What :func:`mask_personal_data` masks, by its place in the text, in order, apart.

    >>> find_personal_data("I am ann%40example.com")
    [PersonalData(start=5, end=22, marker='<email>')]
    """
    if not _is_telling(text):
        return []
    folded = fold_text(text)
    finders = _finders(masking, _FOUR_DIGITS.search(folded.text) is not None)
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
    return bool(_TELLING.search(text) or " dot " in text or " DOT " in text or _SPELT.search(text))


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
