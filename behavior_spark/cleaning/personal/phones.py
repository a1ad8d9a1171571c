"""Find phone numbers: international ones after '+' or '00', national ones by form or context.

Numbers with a country code are checked by Google's libphonenumber (``phonenumbers``). A national
number is detected by its area code or by the usual grouping of its country (the library's matcher
with exact grouping); any other only with a word such as "tel" or "call" near it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatcher

from behavior_spark.cleaning.personal.context import (
    is_amount,
    is_reference,
    label,
    words_after,
    words_before,
)
from behavior_spark.cleaning.personal.dates import without_dates
from behavior_spark.cleaning.personal.numbers import Chain, NumberedText

Span = tuple[int, int]

_CALL = label(
    r"t[eé]l[.:]?", r"(?<!-)ph", r"(?:tele)?phones?", r"(?:tele)?phone ?(?:no|nr|number)",
    r"t[eé]l[eé]phon\w*", r"tel[eé]f\w+", r"call(?:s|ed|ing)?", r"ring", r"dial\w*", r"mob",
    r"mobil\w*",
    r"cell(?:s|phone|ular\w*)?", r"celular", r"fax", r"whats ?app", r"wa", r"viber", r"sms",
    r"text(?:ed)? (?:me|us|him|her)", r"hotline", r"contact\w*", r"reach\w*", r"handy\w*",
    r"(?:an)?ruf\w*", r"erreich\w*", r"appel\w*", r"portable", r"joindre", r"ll[aá]m\w*",
    r"m[oó]vil", r"lig(?:ue|ar|a)", r"chiam\w*", r"bel(?:len)?", r"dzwoń|zadzwoń", r"numer tel\w*",
    r"komórk\w*", r"ring", r"hív\w*", r"szám(?:a|om|unk)", r"soitt\w*", r"puhelin\w*", r"puh",
    r"sunați|sună", r"zavolej\w*", r"volej\w*", r"hubungi", r"telp", r"hp", r"gọi", r"điện thoại",
    r"ara", r"тел", r"телефон\w*", r"звон\w*", r"моб\w*", r"هاتف", r"جوال", r"اتصل", r"رقم",
    r"my (?:new |own |work |home )?(?:number|nr|no)", r"number (?:is|to reach)", r"meine nummer",
    r"mon num[eé]ro", r"mi n[uú]mero", r"meu n[uú]mero", r"il mio numero", r"फ़?ोन", r"मोबाइल",
    r"कॉल",
    r"tlf[.:n]?", r"tfno", r"wsp", r"gsm", r"natel", r"τηλ\w*", r"κιν\w*",
    glyphs="微信|电话|電話|手机|手機|致电|联系|聯絡|携帯|連絡|电联|전화|휴대폰|연락|โทร|फोन|फ़ोन|नंबर",
)  # fmt: skip
_SCORED = label(r"won", r"lost", r"score\w*", r"beat", r"match", r"sets?", r"inches", r"size")
_LED = re.compile(r"[18][ \-.]\(?\d{3}\)?[ \-.]{1,2}\d{3}[ \-.]?\d\d[ \-.]?\d\d")
_NORTH_AMERICAN = re.compile(
    r"\(?[2-9]\d\d\)?(?P<gap> ?- ?|[ .]|(?<=\)) ?)[2-9]\d\d(?:(?P=gap)|-|(?<=\)) )\d{4}"
)
_AREA_IN_BRACKETS = re.compile(r"\(\d{2,5}\) ?\d{2,5}(?:[ \-.]?\d{2,5}){0,3}")
# Separators within a number; any other separates two numbers.
_TOGETHER = re.compile(r" {1,2}|[\-.]| ?/ ?| ?\( ?| ?\) ?|\) ?[\-./]|[\-./]\(| - ?| ?- ")
_EPOCH = re.compile(r"1[4-9]\d{8}|1[4-9]\d{11}|1[4-9]\d{14}")
_CLOSED = re.compile(r"[.,]\d{1,2}(?!\d)")
_EXTENSION = re.compile(
    r" ?,? ?(?:x|ext\.?|extension|durchwahl|poste|доб\.?) ?#?\d{1,6}(?![A-Za-z0-9])", re.I
)
# Of a word that is declined: Hungarian "06 30 123 4567-es", Finnish "040 1234567-numero".
_ENDING = re.compile(r"-[^\W\d_A-Z]{1,6}(?![\w\-])")
_TRUNK_LENGTHS = (11, 10, 12, 9)
_MOST_DIGITS, _MOST_GROUPS = 15, 16


def find_phones(numbered: NumberedText, regions: tuple[str, ...]) -> Iterator[Span]:
    """Spans of the phone numbers in a text.

    Args:
        numbered: The text.
        regions: Countries (ISO 3166) whose grouping is enough, without a word such as "tel".
    """
    for candidate in numbered.chains:
        if numbered.text[max(candidate.start - 3, 0) : candidate.start].rstrip(" (").endswith("+"):
            # +687 20.12.34; behind a word such as "tel" even one that is not in use
            named = _CALL.search(words_before(numbered.text, candidate.start, 24)) is not None
            end = _international_end(candidate.part(0, _MOST_GROUPS), valid=not named)
            if end:
                yield _with_signs(candidate, 0, end)
                candidate = candidate.part(end, len(candidate.groups))
                if not candidate.groups:
                    continue
        for part in without_dates(candidate):
            for chain in _whole_brackets(part):
                yield from _in_chain(chain, regions)


def _whole_brackets(chain: Chain) -> Iterator[Chain]:
    """Split a chain at separators that no phone number has, and at unpaired brackets."""
    lead = chain.text[max(chain.start - 2, 0) : chain.start]
    first, opened = 0, lead.endswith(("(", "(+"))
    gaps = chain.gaps
    for index, gap in enumerate(gaps, 1):
        apart = _TOGETHER.fullmatch(gap) is None
        if ")" in gap:
            apart |= not opened
            opened = False
        if "(" in gap:
            opened = True
            apart |= not any(")" in later for later in gaps[index : index + 2])
        if apart:
            yield chain.part(first, index)
            first, opened = index, "(" in gap
    yield chain.part(first, len(chain.groups))


def _in_chain(chain: Chain, regions: tuple[str, ...]) -> Iterator[Span]:
    index = 0
    while index < len(chain.groups):
        last = _end_of_number(chain, index, regions)
        if last:
            yield _with_signs(chain, index, last)
            chain, index = chain.part(last, len(chain.groups)), 0
        else:
            index += 1


def _end_of_number(chain: Chain, index: int, regions: tuple[str, ...]) -> int:
    """Index after the last group of the number that starts with group ``index``; 0 if none does."""
    tail = chain.part(index, index + _MOST_GROUPS)
    text, start = chain.text, tail.start
    inside_number = index > 1 or (
        index == 1 and chain.sizes[0] > 3
    )  # the group is inside a longer number
    if (international := _international_end(tail)) and not (
        text.startswith("00", start) and (inside_number or _is_padded(tail))
    ):
        return index + international
    if index and chain.gaps[index - 1] not in (" ", "  ", ", ", ") ", " ("):
        return 0
    if _is_glued(tail) or is_reference(text, start) or is_reference(text, chain.start):
        return 0
    if inside_number or (index and _grouped_by_three(chain)):
        return 0
    end = _national_end(tail)
    if index == 0 and (not end or min(tail.sizes[end:], default=0) >= 3):
        end = max(end, _labelled_end(tail))
    if not end and index == 0 and len(tail.groups) > 1 and _as_its_country_writes(tail, regions):
        end = len(tail.groups)
    if end and not _is_something_else(tail.part(0, end)):
        return index + end
    return 0


def _is_padded(chain: Chain) -> bool:
    """Whether a number is filled up with zeros: barcodes and orders are, and are named as such."""
    return len(chain.groups) == 1 and is_reference(chain.text, chain.start)


def _with_signs(chain: Chain, first: int, last: int) -> Span:
    """Span of some groups, with a '+' or bracket before them and an extension after them."""
    start, end = chain.groups[first][0], chain.groups[last - 1][1]
    prefix = re.search(r"(?:\(? ?\+ ?\(?|\()$", chain.text[max(start - 4, 0) : start])
    extension = _EXTENSION.match(chain.text, end)
    end = extension.end() if extension else end
    return (start - len(prefix.group().lstrip()) if prefix else start), end


def _international_end(chain: Chain, *, valid: bool = False) -> int:
    """Number of groups of an international number (after '+' or '00'); 0 if there is none.

    The longest valid number is chosen; without one the longest possible number, unless ``valid``.
    """
    text, start = chain.text, chain.start
    before = text[max(start - 3, 0) : start]
    plus = re.search(r"\+ ?\(?$", before) is not None
    is_fraction = before[-1:] in (".", ",") and before[-2:-1].isdigit()  # 0.0023
    glued = before[-1:].isalnum() and before[-1:].isascii()
    zeros = text.startswith("00", start) and not glued and not is_fraction
    if not (plus or zeros):
        return 0
    skipped = 0 if plus else 2
    possible = 0
    for last in range(len(chain.groups), 0, -1):
        part = chain.part(0, last)
        if not 7 <= sum(part.sizes) - skipped <= _MOST_DIGITS:
            continue
        if is_amount(text, part.start, part.end) and _grouped_by_three(part):
            continue
        digits = re.sub(r"\(0\)", "", text[part.start : part.end])
        verdict = _check("+" + re.sub(r"\D", "", digits)[skipped:])
        if verdict == "valid":
            return last
        possible = possible or (last if verdict == "possible" else 0)
    if chain.glued_right and chain.glued_left:
        return 0  # random characters
    return possible if plus and not valid else 0


def _check(number: str, country_code: str | None = None) -> str:
    """``valid``, ``possible`` (of a right length) or ``no``, for one country code or any."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return "no"
    if country_code not in (None, str(parsed.country_code)):
        return "no"
    if phonenumbers.is_valid_number(parsed):
        return "valid"
    return "possible" if phonenumbers.is_possible_number(parsed) else "no"


