"""Phone numbers: any country's behind '+' or '00', national ones by their form or a word beside.

Numbers with a country code are checked by Google's libphonenumber (``phonenumbers``). A national
number shows what it is by its area code, or by being grouped as its country writes it (the
library's matcher, exact grouping); any other needs a word such as "tel" or "call" near it.
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
    glyphs="电话|電話|手机|手機|致电|联系|聯絡|携帯|連絡|电联|전화|휴대폰|연락|โทร|फोन|फ़ोन|नंबर",
)  # fmt: skip
_SCORED = label(r"won", r"lost", r"score\w*", r"beat", r"match", r"sets?", r"inches", r"size")
_LED = re.compile(r"[18][ \-.]\(?\d{3}\)?[ \-.]{1,2}\d{3}[ \-.]?\d\d[ \-.]?\d\d")
_NORTH_AMERICAN = re.compile(
    r"\(?[2-9]\d\d\)?(?P<gap> ?- ?|[ .]|(?<=\)) ?)[2-9]\d\d(?:(?P=gap)|-|(?<=\)) )\d{4}"
)
_AREA_IN_BRACKETS = re.compile(r"\(\d{2,5}\) ?\d{2,5}(?:[ \-.]?\d{2,5}){0,3}")
# Between the digits of one number; anything else parts two.
_TOGETHER = re.compile(r" {1,2}|[\-./]| ?\( ?| ?\) ?|\) ?[\-./]|[\-./]\(| - ?| ?- ")
_EPOCH = re.compile(r"1[4-9]\d{8}|1[4-9]\d{11}|1[4-9]\d{14}")
_CLOSED = re.compile(r"[.,]\d{1,2}(?!\d)")
_TRUNK_LENGTHS = (11, 10, 12, 9)
_MOST_DIGITS, _MOST_GROUPS = 15, 16


def find_phones(numbered: NumberedText, regions: tuple[str, ...]) -> Iterator[Span]:
    """Spans of the phone numbers in a text.

    Args:
        numbered: The text.
        regions: Countries (ISO 3166) whose own grouping is enough, without a word beside.
    """
    for whole in numbered.chains:
        if numbered.text[max(whole.start - 3, 0) : whole.start].rstrip(" (").endswith("+"):
            end = _international_end(whole.part(0, _MOST_GROUPS), valid=True)  # +687 20.12.34
            if end:
                yield _with_signs(whole, 0, end)
                whole = whole.part(end, len(whole.groups))
                if not whole.groups:
                    continue
        for dateless in without_dates(whole):
            for chain in _whole_brackets(dateless):
                yield from _in_chain(chain, regions)


def _whole_brackets(chain: Chain) -> Iterator[Chain]:
    """Parts of a chain whose separators a phone number may have, with their brackets in pairs."""
    first, opened = 0, chain.text[chain.start - 1 : chain.start] == "("
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
    """How many groups in, the number that starts with this group ends; 0 where none starts."""
    rest = chain.part(index, index + _MOST_GROUPS)
    text, start = chain.text, rest.start
    middle = index > 1 or (index == 1 and chain.sizes[0] > 3)  # of a long number
    if (abroad := _international_end(rest)) and not (middle and text.startswith("00", start)):
        return index + abroad
    if index and chain.gaps[index - 1] not in (" ", "  ", ", ", ") ", " ("):
        return 0
    if _is_glued(rest) or is_reference(text, start) or is_reference(text, chain.start):
        return 0
    if middle or (index and _grouped_by_three(chain)):
        return 0
    end = _national_end(rest)
    if index == 0 and (not end or min(rest.sizes[end:], default=0) >= 3):
        end = max(end, _labelled_end(rest))
    if not end and index == 0 and len(rest.groups) > 1 and _as_its_country_writes(rest, regions):
        end = len(rest.groups)
    if end and not _is_something_else(rest.part(0, end)):
        return index + end
    return 0


def _with_signs(chain: Chain, first: int, last: int) -> Span:
    """The number with the '+' or bracket before it."""
    start, end = chain.groups[first][0], chain.groups[last - 1][1]
    lead = re.search(r"(?:\(? ?\+ ?\(?|\()$", chain.text[max(start - 4, 0) : start])
    return (start - len(lead.group().lstrip()) if lead else start), end


def _international_end(rest: Chain, *, valid: bool = False) -> int:
    """Groups that a number behind '+' or '00' takes; the longest valid one, else possible one."""
    text, start = rest.text, rest.start
    before = text[max(start - 3, 0) : start]
    plus = re.search(r"\+ ?\(?$", before) is not None
    zeros = text.startswith("00", start) and not before[-1:].isalnum()
    if not (plus or zeros):
        return 0
    skipped = 0 if plus else 2
    possible = 0
    for last in range(len(rest.groups), 0, -1):
        part = rest.part(0, last)
        if not 7 <= sum(part.sizes) - skipped <= _MOST_DIGITS:
            continue
        if is_amount(text, part.start, part.end) and _grouped_by_three(part):
            continue
        digits = re.sub(r"\(0\)", "", text[part.start : part.end])
        verdict = _check("+" + re.sub(r"\D", "", digits)[skipped:])
        if verdict == "valid":
            return last
        possible = possible or (last if verdict == "possible" else 0)
    if rest.glued_right and rest.glued_left:
        return 0  # random characters
    return possible if plus and not valid else 0


def _check(number: str, country_code: str | None = None) -> str:
    """``valid``, ``possible`` (its length is right) or ``no``, for one country code or any."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return "no"
    if country_code not in (None, str(parsed.country_code)):
        return "no"
    if phonenumbers.is_valid_number(parsed):
        return "valid"
    return "possible" if phonenumbers.is_possible_number(parsed) else "no"


