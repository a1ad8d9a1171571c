"""Convert a source's mapped rows to typed columns, with reasons of refusal and flags of changes.

``read_rows`` adds to the contract's columns

- ``_unread``: first column that could not be converted, and why; null if all could;
- ``_missing``: first column without which a row is refused and that has no value, in words; null
  if there is none;
- ``_raw_<column>``: the original value as text, if it could not be converted;
- ``_changed_<column>``: sum of the changes made (``values.Change``); 0 for none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, TimestampType

from behavior_spark.cleaning.values import (
    CHANGES,
    WRITTEN,
    Change,
    Reading,
    compose,
    is_changed,
    not_utf8,
    possible_changes,
    read_value,
    trim,
)
from behavior_spark.schemas import Contract

UNREAD, MISSING, RAW, CHANGED = "_unread", "_missing", "_raw_", "_changed_"
_COMPOSED, _TRIMMED, _NOT_UTF8 = "_composed", "_trimmed_", "_not_utf8_"
# Columns that get a value where the source has none; see ``rows.prepare``.
FILLED_IN = ("arrived_at", "arrived_day", "valid_from")


def read_rows(frame: DataFrame, contract: Contract) -> DataFrame:
    """Rows of a contract, from mapped columns with the source's types.

    Args:
        frame: Columns with the contract's names, of any type that the mapping allows.
        contract: Contract of the result.
    """
    targets = {f.name: f.dataType for f in contract.columns if f.name in frame.columns}
    needed = [name for name in contract.required if name in targets and name not in FILLED_IN]
    return _read(frame, targets, needed=needed)


def read_attributes(frame: DataFrame) -> DataFrame:
    """Rows of a table of attributes: user and times are converted, attributes are unchanged."""
    times = dict.fromkeys(("valid_from", "known_at"), TimestampType())
    return _read(frame, {"user_id": StringType(), **times})


def read_contacts(frame: DataFrame) -> DataFrame:
    """Rows of a table of contacts: the user is converted as in all tables, the rest unchanged."""
    names = frame.columns
    return _read(frame, {"user_id": StringType()}).select(*names)


def _read(
    frame: DataFrame, targets: Mapping[str, DataType], *, needed: Sequence[str] = ()
) -> DataFrame:
    kinds = {name: frame.schema[name].dataType for name in targets}
    other_columns = [name for name in frame.columns if name not in targets]
    strings = [n for n in targets if isinstance(kinds[n], StringType)]
    text_columns = [n for n in strings if n not in WRITTEN]
    # Separate columns, because Spark would evaluate the expression wherever it is used.
    if strings:
        frame = frame.withColumns(
            {
                **{name: F.make_valid_utf8(name) for name in strings},
                **{_NOT_UTF8 + name: not_utf8(F.col(name)) for name in strings},
            }
        )
    if text_columns:
        frame = frame.withColumns({_TRIMMED + name: trim(F.col(name)) for name in text_columns})
    readings = {
        name: read_value(
            F.col(name),
            kinds[name],
            target,
            name=name,
            trimmed=F.col(_TRIMMED + name) if name in text_columns else None,
        )
        for name, target in targets.items()
    }

    def changed(name: str) -> Column:
        flags = readings[name].changed.cast("int")
        return flags + F.col(_NOT_UTF8 + name) if name in strings else flags

    reasons = [
        F.when(reading.reason.isNotNull(), F.concat(F.lit(f"{name} "), reading.reason))
        for name, reading in readings.items()
    ]
    read = frame.select(
        *other_columns,
        *[reading.value.alias(name) for name, reading in readings.items()],
        F.coalesce(*reasons, F.lit(None).cast("string")).alias(UNREAD),
        # Before names are composed, so that refused rows are found without Python.
        F.coalesce(
            *[
                F.when(readings[name].value.isNull(), F.lit(f"{name} is missing"))
                for name in needed
            ],
            F.lit(None).cast("string"),
        ).alias(MISSING),
        *[_raw(name, reading).alias(RAW + name) for name, reading in readings.items()],
        *[changed(name).alias(CHANGED + name) for name in readings],
    )
    composed = [n for n in text_columns if Change.COMPOSED in possible_changes(targets[n], name=n)]
    return _with_composed(read, composed)


def _raw(name: str, reading: Reading) -> Column:
    return F.when(reading.reason.isNotNull(), F.col(name).cast("string"))


def _with_composed(frame: DataFrame, names: list[str]) -> DataFrame:
    """The frame with these names in NFC, and the change added to their flags."""
    if not names:
        return frame
    frame = frame.withColumn(_COMPOSED, compose(*[F.col(name) for name in names]))
    columns: dict[str, Column] = {}
    for index, name in enumerate(names):
        composed_name = F.when(F.col(_COMPOSED).isNotNull(), F.col(_COMPOSED)[index])
        columns[name] = F.coalesce(composed_name, F.col(name))
        flag = F.when(composed_name != F.col(name), F.lit(int(Change.COMPOSED))).otherwise(0)
        columns[CHANGED + name] = F.col(CHANGED + name) + flag
    return frame.withColumns(columns).drop(_COMPOSED)


def change_counts(
    frame: DataFrame, contract: Contract, *, among: Column, mapped: Collection[str]
) -> dict[str, Column]:
    """Aggregates: number of changed rows by column and change, named ``column.CHANGE``.

    Args:
        frame: Rows from :func:`read_rows`.
        contract: Contract of the rows.
        among: Boolean column: rows to count.
        mapped: Columns that the source has.
    """
    return {
        f"{name}.{change.name}": F.count_if(among & is_changed(F.col(CHANGED + name), change))
        for name in contract.names
        if name in mapped and CHANGED + name in frame.columns
        for change in possible_changes(contract.field(name).dataType, name=name)
    }


def describe_changes(contract: Contract, counts: dict[str, int]) -> list[str]:
    """One line for each change that happened.

    Args:
        contract: Contract of the rows.
        counts: Counts by ``column.CHANGE``; other names are ignored.
    """
    lines = []
    for key, count in counts.items():
        name, _, change = key.partition(".")
        if change and count:
            lines.append(f"{contract.name}.{name}: {count:,} {CHANGES[Change[change]]}")
    return lines


def figures_of_changes(contract: Contract, counts: dict[str, int]) -> dict[str, int]:
    """The same counts as figures of a run, with names such as ``events_user_id_trimmed``."""
    return {
        f"{contract.name}_{key.replace('.', '_').lower()}": count
        for key, count in counts.items()
        if "." in key and count
    }