def _national_end(chain: Chain) -> int:
    """Number of groups of a national number that is detected by its form; 0 if there is none."""
    text, sizes = chain.text, chain.sizes
    start = chain.start - (text[chain.start - 1 : chain.start] == "(")
    for pattern in (_LED, _NORTH_AMERICAN, _AREA_IN_BRACKETS):
        match = pattern.match(text, start, chain.end)
        if match and 9 <= sum(c.isdigit() for c in match.group()) <= 12:
            group_counts = [
                index for index, (_, end) in enumerate(chain.groups, 1) if end == match.end()
            ]
            if group_counts:
                return group_counts[0]
    first_group = text[chain.start : chain.groups[0][1]]
    if first_group[0] != "0" or first_group[1:2] in ("", "0"):
        return 0
    if len(first_group) in (10, 11):
        return 1
    if not 2 <= len(first_group) <= 5 or (len(sizes) == 2 and chain.gaps[0] == "."):
        return 0
    ends = dict(zip(accumulate(sizes), range(1, len(sizes) + 1), strict=True))
    if sum(sizes) in (9, 10, 11, 12) and 1 not in sizes:
        return len(sizes)
    return next((ends[length] for length in _TRUNK_LENGTHS if ends.get(length, 0) > 1), 0)


def _labelled_end(chain: Chain) -> int:
    """Number of groups of a number with a word such as "call" near it; 0 if there is none."""
    nearby = words_before(chain.text, chain.start, 48) + chain.glued_left.lower()
    named = _CALL.search(nearby) or _CALL.search(words_after(chain.text, chain.end, 16))
    if not named or _SCORED.search(nearby):
        return 0
    sizes = chain.sizes
    if sizes[0] >= 9:
        return 1 if sizes[0] <= 13 else 0
    if len(set(sizes)) == 1 and sizes[0] == 1 and sum(sizes) < 9:
        return 0  # 6-4 6-3 7-6
    totals = list(accumulate(sizes))
    if totals[-1] <= (_MOST_DIGITS if chain.digits.startswith("00") else 13):
        return len(sizes) if totals[-1] >= 7 else 0
    return next((index for index in range(len(sizes), 0, -1) if 7 <= totals[index - 1] <= 12), 0)


