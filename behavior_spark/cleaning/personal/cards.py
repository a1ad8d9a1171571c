"""Find payment cards by prefix and length of the issuer (ISO/IEC 7812), Luhn checksum, grouping."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import luhn

from behavior_spark.cleaning.personal.context import (
    is_amount,
    is_reference,
    label,
    words_after,
    words_before,
)
from behavior_spark.cleaning.personal.numbers import Chain, NumberedText

Span = tuple[int, int]

_NAMED = label(
    r"cards?", r"visa", r"master ?card", r"amex", r"american express", r"discover", r"diners",
    r"jcb", r"unionpay", r"maestro", r"cc", r"ccn", r"credit", r"debit", r"(?:kredit)?karten?\w*",
    r"cartes?", r"tarjetas?", r"cart[aã]o", r"cart[ae]", r"(?:credit)?kaart", r"kart[ayęąoiu]*",
    r"kort\w*", r"kártya\w*", r"карт\w*", r"بطاقة", r"कार्ड",
    glyphs="信用卡|银行卡|銀行卡|卡号|卡號|カード|카드|บัตร",
)  # fmt: skip

# (first prefix, last prefix, lengths), from the issuers' published ranges.
_VISA, _OTHERS = (16, 19), (16, 17, 18, 19)
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", _VISA),
    ("51", "55", (16,)), ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)), ("37", "37", (15,)),  # American Express
    ("6011", "6011", _OTHERS), ("644", "649", _OTHERS), ("65", "65", _OTHERS),  # Discover
    ("622126", "622925", _OTHERS), ("62", "62", _OTHERS), ("81", "81", _OTHERS),  # UnionPay
    ("300", "305", (14, 16, 19)), ("3095", "3095", (14, 16, 19)),  # Diners Club
    ("36", "36", (14, 16, 19)), ("38", "39", (14, 16, 19)),
    ("3528", "3589", _OTHERS),  # JCB
    ("2200", "2204", _OTHERS),  # Mir
    ("60", "60", (16,)), ("82", "82", (16,)), ("508", "508", (16,)),  # RuPay, Hipercard
    ("353", "353", (16,)), ("356", "356", (16,)),
    ("5018", "5018", (16, 18, 19)), ("5019", "5020", (16, 18, 19)), ("5038", "5038", (16, 18, 19)),
    ("5893", "5893", (16, 18, 19)), ("6304", "6304", (16, 18, 19)), ("67", "67", (16, 18, 19)),
    ("5061", "5067", (16, 19)), ("509", "509", (16,)),  # Verve, Elo
    ("6277", "6278", (16,)), ("6362", "6363", (16,)), ("637", "639", (16,)),  # Elo, InstaPayment
    ("9792", "9792", (16,)), ("8600", "8600", (16,)), ("9860", "9860", (16,)),  # Troy, Uzcard, Humo
)  # fmt: skip
# Only beside a word for a card, because barcodes and other numbers have these lengths too.
_NAMED_ISSUERS = (
    ("4", "4", (13,)), ("1", "1", (15,)), ("2131", "2131", (15,)),
    ("0604", "0604", tuple(range(12, 20))),
    ("50", "50", tuple(range(12, 20))),
    ("56", "69", tuple(range(12, 20))),
)  # fmt: skip
_SHORTEST, _LONGEST = 12, 19
_FORMS = {
    (4, 6, 5), (4, 6, 4), (4, 3, 3, 3), (8, 8), (6, 13), (4, 12), (4, 4, 8), (8, 4, 4), (6, 10),
    (4, 8, 4), (5, 5, 5), (5, 5, 6), (6, 6, 4),
}  # fmt: skip
_APART = re.compile(r"[, ]*,[, ]+|.*[(+:|].*|.{4,}")


def find_cards(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the card numbers in a text."""
    for chain in numbered.chains:
        if sum(chain.sizes) < _SHORTEST or _is_code(chain):
            continue
        for part in chain.split_where(_APART):
            yield from _in_chain(part)


def _in_chain(chain: Chain) -> Iterator[Span]:
    if chain.sizes == [4, 4, 4, 4, 4, 2] and chain.digits.startswith("9"):
        return  # a tracking number of the US Postal Service
    first, count = 0, len(chain.groups)
    while first < count:
        last = next((last for last in _ends(chain, first) if _is_card(chain, first, last)), 0)
        if last:
            yield chain.groups[first][0], chain.groups[last - 1][1]
        first = last or first + 1


def _ends(chain: Chain, first: int) -> Iterator[int]:
    """Ends (exclusive) of runs of groups from ``first`` that may be a card, the longest first."""
    sizes = chain.sizes
    if sizes[first] < 4:  # written digit by digit or in pairs: only if nothing else is beside it
        short = first == 0 and len(sizes) <= _LONGEST and 14 <= sum(sizes) <= _LONGEST
        if not short or len(set(chain.gaps)) > 1 or "," in chain.gaps:
            return  # 390,723,172,675.44
        if set(sizes[:-1]) == {sizes[0]} and sizes[-1] <= sizes[0]:
            yield len(sizes)
        return
    total, ends = 0, []
    for last in range(first, min(first + 6, len(sizes))):
        total += sizes[last]
        if total > _LONGEST:
            break
        if total >= _SHORTEST and _is_form(tuple(sizes[first : last + 1])):
            ends.append(last + 1)
    yield from reversed(ends)


def _is_form(sizes: tuple[int, ...]) -> bool:
    fours = all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4
    return len(sizes) == 1 or fours or sizes in _FORMS


def _is_card(chain: Chain, first: int, last: int) -> bool:
    number = chain.part(first, last)
    digits = number.digits
    if len(set(digits)) == 1 or not luhn.is_valid(digits):
        return False
    text = chain.text
    if _issued(digits, _ISSUERS):
        if len(number.groups) > 1:
            return not (set(number.sizes) == {3} and is_amount(text, number.start, number.end))
        return not is_reference(text, number.start) and not is_amount(
            text, number.start, number.end
        )
    if not _issued(digits, _NAMED_ISSUERS) or is_reference(text, number.start):
        return False
    nearby = words_before(text, number.start), words_after(text, number.end)
    return any(_NAMED.search(words) for words in nearby)


def _issued(digits: str, issuers: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bool:
    size = len(digits)
    return any(
        size in lengths and low <= digits[: len(low)] <= high for low, high, lengths in issuers
    )


def _is_code(chain: Chain) -> bool:
    """Whether letters that are not a word are attached, as in a hash or a part number."""
    for letters in (chain.glued_left, chain.glued_right):
        lower = letters.lower()
        if (
            letters
            and not _NAMED.search(lower)
            and (len(letters) < 3 or not lower.strip("abcdef") or letters.isupper())
        ):
            return True
    before = chain.text[max(chain.start - 2, 0) : chain.start]
    return before[-1:] in ("-", "_") and before[:1].isalnum()
