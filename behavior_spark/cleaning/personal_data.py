"""Mask personal numbers, addresses and secrets in a text.

Each kind is detected by its form and, if it has one, by its checksum or its registry; see the
modules of :mod:`behavior_spark.cleaning.personal`. Detection works on a folded copy of the text
(digits of every script as 0 to 9, one kind of dash and space, no invisible characters, ``%40`` and
``&#64;`` decoded); masking changes the text itself. Names and postal addresses have no form by
which they could be detected, and are not masked.
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
from behavior_spark.cleaning.personal.secrets import find_secrets, names_a_password
from behavior_spark.config.privacy import PERSONAL_KINDS, PHONE_REGIONS, Privacy

EMAIL, PHONE, CARD, IBAN, IP = "<email>", "<phone>", "<card>", "<iban>", "<ip>"
NATIONAL_ID, SECRET, OTHER = "<id>", "<secret>", "<personal>"

Finder = Callable[[NumberedText], Iterable[tuple[int, int]]]

# A text without any of these characters has no personal data.
_TELLING = re.compile(r"[\d@:=&\uff20\ufe6b\uff1a\uff1d]")
_FOUR_DIGITS = re.compile("[0-9](?:[^0-9]*+[0-9]){3}")
# A key may have no digit: letters in a row, longer than words are.
_KEY_LIKE = re.compile(r"(?<![\w.\-])[A-Za-z][\w.\-]{19}", re.ASCII)
_SPELT = re.compile(r"[\[({<] ?(?:at|AT|At) ?[\])}>]")
# UUIDs (RFC 9562) are nobody's, and a part of some passes for an IBAN or a phone.
_UUID = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE
)
# Masking may uncover personal data beside it, so detection is repeated at most this many times.
_ROUNDS = 8


@dataclass(frozen=True)
class Masking:
    """What to mask.

    Attributes:
        kinds: Kinds of :data:`behavior_spark.config.privacy.PERSONAL_KINDS`.
        phone_regions: Countries (ISO 3166) whose national phone numbers are detected by their
            grouping alone.
        presidio: Names of additional pattern recognisers of Presidio; their matches become
            ``<personal>``.
    """

    kinds: tuple[str, ...] = PERSONAL_KINDS
    phone_regions: tuple[str, ...] = PHONE_REGIONS
    presidio: tuple[str, ...] = ()


ALL_KINDS = Masking()


def masking_of(privacy: Privacy) -> Masking | None:
    """What to mask by the settings; None for nothing."""
    if not privacy.mask_personal_data:
        return None
    return Masking(privacy.masked_kinds, privacy.phone_regions, privacy.presidio_recognizers)


@lru_cache(maxsize=16)
def _finders(masking: Masking, numbers: bool) -> tuple[tuple[str, Finder], ...]:
    """Marker and finder of each kind, in order; a finder does not see matches of earlier ones.

    What is found with the marker "" is hidden from later finders, and is not masked.

    With ``numbers=False`` only the kinds that are possible with fewer than four digits.
    """
    by_kind: dict[str, Finder] = {
        # An address before an IBAN, which part of one may look like.
        "secret": find_secrets, "email": find_emails, "ip": find_internet_addresses,
        "iban": find_ibans, "id": find_national_ids, "card": find_cards,
        "phone": partial(find_phones, regions=masking.phone_regions),
    }  # fmt: skip
    chosen = [kind for kind in by_kind if kind in masking.kinds]
    if not numbers:
        chosen = [kind for kind in chosen if kind in ("secret", "email", "iban", "ip")]
    finders = [(f"<{kind}>", by_kind[kind]) for kind in chosen]
    # A UUID may be a secret, or a part of an address; the others are hidden from later finders.
    before = sum(kind in ("secret", "email") for kind in chosen)
    finders.insert(before, ("", _find_uuids))
    if masking.presidio:
        finders.append((OTHER, partial(find_with_presidio, names=masking.presidio)))
    return tuple(finders)


@dataclass(frozen=True)
class PersonalData:
    """A span of a text to be masked.

    Attributes:
        start: Start of the span, in characters.
        end: End of the span, exclusive.
        marker: Replacement, such as ``<email>``.
    """

    start: int
    end: int
    marker: str


def mask_personal_data(text: str, masking: Masking = ALL_KINDS) -> tuple[str, int]:
    """Replace each personal number, address and secret by its marker. Takes linear time.

    Returns:
        The masked text, and the number of replacements.

    >>> mask_personal_data("write to ann@example.com or call +44 20 7946 0018")
    ('write to <email> or call <phone>', 2)
    >>> mask_personal_data("order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30")
    ('order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30', 0)
    """
    matches = find_personal_data(text, masking)
    if not matches:
        return text, 0
    pieces, copied_to = [], 0
    for match in matches:
        pieces += [text[copied_to : match.start], match.marker]
        copied_to = match.end
    return "".join([*pieces, text[copied_to:]]), len(matches)


def find_personal_data(text: str, masking: Masking = ALL_KINDS) -> list[PersonalData]:
    """The spans that :func:`mask_personal_data` masks, in order, without overlaps.

    >>> find_personal_data("I am ann%40example.com")
    [PersonalData(start=5, end=22, marker='<email>')]
    """
    if not _is_telling(text):
        return []
    folded = fold_text(text)
    finders = _finders(masking, _FOUR_DIGITS.search(folded.text) is not None)
    numbered = NumberedText(folded.text)
    matches: list[tuple[int, int, str]] = []
    for _ in range(_ROUNDS):
        count_before = len(matches)
        for marker, find in finders:
            spans = _apart(find(numbered))
            if spans:
                if marker:
                    matches += [(start, end, marker) for start, end in spans]
                numbered = NumberedText(_blanked(numbered.text, spans))
        if len(matches) == count_before:
            break
    return [
        PersonalData(*folded.original_span(start, end), marker)
        for start, end, marker in sorted(matches)
    ]


def _find_uuids(numbered: NumberedText) -> Iterable[tuple[int, int]]:
    """Spans of the UUIDs in a text."""
    if numbered.text.count("-") < 4:
        return ()
    return (match.span() for match in _UUID.finditer(numbered.text))


def _is_telling(text: str) -> bool:
    """Whether a text could contain personal data; a quick check that excludes most texts."""
    return bool(
        _TELLING.search(text)
        or " dot " in text
        or " DOT " in text
        or _SPELT.search(text)
        or _KEY_LIKE.search(text)
        or names_a_password(text)
    )


def _apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, without overlaps: the one that starts first is kept, then the longest."""
    selected: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not selected or start >= selected[-1][1]:
            selected.append((start, end))
    return selected


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with each span replaced by a marker of the same length that no finder matches."""
    pieces, copied_to = [], 0
    for start, end in spans:
        pieces += [text[copied_to:start], "<", "\0" * (end - start - 2), ">"]
        copied_to = end
    return "".join([*pieces, text[copied_to:]])