def _as_its_country_writes(chain: Chain, regions: tuple[str, ...]) -> bool:
    """Whether the whole chain is a valid number of a country in its usual grouping."""
    if not 9 <= sum(chain.sizes) <= 13 or _grouped_by_three(chain) or len(chain.groups) > 6:
        return False
    written = chain.text[chain.start : chain.end]
    first_group = chain.text[chain.groups[0][0] : chain.groups[0][1]]
    may_have_country_code = (
        len(first_group) <= 3 and sum(chain.sizes) >= 11 and max(chain.sizes) >= 3
    )
    if may_have_country_code and _check("+" + chain.digits, first_group) == "valid":
        return True
    return any(next(iter(_matches(written, region)), written) != written for region in regions)


def _matches(written: str, region: str) -> Iterator[str | None]:
    """For each number of the region in its exact grouping: None if it is the whole string."""
    matcher = PhoneNumberMatcher(written, region, leniency=Leniency.EXACT_GROUPING, max_tries=1)
    for match in matcher:
        yield None if match.raw_string == written else written


def _grouped_by_three(part: Chain) -> bool:
    """Whether digits are grouped like an amount: 1 234 567, 250 000 000."""
    same = len(set(part.gaps)) == 1 and part.gaps[0] in (" ", ".", ",", "'")
    return same and part.sizes[0] <= 3 and set(part.sizes[1:]) == {3}


