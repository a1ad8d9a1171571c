"""Mask personal numbers and addresses in a text.

Found by shape and, where the number has one, by its checksum: cards by Luhn
(ISO/IEC 7812-1), IBANs by country length and mod 97 (ISO 13616), IP addresses by
parsing. Names and postal addresses have no shape of their own and are not found.
"""

from __future__ import annotations

import ipaddress
import re

EMAIL, PHONE, CARD, IBAN, IP = "<email>", "<phone>", "<card>", "<iban>", "<ip>"

_EMAIL = re.compile(r"[\w.%+\-]{1,64}@(?:[\w\-]{1,63}\.)+\w{2,24}")
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w.])\d(?:[ \-]?\d){12,18}(?!\d)")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_PHONE = re.compile(r"(?<![\w.,/\-])(?:\+|\()?\d(?:[ ().\-/]{0,3}\d){7,14}(?![\w]|[.,]\d)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_DIGIT = re.compile(r"\d")

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
    found = 0
    if "@" in text:
        text, found = _EMAIL.subn(EMAIL, text)
    if _DIGIT.search(text) is None and ":" not in text:
        return text, found
    count = 0

    def counting(replacement: str | None, original: str) -> str:
        nonlocal count
        if replacement is None:
            return original
        count += 1
        return replacement

    text = _IBAN.sub(lambda m: counting(_masked_iban(m.group()), m.group()), text)
    text = _CARD.sub(lambda m: counting(_masked_card(m.group()), m.group()), text)
    text = _IPV4.sub(lambda m: counting(_masked_ip(m.group()), m.group()), text)
    text = _IPV6.sub(lambda m: counting(_masked_ip(m.group()), m.group()), text)
    text = _PHONE.sub(lambda m: counting(_masked_phone(m.group()), m.group()), text)
    return text, found + count


def _masked_iban(candidate: str) -> str | None:
    length = _IBAN_LENGTH.get(candidate[:2].upper())
    if length is None:
        return None
    taken = 0
    for end, character in enumerate(candidate):
        taken += character.isalnum()
        if taken == length:
            compact = "".join(c for c in candidate[: end + 1] if c.isalnum()).upper()
            rotated = compact[4:] + compact[:4]
            remainder = int("".join(str(int(c, 36)) for c in rotated)) % 97
            return IBAN + candidate[end + 1 :] if remainder == 1 else None
    return None


def _masked_card(candidate: str) -> str | None:
    digits = [int(c) for c in candidate if c.isdigit()]
    doubled = [d if i % 2 == 0 else (d * 2 - 9 if d > 4 else d * 2)
               for i, d in enumerate(reversed(digits))]  # fmt: skip
    return CARD if sum(doubled) % 10 == 0 and len(set(digits)) > 1 else None


def _masked_ip(candidate: str) -> str | None:
    if sum(c.isalnum() for c in candidate) < 3:
        return None
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return None
    return IP


def _masked_phone(candidate: str) -> str | None:
    digits = [c for c in candidate if c.isdigit()]
    international = candidate.startswith("+") or candidate.startswith("00")
    if _DATE.match(candidate) or len(digits) < (8 if international else 9):
        return None
    if international:
        return PHONE
    groups = re.findall(r"\d+", candidate)
    trunk = candidate.lstrip("(").startswith("0")
    if len(groups) == 1:
        return PHONE if trunk and len(digits) <= 12 else None
    grouped = 2 <= len(groups) <= 6 and all(len(group) >= 2 for group in groups)
    decimal = len(groups) == 2 and "." in candidate
    return PHONE if grouped and not decimal else None
