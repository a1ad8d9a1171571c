"""Mask personal numbers and addresses in a text.

Found by shape and, where the number has one, by its checksum: cards by Luhn
(ISO/IEC 7812-1), IBANs by country length and mod 97 (ISO 13616), IP addresses by
parsing. Names and postal addresses have no shape of their own and are not found.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from itertools import accumulate

EMAIL, PHONE, CARD, IBAN, IP = "<email>", "<phone>", "<card>", "<iban>", "<ip>"

_EMAIL = re.compile(r"\w[\w.%+'\-]{0,63}@(?:[\w\-]{1,63}\.)+\w{2,24}")
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w.])[1-9]\d{3}(?:[ \-]?\d){9,15}(?!\d)")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6 = re.compile(
    r"(?:(?<![\w:])|(?<=[g-zG-Z_]:))[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"
)
_DAY = (
    r"(?:(?:19|20)\d\d[-/.][01]?\d[-/.][0-3]?\d|[0-3]?\d[-/.][0-3]?\d[-/.](?:(?:19|20)\d\d|\d\d))"
    r"(?!\d|[-/.]\d)"
)
# What follows a phone number after a space and is a day or a time is no part of it.
_APART = rf"(?!(?: | - ){_DAY}|(?: | - )\d{{1,2}}:\d)"
_PHONE = re.compile(
    r"(?<![\w.,/\-#])(?<!\d:)(?:"
    rf"(?P<day>{_DAY})"
    rf"|(?P<abroad>(?:\+\d|00 ?[1-9])(?:{_APART}[ ().\-/]{{0,3}}\d){{7,14}})"
    r"|(?P<led>[18][ \-.]\(?\d{3}\)?[ \-.]{1,2}\d{3}[ \-.]\d\d[ \-.]?\d\d)"
    r"|(?P<trunk>0[1-9]\d{7,10})"
    rf"|(?P<grouped>\(?\d{{2,9}}(?:{_APART}[ ().\-/]{{1,3}}\d{{2,9}}){{1,11}})"
    r")(?!\w|[.,]\d)"
)
_ONE_DIGIT = re.compile(r"(?<!\d)\d $")
_DIGIT, _DIGITS = re.compile(r"\d"), re.compile(r"\d+")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# Lengths of the IBAN registry (SWIFT, release 98).
_IBAN_LENGTH = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30,
    "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def mask_personal_data(text: str) -> tuple[str, int]:
    """Replace each number or address by a placeholder.

    Returns:
        The masked text, and how many things were masked.

    >>> mask_personal_data("write to ann@example.com or call +44 20 7946 0018")
    ('write to <email> or call <phone>', 2)
    >>> mask_personal_data("order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30")
    ('order 20240117 of 3 mugs at 12.50, 2024-01-17 10:30', 0)
    """
    count = 0
    while True:  # what is masked may set free what stood next to it
        text, found = _mask_once(text)
        if not found:
            return text, count
        count += found


def _mask_once(text: str) -> tuple[str, int]:
    found = 0
    if "@" in text:
        text, found = _EMAIL.subn(EMAIL, text)
    if _DIGIT.search(text) is None and ":" not in text:
        return text, found
    for pattern, judge, placeholder in _NUMBERS:
        text, more = _mask_numbers(text, pattern, judge, placeholder)
        found += more
    return text, found


def _mask_numbers(text: str, pattern: re.Pattern[str], judge: Judge, mask: str) -> tuple[str, int]:
    """Mask what the judge accepts of each candidate, and look on behind what it passes over."""
    pieces, kept, position = [], 0, 0
    while match := pattern.search(text, position):
        accepted, length = judge(match)
        position = match.start() + length
        if accepted:
            pieces += [text[kept : match.start()], mask]
            kept = position
    return "".join([*pieces, text[kept:]]), len(pieces) // 2


def _judge_iban(match: re.Match[str]) -> tuple[bool, int]:
    candidate = match.group()
    length = _IBAN_LENGTH.get(candidate[:2].upper())
    taken = 0
    for end, character in enumerate(candidate if length else ""):
        taken += character.isalnum()
        if taken == length:
            compact = "".join(c for c in candidate[: end + 1] if c.isalnum()).upper()
            rotated = compact[4:] + compact[:4]
            if int("".join(str(int(c, 36)) for c in rotated)) % 97 == 1:
                return True, end + 1
    return False, 4


def _judge_card(match: re.Match[str]) -> tuple[bool, int]:
    """The longest run of whole groups with a valid checksum; else on to the next long group."""
    candidate = match.group()
    groups = list(_DIGITS.finditer(candidate))
    for group in reversed(groups):
        digits = [int(c) for c in candidate[: group.end()] if c.isdigit()]
        if len(digits) < 13:
            break
        total = sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])
        if total % 10 == 0 and len(set(digits)) > 1:
            return True, group.end()
    later = (group.start() for group in groups[1:] if group.end() - group.start() >= 4)
    return False, next(later, len(candidate))


def _judge_ip(match: re.Match[str]) -> tuple[bool, int]:
    candidate = match.group()
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return False, len(candidate)
    return sum(c.isalnum() for c in candidate) >= 3, len(candidate)


def _judge_phone(match: re.Match[str]) -> tuple[bool, int]:
    """A number that shows what it is, or digit groups of a phone number's size."""
    candidate = match.group()
    if match.lastgroup != "grouped":
        return match.lastgroup != "day", len(candidate)
    groups = list(_DIGITS.finditer(candidate))
    sizes = [group.end() - group.start() for group in groups]
    trunk = candidate.lstrip("(").startswith("0")
    dotted = set(_DIGITS.sub("", candidate)) == {"."}  # 12.345678 and 123.456.789 count something
    if dotted and (len(groups) == 2 or not (trunk or sizes == [3, 3, 4])):
        return False, len(candidate)
    before = match.string[max(match.start() - 3, 0) : match.start()]
    if set(sizes) == {3} and _ONE_DIGIT.search(before):  # 1 234 567 890
        return False, len(candidate)
    if 9 <= sum(sizes) <= 13:
        return True, len(candidate)
    if trunk:  # several numbers in a row: cut at the commonest length
        ends = dict(zip(accumulate(sizes), (group.end() for group in groups), strict=True))
        end = next((ends[size] for size in (10, 11, 12, 9, 13) if size in ends), None)
        if end is not None:
            return True, end
    return False, len(candidate)


Judge = Callable[[re.Match[str]], tuple[bool, int]]
_NUMBERS: tuple[tuple[re.Pattern[str], Judge, str], ...] = (
    (_IBAN, _judge_iban, IBAN),
    (_CARD, _judge_card, CARD),
    (_IPV4, _judge_ip, IP),
    (_IPV6, _judge_ip, IP),
    (_PHONE, _judge_phone, PHONE),
)
