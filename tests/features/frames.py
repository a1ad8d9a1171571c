"""Plain logs as Spark tables, and Spark tables as plain dicts."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.config.features import GROUPS
from behavior_spark.features.declared import Feature
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.schemas import EVENTS, ITEMS, TEXT_SCORES, TEXTS, Contract
from tests.features.random_logs import (
    GAP_MINUTES,
    LABELS,
    POPULATION_SQL,
    SETTINGS,
    TARGETS_SQL,
    WINDOWS,
)
from tests.features.reference import Features, Log, Row

Table = dict[tuple[dt.date, str], Features]

FEATURES = FeatureSettings(
    event_types=list(SETTINGS.event_types),
    windows_days=list(WINDOWS),
    session_gap_minutes=GAP_MINUTES,
    # Taste has tests of its own: its plan takes as long as all others together.
    groups=[group for group in GROUPS if group != "taste"],
)
TARGETS = {
    name: Target(event=event, item=item, horizon_days=days)
    for name, (event, item, days) in TARGETS_SQL.items()
}
_ARROW = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "decimal(18,4)": pa.decimal128(18, 4),
    "float": pa.float32(),
}


def table(spark: SparkSession, contract: Contract, rows: Iterable[Row]) -> DataFrame:
    """Rows as a table of a contract; columns they do not have are null."""
    fields = [
        pa.field(f.name, _ARROW[f.dataType.simpleString()])
        for f in contract.columns
        if f.dataType.simpleString() in _ARROW
    ]
    full = [
        row | {"arrived_day": row["arrived_at"].date()} if "arrived_at" in row else row
        for row in rows
    ]
    return spark.createDataFrame(pa.Table.from_pylist(full, schema=pa.schema(fields)))


def make_inputs(spark: SparkSession, log: Log) -> Inputs:
    """The tables of a log; its scores stand twice, beside those of a head out of use."""
    vectors = pa.schema([("text_hash", pa.string()), ("embedding", pa.list_(pa.float32()))])
    embeddings = [{"text_hash": key, "embedding": log.embeddings[key]} for key in log.embeddings]
    scores = [
        {"text_hash": key, "head_digest": digest, "head": head, "label": text}
        for head, of_text in log.labels.items()
        for key, label in of_text.items()
        for digest, text in ((f"d-{head}", label), (f"d-{head}", label), ("old", "zzz"))
    ]
    return Inputs(
        events=table(spark, EVENTS, log.events),
        items=table(spark, ITEMS, log.items),
        texts=table(spark, TEXTS, log.texts),
        embeddings=spark.createDataFrame(pa.Table.from_pylist(embeddings, schema=vectors)),
        scores=table(spark, TEXT_SCORES, scores),
        heads={head: f"d-{head}" for head in LABELS},
        head_labels={head: list(labels) for head, labels in LABELS.items()},
    )


def feature_set(
    inputs: Inputs,
    settings: FeatureSettings = FEATURES,
    targets: Mapping[str, Target] = TARGETS,
    population: str = "true",
) -> FeatureSet:
    """The features that these inputs give."""
    return FeatureSet.make(settings, targets, population, Offer.of(inputs, targets))


def list_features(
    settings: FeatureSettings, targets: Mapping[str, Target], inputs: Inputs
) -> list[Feature]:
    """Every feature that these inputs give."""
    return list(feature_set(inputs, settings, targets).features)


def build_features(
    inputs: Inputs,
    days: Sequence[dt.date],
    *,
    settings: FeatureSettings,
    targets: Mapping[str, Target],
    population: str = "true",
) -> DataFrame:
    """Build all of them."""
    return feature_set(inputs, settings, targets, population).build(inputs, days)


def features_of(inputs: Inputs, days: Sequence[dt.date]) -> Table:
    """The features of random logs, with their settings."""
    return as_table(feature_set(inputs, population=POPULATION_SQL).build(inputs, days))


def training_set_of(inputs: Inputs, days: Sequence[dt.date], known_before: dt.date) -> Table:
    """The training set of random logs, with their settings."""
    features = feature_set(inputs, population=POPULATION_SQL)
    return as_table(features.training_set(inputs, days, known_before=known_before))


def as_table(frame: DataFrame) -> Table:
    """Rows by (as_of, user_id), each of which must stand once."""
    rows = [row.asDict() for row in frame.collect()]
    found = {(row.pop("as_of"), row.pop("user_id")): row for row in rows}
    assert len(found) == len(rows), "a user has two rows at one as_of"
    return found


def assert_same(actual: Table, expected: Table, log: Log | None = None) -> None:
    """Same keys and columns; integers equal, doubles within 1e-9, nulls null."""
    _assert_same_keys(actual, expected)
    for key, row in expected.items():
        different = _differences(actual[key], row)
        if different:
            said = "\n".join(f"  {name}: {a!r}, expected {b!r}" for name, a, b in different)
            raise AssertionError(f"{key[1]} at {key[0]}:\n{said}\n{_rows_of(log, key[1])}")


def _differences(actual: Mapping[str, object], expected: Mapping[str, object]) -> list[tuple]:
    _assert_same_keys(actual, expected)
    return [
        (name, actual[name], wanted)
        for name, wanted in expected.items()
        if not _equal(actual[name], wanted)
    ]


def _assert_same_keys(actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    missing, extra = expected.keys() - actual.keys(), actual.keys() - expected.keys()
    assert not missing and not extra, f"missing: {missing or '-'}; not expected: {extra or '-'}"


def _equal(actual: object, expected: object) -> bool:
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(actual, expected, rel_tol=0, abs_tol=1e-9)
    return type(actual) is type(expected) and actual == expected


def _rows_of(log: Log | None, user: str) -> str:
    """The rows of a user's case, to read beside what differs."""
    if log is None:
        return ""
    case = user[1:].removesuffix("b")
    rows = [
        row
        for rows, key in ((log.events, "event_id"), (log.texts, "text_id"), (log.items, "item_id"))
        for row in rows
        if row[key][1:].split("-")[0] == case
    ]
    return "\n".join(", ".join(str(v) for v in row.values() if v is not None) for row in rows)
