"""Options of Spark's readers, to refuse unknown ones, which Spark ignores silently."""

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
    """Refuse options that the reader of a format does not have.

    Names with a dot are options of Hadoop and always allowed.

    Args:
        options: Names of options.
        format_: Format of a path; None: not known here, options of any format are allowed.
        is_table: Whether a table of a catalog is read; options of any format are allowed.

    Raises:
        ValueError: An option is unknown.

    >>> refuse_unknown_options(["HEADER", "fs.s3a.endpoint"], format_="csv", is_table=False)
    >>> refuse_unknown_options(["heder"], format_="csv", is_table=False)
    Traceback (most recent call last):
        ...
    ValueError: options: csv has no option heder; did you mean header?
    """
    any_format = is_table or format_ is None
    all_options = [*_ICEBERG.split(), *(name for names in _KNOWN.values() for name in names)]
    allowed = all_options if any_format else _KNOWN[str(format_)]
    by_lower = {name.lower(): name for name in allowed}
    for name in options or ():
        if "." in name or name.lower() in by_lower:
            continue
        close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
        hint = f"did you mean {by_lower[close[0]]}?" if close else f"known: {', '.join(allowed)}"
        kind = "a table" if any_format else format_
        raise ValueError(f"options: {kind} has no option {name}; {hint}")
