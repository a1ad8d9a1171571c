"""Turn Spark's errors into ``BehaviorError``: no stack trace, no content of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger

from behavior_spark import errors
from behavior_spark.errors import BehaviorError, InputError, MissingInputError

_ADVICE = {
    "PATH_NOT_FOUND": "check the path; relative paths start at the working directory",
    "UNABLE_TO_INFER_SCHEMA": "the folder holds no file of this format: check path and format",
    "TABLE_OR_VIEW_NOT_FOUND": "check the name (catalog.schema.table) and your rights",
    "UNRESOLVED_COLUMN": "check the spelling against the columns found",
    "UNRESOLVED_ROUTINE": "no such SQL function",
    "PARSE_SYNTAX_ERROR": "this is not a valid SQL expression",
    "DATATYPE_MISMATCH": "the expression's types do not fit together; columns of CSV files are "
    "text: cast(x AS bigint)",
    "CAST_INVALID_INPUT": "a value does not fit the type: use try_cast instead of cast",
    "CANNOT_PARSE_TIMESTAMP": "a value is no such time: use try_to_timestamp",
    "DIVIDE_BY_ZERO": "use try_divide",
    "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH": "a column has another type in this file "
    "than in others: cast it where the files are written, or read the folder as a Delta table",
    "FAILED_READ_FILE.FILE_NOT_EXIST": "the file went while it was read: start again",
    "FAILED_READ_FILE.NOT_PARQUET": "write format: csv or json beside its path if it is that "
    "(without it Parquet is read); else it is corrupt: replace or remove it",
    "FAILED_READ_FILE": "the file may be corrupt or of another format: look at it first",
    "PARQUET_TYPE_ILLEGAL": "a column has a type that Spark does not read, such as times in "
    "nanoseconds: write microseconds (pandas: coerce_timestamps='us')",
    "CANNOT_MERGE_SCHEMAS": "a column has other types in other files: leave mergeSchema out",
    "COLUMN_ALREADY_EXISTS": "columns that differ by case alone are one name to SQL: rename one "
    "where the file is made",
    "ARITHMETIC_OVERFLOW": "a number is too large for its type: is a time's unit right "
    "(timestamp_millis(x), timestamp_micros(x))? timestamp_micros(try_multiply(x, 1000)) refuses "
    "such rows alone",
    "CANNOT_READ_FILE_FOOTER": "write format: csv or json beside its path if it is that "
    "(without it Parquet is read); else it is corrupt: replace or remove it",
    "MALFORMED_RECORD_IN_PARSING": "a line does not parse: check format and options",
    "DELTA_TABLE_NOT_FOUND": "there is no Delta table at this place yet",
    "DELTA_CONCURRENT": "another run wrote the same rows: start this one again",
}
_MISSING = ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND")
_QUERY_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
# A BehaviorError raised in a worker, as Spark quotes it at the end of the worker's traceback.
_REFUSAL = re.compile(
    r"Traceback \(most recent call last\):.*?^behavior_spark\.errors\.(?P<kind>\w+): "
    r"(?P<problem>[^\n]+)(?:\n  found: (?P<found>[^\n]+))?(?:\n  fix: (?P<fix>[^\n]+))?",
    re.DOTALL | re.MULTILINE,
)
# Where the worker's traceback ends, and the type of what was raised; its message may quote a row.
_RAISED_AT = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>\S+)')
_RAISED = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
_FOLDERS_SHOWN = 3
_PATH = re.compile(r"(?:file:|[a-z0-9]+://|/)[\w./=:%@+\- ]*[\w]")
_SAFE_PARAMETERS = (
    "path", "filePath", "objectName", "proposal", "routineName", "expectedType",
    "actualType", "columnName", "relationName", "tableName", "fieldName", "inputType",
)  # fmt: skip


def condition_of(error: PySparkException) -> str:
    """Spark's error condition, such as PATH_NOT_FOUND; an empty string if it has none."""
    getter = getattr(error, "getCondition", None) or error.getErrorClass
    try:
        return str(getter() or "")
    except Exception:  # an error may fail to describe itself
        return ""


