"""Days, spans of days and times that stand in a chain of digits."""

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
    """What is left of a chain before, between and behind its days and times."""
    text = chain.text
    taken = [m.span() for m in _WHEN.finditer(text, chain.start, min(chain.end + 16, len(text)))]
    taken += [m.span() for m in _TIME.finditer(text, chain.start, min(chain.end + 8, len(text)))]
    if not taken:
        yield chain
        return
    taken.sort()
    first = 0
    place = 0
    for index, (start, end) in enumerate(chain.groups):
        while place < len(taken) and taken[place][1] <= start:
            place += 1
        dated = place < len(taken) and taken[place][0] < end
        if dated:
            if index > first:
                yield chain.part(first, index)
            first = index + 1
    if first < len(chain.groups):
        yield chain.part(first, len(chain.groups))