def _national_end(rest: Chain) -> int:
    """Groups that a national number takes whose form alone shows that it is one."""
    text, sizes = rest.text, rest.sizes
    start = rest.start - (text[rest.start - 1 : rest.start] == "(")
    for pattern in (_LED, _NORTH_AMERICAN, _AREA_IN_BRACKETS):
        match = pattern.match(text, start, rest.end)
        if match and 9 <= sum(c.isdigit() for c in match.group()) <= 12:
            taken = [index for index, (_, end) in enumerate(rest.groups, 1) if end == match.end()]
            if taken:
                return taken[0]
    first = text[rest.start : rest.groups[0][1]]
    if first[0] != "0" or first[1:2] in ("", "0"):
        return 0
    if len(first) in (10, 11):
        return 1
    if not 2 <= len(first) <= 5 or (len(sizes) == 2 and rest.gaps[0] == "."):
        return 0
    ends = dict(zip(accumulate(sizes), range(1, len(sizes) + 1), strict=True))
    if sum(sizes) in (9, 10, 11, 12) and 1 not in sizes:
        return len(sizes)
    return next((ends[length] for length in _TRUNK_LENGTHS if ends.get(length, 0) > 1), 0)


def _labelled_end(rest: Chain) -> int:
    """Groups of a number with a word such as "call" near it."""
    beside = words_before(rest.text, rest.start, 48) + rest.glued_left.lower()
    named = _CALL.search(beside) or _CALL.search(words_after(rest.text, rest.end, 16))
    if not named or _SCORED.search(beside):
        return 0
    sizes = rest.sizes
    if sizes[0] >= 9:
        return 1 if sizes[0] <= 13 else 0
    if len(set(sizes)) == 1 and sizes[0] == 1 and sum(sizes) < 9:
        return 0  # 6-4 6-3 7-6
    totals = list(accumulate(sizes))
    if totals[-1] <= 13:
        return len(sizes) if totals[-1] >= 7 else 0
    return next((index for index in range(len(sizes), 0, -1) if 7 <= totals[index - 1] <= 12), 0)


def _as_its_country_writes(rest: Chain, regions: tuple[str, ...]) -> bool:
    """Whether the whole chain is valid somewhere and grouped as that country groups."""
    if not 9 <= sum(rest.sizes) <= 13 or _grouped_by_three(rest) or len(rest.groups) > 6:
        return False
    written = rest.text[rest.start : rest.end]
    first = rest.text[rest.groups[0][0] : rest.groups[0][1]]
    led = len(first) <= 3 and sum(rest.sizes) >= 11 and max(rest.sizes) >= 3
    if led and _check("+" + rest.digits, first) == "valid":
        return True
    return any(next(iter(_matches(written, region)), written) != written for region in regions)


def _matches(written: str, region: str) -> Iterator[str | None]:
    """None for the whole string being a number of the region in its exact grouping."""
    matcher = PhoneNumberMatcher(written, region, leniency=Leniency.EXACT_GROUPING, max_tries=1)
    for match in matcher:
        yield None if match.raw_string == written else written


def _grouped_by_three(part: Chain) -> bool:
    """1 234 567, 250 000 000: as amounts are written."""
    same = len(set(part.gaps)) == 1 and part.gaps[0] in (" ", ".", ",", "'")
    return same and part.sizes[0] <= 3 and set(part.sizes[1:]) == {3}


def _is_glued(rest: Chain) -> bool:
    """Whether it is part of a code: letters, a dash or a sign of another kind beside it."""
    text, start, end = rest.text, rest.start, rest.end
    left = rest.glued_left.lower()
    if left and not _CALL.search(left):
        return True
    before = text[max(start - 2, 0) : start]
    sign = before[-1:]
    if sign in ("-", "/", "_", "#", "&", "=") and not (sign == "=" or before[:1] in " :)"):
        named = _CALL.search(words_before(text, start - 1, 16))
        if not named or sign in ("#", "_"):
            return True
    if sign in (".", ",") and before[:1].isdigit() and not text.startswith("0", start):
        return sign == "." or rest.sizes[0] != 3 or len(rest.groups) == 1
    if text[end : end + 1] in ("-", "_", "/") and text[end + 1 : end + 2].isalnum():
        return True
    right = rest.glued_right
    return bool(right) and not (len(right) >= 3 and right[1:].islower())


def _is_something_else(part: Chain) -> bool:
    """An amount, a fraction, a time of a clock of a computer."""
    text, start, end = part.text, part.start, part.end
    if is_amount(text, start, end) or (_EPOCH.fullmatch(part.digits) and len(part.groups) == 1):
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