def explain(error: Exception, context: str) -> BehaviorError:
    """Translate an error of Spark, without the values of rows that Spark quotes.

    Args:
        error: The exception that was raised.
        context: What was being read or done, such as ``sources.events (data/clicks)``.
    """
    if isinstance(error, BehaviorError):
        return error
    text = str(error)
    if quoted := _REFUSAL.search(text):
        kind = getattr(errors, quoted["kind"], BehaviorError)
        problem = f"{context}: {quoted['problem']}"
        refused: BehaviorError = kind(problem, found=quoted["found"], fix=quoted["fix"])
        return refused
    condition = condition_of(error) if isinstance(error, PySparkException) else ""
    if not condition or condition.startswith(("_LEGACY", "INTERNAL")):
        match = re.search(r"\[([A-Z][A-Z0-9_]{5,}(?:\.[A-Z0-9_]+)?)\]", text)
        condition = match.group(1) if match else condition
    if "is not a Parquet file" in text or "is not a parquet file" in text.lower():
        condition = "FAILED_READ_FILE.NOT_PARQUET"
    elif not condition and "ArithmeticException: long overflow" in text:
        condition = "ARITHMETIC_OVERFLOW"
    advice = next((fix for name, fix in _ADVICE.items() if condition.startswith(name)), None)
    details = _safe_details(error, condition, text)
    if advice is None and not condition:
        return BehaviorError(f"{context}: {type(error).__name__}", found=details or None)
    sentence = _sentence(condition, error)
    refusal = MissingInputError if condition.startswith(_MISSING) else InputError
    return refusal(f"{context}: {sentence}", found=details or None, fix=advice)


@contextmanager
def spark_errors(context: str) -> Iterator[None]:
    """Turn Spark's exceptions into BehaviorErrors that name the context."""
    try:
        yield
    except Exception as error:
        if not from_spark(error):
            raise
        raise explain(error, context) from None


@contextmanager
def quiet_query_logs() -> Iterator[None]:
    """Silence the loggers that print values and stack traces of failed queries in PySpark."""
    loggers = [PySparkLogger.getLogger(name) for name in _QUERY_LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def from_spark(error: Exception) -> bool:
    """Whether Spark raised this error, including errors of the JVM (py4j) and of Connect (grpc)."""
    return type(error).__module__.split(".")[0] in {"pyspark", "py4j", "grpc"}


def _sentence(condition: str, error: Exception) -> str:
    words = condition.split(".")[0].replace("_", " ").lower()
    return words or type(error).__name__


def _safe_details(error: Exception, condition: str, text: str) -> str:
    """Names and paths that the error mentions, never a value of a row."""
    parameters: dict[str, str] = {}
    if isinstance(error, PySparkException):
        try:
            parameters = dict(error.getMessageParameters() or {})
        except Exception:
            parameters = {}
    shown = [f"{k} {v}" for k, v in parameters.items() if k in _SAFE_PARAMETERS and v]
    if not shown and "FILE" in condition:
        shown = [f"file {match}" for match in _PATH.findall(text)[:1]]
    if not shown and (raised := _raised_in_python(text)):
        shown = [raised]
    return ", ".join(shown)[:300]


def _raised_in_python(text: str) -> str:
    r"""Type and place of an error that a Python worker raised; an empty string if none is quoted.

    >>> _raised_in_python(
    ...     'Traceback (most recent call last):\n'
    ...     '  File "/env/lib/behavior_spark/model/forest.py", line 12, in margins\n'
    ...     "    return trees[name]\n"
    ...     "KeyError: 'secret'"
    ... )
    'KeyError in behavior_spark/model/forest.py, line 12 (margins)'
    """
    frames = list(_RAISED_AT.finditer(text))
    if not frames:
        return ""
    last = frames[-1]
    kind = _RAISED.search(text, last.end())
    place = "/".join(last["file"].replace("\\", "/").split("/")[-_FOLDERS_SHOWN:])
    named = kind["kind"] if kind else "an error"
    return f"{named} in {place}, line {last['line']} ({last['function']})"
