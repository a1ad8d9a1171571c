"""The options that Spark's readers know: they pass over those they do not, without a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_FILES = """pathGlobFilter recursiveFileLookup ignoreCorruptFiles ignoreMissingFiles modifiedBefore
modifiedAfter basePath"""
_TEXT = """encoding charset lineSep locale timeZone mode multiLine samplingRatio dateFormat
timestampFormat timestampNTZFormat enableDateTimeParsingFallback columnNameOfCorruptRecord
rescuedDataColumn singleVariantColumn"""
_CSV = """sep delimiter quote escape comment header inferSchema preferDate enforceSchema
ignoreLeadingWhiteSpace ignoreTrailingWhiteSpace nullValue emptyValue nanValue positiveInf
negativeInf maxColumns maxCharsPerColumn charToEscapeQuoteEscaping unescapedQuoteHandling"""
_JSON = """primitivesAsString prefersDecimal inferTimestamp allowComments allowUnquotedFieldNames
allowSingleQuotes allowNumericLeadingZeros allowBackslashEscapingAnyCharacter
allowUnquotedControlChars allowNonNumericNumbers dropFieldIfAllNull"""
_PARQUET = "mergeSchema datetimeRebaseMode int96RebaseMode"
_DELTA = """versionAsOf timestampAsOf readChangeFeed readChangeData startingVersion endingVersion
startingTimestamp endingTimestamp"""
_ICEBERG = "snapshot-id as-of-timestamp branch tag"
_KNOWN = {
    "csv": f"{_FILES} {_TEXT} {_CSV}".split(),
    "json": f"{_FILES} {_TEXT} {_JSON}".split(),
    "parquet": f"{_FILES} {_PARQUET}".split(),
    "delta": _DELTA.split(),
}


def refuse_unknown_options(
    options: Iterable[str] | None, *, format_: str | None, is_table: bool
) -> None:
    """Refuse an option that no reader of the format knows; those with a dot are Hadoop's own.

    Args:
        options: Names.
        format_: Of a path; None: of another table's part, any.
        is_table: Whether a catalog's table is read, whose format only the catalog knows.

    Raises:
        ValueError: One of them is unknown.

    >>> refuse_unknown_options(["HEADER", "fs.s3a.endpoint"], format_="csv", is_table=False)
    >>> refuse_unknown_options(["heder"], format_="csv", is_table=False)
    Traceback (most recent call last):
        ...
    ValueError: options: csv has no option heder; did you mean header?
    """
    of_any = is_table or format_ is None
    everything = [*_ICEBERG.split(), *(name for names in _KNOWN.values() for name in names)]
    known = everything if of_any else _KNOWN[str(format_)]
    by_lower = {name.lower(): name for name in known}
    for name in options or ():
        if "." in name or name.lower() in by_lower:
            continue
        close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
        hint = f"did you mean {by_lower[close[0]]}?" if close else f"known: {', '.join(known)}"
        kind = "a table" if of_any else format_
        raise ValueError(f"options: {kind} has no option {name}; {hint}")
