"""Users whose features are unlike those of their peers: an isolation forest over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.model.anomaly.forest import PeerForest
from behavior_spark.model.arrays import Doubles
from behavior_spark.uses.alerts.kind import USER, AlertInputs, Candidates, quoted, sentence

STANDING_OUT = 3
_SCHEMA = (
    "user_id string, rarity double, compared_with string, stands_out string, "
    "figures map<string, double>"
)


class UnusualBehaviour:
    """The strangest users of a night, with the features that make them so.

    By its limit, ``share`` of the users are alerted where nobody is an attacker: that is the rate
    of false alarms. ``times_limit`` is that share over the share of the sample that is as strange.
    """

    does = "features unlike those of the user's peers"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """A forest, or a sample large enough for the share."""
        share = inputs.settings.unusual_behaviour.share
        if inputs.forest is None or inputs.users is None:
            return "there are no features of this night, or too few users"
        if len(inputs.forest.scores) + 1 < 1 / share:
            return f"1 in {1 / share:,.0f} users cannot be told from {len(inputs.forest.scores):,}"
        return None

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each user whose rarity is at most the share."""
        forest, users = inputs.forest, inputs.users
        assert forest is not None and users is not None
        share = inputs.settings.unusual_behaviour.share
        rarest = most_unusual(users, forest, inputs.words, share=share)
        frame = rarest.withColumn("times_limit", F.lit(share) / F.col("rarity"))
        names = ", ".join(f"`{name}`" for name in forest.names[:STANDING_OUT])
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            sentence(
                "Stranger than all but ", F.format_number(F.col("rarity") * 100, 2),
                f" % of {len(forest.scores):,} users of a sample, compared with peers (",
                F.col("compared_with"), "). Stands out by: ", F.col("stands_out"), ".",
            ),
            F.col("figures"),
            sentence(
                "SELECT ",
                F.coalesce(F.array_join(F.transform(F.map_keys("figures"), _column), ", "),
                           F.lit(names)),
                " FROM user_features WHERE user_id = ", quoted(F.col("user_id")),
                f" AND as_of = DATE'{inputs.as_of}'",
            ),
        )  # fmt: skip


def _column(name: Column) -> Column:
    return F.concat(F.lit("`"), name, F.lit("`"))


def most_unusual(
    users: DataFrame, forest: PeerForest, words: Mapping[str, str], *, share: float
) -> DataFrame:
    """``user_id, rarity, compared_with, stands_out, figures`` of the users up to a rarity.

    Args:
        users: ``user_id, peers`` and the forest's features.
        forest: The fitted forest; it travels with the tasks.
        words: Meaning of each feature.
        share: Largest rarity of a row that is kept.
    """
    columns = [F.col(f"`{name}`").cast("double").alias(name) for name in forest.names]

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            values = np.column_stack([_numbers(batch.column(name)) for name in forest.names])
            compared = forest.compare(values, batch.column("peers").to_pylist())
            rows = np.flatnonzero(compared.rarity <= share)
            yield _record_batch(batch, rows, forest, words)

    return users.select("user_id", "peers", *columns).mapInArrow(compare, _SCHEMA)


def _numbers(column: pa.Array) -> Doubles:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _record_batch(
    batch: pa.RecordBatch, rows: np.ndarray, forest: PeerForest, words: Mapping[str, str]
) -> pa.RecordBatch:
    few = batch.take(pa.array(rows))
    compared = None
    if len(rows):
        values = np.column_stack([_numbers(few.column(name)) for name in forest.names])
        compared = forest.compare(values, few.column("peers").to_pylist())
    sentences, figures, groups, rarity = [], [], [], []
    for place in range(len(rows)):
        assert compared is not None
        order = np.argsort(-np.abs(compared.deviations[place]), kind="stable")[:STANDING_OUT]
        said, measured = [], []
        for feature in order:
            name = forest.names[feature]
            value, away = values[place, feature], compared.deviations[place, feature]
            centre = compared.centres[place, feature]
            said.append(
                f"{words.get(name, name)}: {value:,.4g} (median of peers {centre:,.4g}, "
                f"{abs(away):.0f} deviations {'above' if away > 0 else 'below'})"
            )
            measured.append((name, float(value)))
        sentences.append("; ".join(said))
        figures.append(measured)
        groups.append(forest.peers.groups[compared.groups[place]] or "all users")
        rarity.append(float(compared.rarity[place]))
    return pa.RecordBatch.from_arrays(
        [
            few.column("user_id").cast(pa.string()),
            pa.array(rarity, pa.float64()),
            pa.array(groups, pa.string()),
            pa.array(sentences, pa.string()),
            pa.array(figures, pa.map_(pa.string(), pa.float64())),
        ],
        names=["user_id", "rarity", "compared_with", "stands_out", "figures"],
    )


KIND = UnusualBehaviour()
