"""Dates, ranges of dates, and times in a chain of digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from behavior_spark.cleaning.personal.numbers import Chain

_YEAR = r"(?:19|20)\d\d"
_MONTH, _DAY = r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_ONE = (
    rf"(?:{_YEAR}(?P<a>[-/.]){_MONTH}(?P=a){_DAY}"
    rf"|(?:{_DAY}(?P<b>[-/.]){_MONTH}|{_MONTH}(?P<c>[-/.]){_DAY})(?:(?P=b)|(?P=c))(?:{_YEAR}|\d\d)"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T ]?[0-2]\d[0-5]\d(?:[0-5]\d)?)?"
    rf"|{_YEAR} ?[-/] ?{_YEAR}|{_YEAR}(?: {_YEAR}){{1,6}}|{_YEAR}[-/.]{_MONTH}|{_DAY}\.{_MONTH}\.?"
    r")"
)
_PLAIN = re.sub(r"\(\?P<\w>(\[[^\]]*\])\)", r"\1", _ONE).replace("(?P=a)", "[-/.]")
_PLAIN = _PLAIN.replace("(?:(?P=b)|(?P=c))", "[-/.]")
_CLOCK = r"(?:[ T]{1,2}[0-2]?\d[:.][0-5]\d(?:[:.][0-5]\d(?:[.,]\d{1,9})?)?)?"
_WHEN = re.compile(
    rf"(?<![A-Za-z0-9_.,/\-+#])(?:{_PLAIN}{_CLOCK}(?: ?(?:-|/|to) ?{_PLAIN}{_CLOCK})"
    rf"|{_ONE}{_CLOCK})(?![0-9]|[-/.][0-9])"
)
_TIME = re.compile(r"(?<!\d)[0-2]?\d:[0-5]\d(?::[0-5]\d)?(?!\d)")


def without_dates(chain: Chain) -> Iterator[Chain]:
    """The parts of a chain that are not dates or times."""
    text = chain.text
    date_spans = [
        m.span() for m in _WHEN.finditer(text, chain.start, min(chain.end + 16, len(text)))
    ]
    date_spans += [
        m.span() for m in _TIME.finditer(text, chain.start, min(chain.end + 8, len(text)))
    ]
    if not date_spans:
        yield chain
        return
    date_spans.sort()
    group_start = 0
    date_index = 0
    for index, (start, end) in enumerate(chain.groups):
        while date_index < len(date_spans) and date_spans[date_index][1] <= start:
            date_index += 1
        is_date = date_index < len(date_spans) and date_spans[date_index][0] < end
        if is_date:
            if index > group_start:
                yield chain.part(group_start, index)
            group_start = index + 1
    if group_start < len(chain.groups):
        yield chain.part(group_start, len(chain.groups))
