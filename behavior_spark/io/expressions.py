"""SQL expressions of a config, checked over the columns they are written for.

Spark takes more for an expression than a config may mean: ``user`` where there is no such column
is the function that gives the session's user, and ``user id`` is a column with an alias. Both are
refused here.
"""

from __future__ import annotations

import difflib
import re

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import condition_of, explain
from behavior_spark.names import quoted_name

_NAME = re.compile(r"[A-Za-z_]\w*")
# Words that Spark reads as a literal or the start of an expression even where a column has them.
_TAKEN = {"null", "true", "false", "case", "interval", "not", "exists", "cast", "date", "timestamp"}
# Functions that SQL calls without brackets.
_WITHOUT_BRACKETS = {
    "user", "current_user", "session_user", "current_date", "current_time", "current_timestamp",
    "localtimestamp", "current_catalog", "current_database", "current_schema",
}  # fmt: skip
_WHO = {"user", "current_user", "session_user"}  # of no row whatever the expression around them
_LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
SHOWN = 20


def type_of(frame: DataFrame, expression: str, *, label: str) -> DataType:
    """Type of an expression over a frame's rows.

    Raises:
        ConfigError: It is not SQL, names a column that is not there, or is an alias.
    """
    _refuse_what_is_no_column(frame.columns, expression, label)
    try:
        # Beside the rows' own columns, where an aggregate has no place; in brackets, where an
        # alias has none.
        return frame.select("*", F.expr(f"(\n{expression}\n)").alias("_")).schema[-1].dataType
    except AnalysisException as error:
        if condition_of(error).startswith("UNRESOLVED_COLUMN"):
            raise _no_column(_missing_column(error), frame.columns, label) from None
        if condition_of(error).startswith("FIELD_NOT_FOUND"):
            raise _no_field(error, expression, label) from None
        if condition_of(error).startswith("AMBIGUOUS_REFERENCE"):
            raise _ambiguous(error, frame.columns, label) from None
        explained = explain(error, label)
        raise ConfigError(
            f"{explained.problem}: {_one_line(expression)}",
            found=explained.found,
            fix=explained.fix,
        ) from None
    except Exception as error:  # the parser's exception has its own class on each platform
        explained = explain(error, label)
        problem = f"{explained.problem}: {_one_line(expression)}"
        raise ConfigError(problem, fix=explained.fix) from None


def check_condition(frame: DataFrame, condition: str, *, label: str) -> None:
    """Raise ConfigError unless the condition is a boolean over the frame's columns."""
    kind = type_of(frame, condition, label=label)
    if kind.typeName() != "boolean":
        raise ConfigError(f"{label} must be a condition", found=f"type {kind.simpleString()}")


def sql_name(name: str) -> str:
    """A column's name as an expression: in backticks where it needs them.

    >>> sql_name("user_id"), sql_name("user id"), sql_name("null"), sql_name("a`b")
    ('user_id', '`user id`', '`null`', '`a``b`')
    """
    if _NAME.fullmatch(name) and name.lower() not in _TAKEN:
        return name
    return quoted_name(name)


def column_list(columns: list[str], *, most: int = SHOWN) -> str:
    """Columns as they are written in an expression, for a message."""
    more = f", ... ({len(columns):,} in all)" if len(columns) > most else ""
    return ", ".join(sql_name(name) for name in columns[:most]) + more


def _refuse_what_is_no_column(columns: list[str], expression: str, label: str) -> None:
    text = expression.strip()
    lower = {name.lower() for name in columns}
    if text.lower() in lower and not _NAME.fullmatch(text):
        raise ConfigError(
            f"{label}: the name {text} needs backticks", fix=f"write {sql_name(text)}"
        )
    if _NAME.fullmatch(text):
        if text.lower() in _WITHOUT_BRACKETS - lower:
            raise _no_column(text, columns, label, also=", which is a function of SQL")
        return
    plain = re.sub(r"`[^`]*`", "``", _LITERAL.sub("''", text))
    for word in re.findall(r"(?<![.\w])([A-Za-z_]\w*)(?!\s*\(|\w)", plain):
        if word.lower() in _WHO - lower:
            raise _no_column(word, columns, label, also=", which is a function of SQL")


def _no_column(missing: str, columns: list[str], label: str, *, also: str = "") -> ConfigError:
    by_lower = {name.lower(): name for name in columns}
    close = difflib.get_close_matches(missing.lower(), list(by_lower), n=1)
    if missing in columns or missing.lower() in by_lower:  # a dot in a name is read as a field
        close = [missing.lower()]
    return ConfigError(
        f"{label}: no column {missing}{also}",
        found=column_list(columns),
        fix=f"did you mean {sql_name(by_lower[close[0]])}?" if close
        else "use one of the columns found",
    )  # fmt: skip


def _no_field(error: AnalysisException, expression: str, label: str) -> ConfigError:
    """A field that a nested column does not have."""
    parameters = error.getMessageParameters() or {}
    missing = parameters.get("fieldName", "").replace("`", "")
    fields = [name.strip(" `") for name in parameters.get("fields", "").split(",")]
    by_lower = {name.lower(): name for name in fields if name}
    close = difflib.get_close_matches(missing.lower(), list(by_lower), n=1)
    return ConfigError(
        f"{label}: no field {missing} in {_one_line(expression)}",
        found=f"fields: {column_list(list(by_lower.values()))}" if by_lower else None,
        fix=f"did you mean {sql_name(by_lower[close[0]])}?" if close
        else "use one of the fields found",
    )  # fmt: skip


def _ambiguous(error: AnalysisException, columns: list[str], label: str) -> ConfigError:
    wanted = str((error.getMessageParameters() or {}).get("name", "")).replace("`", "").lower()
    alike = [name for name in columns if name.lower() == wanted]
    return ConfigError(
        f"{label}: columns that differ by case alone are one name to SQL",
        found=", ".join(alike) or wanted,
        fix="rename one of them where the table is made",
    )


def _missing_column(error: AnalysisException) -> str:
    parameters = error.getMessageParameters() or {}
    name = parameters.get("objectName", "")
    if not name:
        match = re.search(r"name `?([^`]+)`?", str(error))
        name = match.group(1) if match else "?"
    return name.replace("`", "")


def _one_line(expression: str) -> str:
    flat = " ".join(expression.split())
    return flat if len(flat) <= 80 else flat[:77] + "..."