def _is_glued(chain: Chain) -> bool:
    """Whether the chain is part of a code: a letter, a dash or another sign is beside it."""
    text, start, end = chain.text, chain.start, chain.end
    left = chain.glued_left.lower()
    if left and not _CALL.search(left):
        return True
    before = text[max(start - 2, 0) : start]
    sign = before[-1:]
    if sign in ("-", "/", "_", "#", "&", "=") and not (sign == "=" or before[:1] in " :)"):
        named = _CALL.search(words_before(text, start - 1, 16))
        short = sign == "-" and named is not None and len(named.group()) <= 2  # HP-7046-44214
        if not named or short or sign in ("#", "_"):
            return True
    if sign in (".", ",") and before[:1].isdigit() and not text.startswith("0", start):
        return sign == "." or chain.sizes[0] != 3 or len(chain.groups) == 1
    if text[end : end + 1] in ("-", "_", "/") and text[end + 1 : end + 2].isalnum():
        return _ENDING.match(text, end) is None
    right = chain.glued_right
    if right and len(chain.groups) > 1 and _EXTENSION.match(text, end):
        return False
    return bool(right) and not (len(right) >= 3 and right[1:].islower())


def _is_named_directly(text: str, start: int) -> bool:
    """Whether the word right before the number, such as "tel:", says that it is a phone's."""
    before = words_before(text, start, 24).rstrip(" :=.(")
    return any(match.end() == len(before) for match in _CALL.finditer(before))


def _is_something_else(part: Chain) -> bool:
    """Whether the number is an amount, a fraction or a Unix timestamp."""
    text, start, end = part.text, part.start, part.end
    epoch = _EPOCH.fullmatch(part.digits) is not None and len(part.groups) == 1
    if is_amount(text, start, end) or (epoch and not _is_named_directly(text, start)):
        return True
    if _CLOSED.match(text, end) and (_grouped_by_three(part) or len(part.groups) == 1):
        return True
    if part.gaps == ["."] and not _CALL.search(words_before(text, start, 24)):
        return True
    if set(part.gaps) == {"."} and not part.digits.startswith("0"):
        return part.sizes != [3, 3, 4] and not _CALL.search(words_before(text, start, 24))
    before = words_before(text, start, 8)
    one_digit = re.search(r"(?<!\d)\d $", before)  # 1 234 567 890
    return bool(one_digit) and set(part.sizes) == {3}
