"""Groups of users who write nearly the same text within some days.

MinHash finds pairs of texts that may be similar, their exact Jaccard similarity decides, and
connected components of similar texts are groups. In a bucket of equal keys a text is compared with
its first text and the one before it, in an order that differs from band to band: two pairs a text
and band however large the bucket is. Components are found in one task, which holds 16 bytes for
each text that is similar to another, however many pairs they make.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.model.anomaly.near_texts import (
    BANDS,
    band_keys,
    components,
    packed_runs,
    similarities,
)
from behavior_spark.model.arrays import Integers
from behavior_spark.uses.alerts.kind import (
    GROUP,
    AlertInputs,
    Candidates,
    by_name,
    first_members,
    number,
    sentence,
)


class SimilarTexts:
    """Campaigns: the same message under several names; what is written often anyway is none.

    A group counts users who wrote within the last ``days``; its limit is ``least_users`` or
    ``times_usual`` times the users who wrote such texts in as many days of the past.
    """

    does = "nearly equal texts of several users within some days, unlike what is usual"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Texts."""
        return None if inputs.texts is not None else "there are no texts"

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each group of similar texts that has a recent one."""
        rule = inputs.settings.similar_texts
        assert inputs.texts is not None
        texts = inputs.texts.where(F.size(F.split("text", " ")) >= rule.least_words)
        texts = texts.withColumn("id", F.xxhash64("text_hash"))
        groups = similar_groups(texts, similarity=rule.similarity)
        words = F.size(F.split("text", " ")).alias("words")
        rows = texts.select("id", "user_id", "text_time", "text_hash", "is_recent", words).join(
            groups, "id", "left"
        )
        rows = rows.withColumn("component", F.coalesce("component", "id"))
        frame = _by_group(rows, inputs.as_of, days=rule.days)
        history = inputs.settings.history_days
        usual = F.col("past_users") * (rule.days / history)
        limit = F.greatest(F.lit(float(rule.least_users)), usual * rule.times_usual)
        frame = _with_names(frame, inputs.earlier).withColumns(
            {"limit": limit, "times_limit": F.col("users") / limit}
        )
        return Candidates(
            frame,
            F.lit(GROUP),
            F.col("name"),
            sentence(
                number(F.col("users")), " users wrote nearly the same text of ",
                number(F.col("words")), " words ", number(F.col("written")), " times in ",
                number(F.col("wordings")), f" wordings within {rule.days} days (similarity of "
                f"linked wordings {rule.similarity:.0%} or more). In the {history} days before, ",
                number(F.col("past_users")), " users wrote such a text. The limit is ",
                number(F.col("limit")), " users.",
            ),
            by_name(
                {
                    "users": F.col("users"),
                    "texts": F.col("written"),
                    "wordings": F.col("wordings"),
                    "past_users": F.col("past_users"),
                    "hours": F.col("hours"),
                    "limit": F.col("limit"),
                }
            ),
            sentence(
                "SELECT user_id, text_time, text_hash, text FROM texts WHERE text_hash IN ('",
                F.array_join("hashes", "', '"), "') ORDER BY text_time",
            ),
            members=F.col("members"),
            texts=F.col("hashes"),
        )  # fmt: skip


_LINKS = "id long, component long"
# Links that a task holds before it finds their components (16 MB).
MOST_LINKS = 1_000_000


def similar_groups(texts: DataFrame, *, similarity: float) -> DataFrame:
    """``id, component``: texts that are similar to another, and the group they belong to.

    Args:
        texts: ``id`` (long) and ``text``; rows with one id have one text.
        similarity: Smallest Jaccard similarity of two linked texts.
    """
    distinct = texts.groupBy("id").agg(F.min("text").alias("text"))
    keys = distinct.mapInArrow(_sketch, "id long, band int, key long").where(F.col("key") != -1)
    order = Window.partitionBy("band", "key").orderBy(F.xxhash64("id", "band"), "id")
    beside = keys.withColumns(
        {"first": F.first("id").over(order), "before": F.lag("id").over(order)}
    )
    neighbours = beside.select("id", F.explode(F.array("first", "before")).alias("other")).where(
        F.col("other").isNotNull() & (F.col("id") != F.col("other"))
    )
    pairs = neighbours.select(
        F.least("id", "other").alias("left"), F.greatest("id", "other").alias("right")
    ).distinct()
    # Once for each text: a text is in up to forty pairs, and to find its runs takes longest.
    runs = distinct.mapInArrow(_runs, "id long, runs binary")
    left = runs.select(F.col("id").alias("left"), F.col("runs").alias("left_runs"))
    right = runs.select(F.col("id").alias("right"), F.col("runs").alias("right_runs"))

    def link(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _connect(map(similar_pairs, batches))

    def similar_pairs(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = similarities(
            batch.column("left_runs").to_pylist(), batch.column("right_runs").to_pylist()
        )
        return batch.select(["left", "right"]).take(pa.array(np.flatnonzero(found >= similarity)))

    forests = pairs.join(left, "left").join(right, "right").mapInArrow(link, _LINKS)
    # Not coalesce(1), which would do the joins and comparisons above in one task too.
    links = forests.select(F.col("id").alias("left"), F.col("component").alias("right"))
    return links.repartition(1).mapInArrow(_connect, _LINKS)


def _sketch(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        keys = band_keys(batch.column("text").to_pylist())
        ids = np.repeat(batch.column("id").to_numpy(zero_copy_only=False), BANDS)
        bands = np.tile(np.arange(BANDS, dtype=np.int32), len(keys))
        yield pa.RecordBatch.from_arrays(
            [pa.array(ids), pa.array(bands), pa.array(keys.ravel())], names=["id", "band", "key"]
        )


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        runs = pa.array(packed_runs(batch.column("text").to_pylist()), pa.binary())
        yield pa.RecordBatch.from_arrays([batch.column("id"), runs], names=["id", "runs"])


def _connect(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each text of these links and the smallest of its component.

    Links are replaced by those to the smallest before they are many more than the texts.
    """
    ends: list[Integers] = []
    held, limit = 0, MOST_LINKS
    for batch in batches:
        ends.append(
            np.stack([batch.column(n).to_numpy(zero_copy_only=False) for n in ("left", "right")])
        )
        held += len(batch)
        if held > limit:
            ends = [np.stack(components(*np.concatenate(ends, axis=1)))]
            held, limit = ends[0].shape[1], max(MOST_LINKS, 2 * ends[0].shape[1])
    if ends:
        nodes, smallest = components(*np.concatenate(ends, axis=1))
        yield pa.RecordBatch.from_arrays(
            [pa.array(nodes), pa.array(smallest)], names=["id", "component"]
        )


def _by_group(rows: DataFrame, as_of: dt.date, *, days: int) -> DataFrame:
    """One row for each group with a text that arrived lately.

    Users and wordings are counted off in order, and of either the first alone are listed: no list
    of all of a group is made.
    """
    inside = F.coalesce(F.datediff(F.lit(as_of), F.to_date("text_time")) <= days, F.lit(False))
    group = Window.partitionBy("component")
    user, wording = (F.when(inside, F.col(place)) for place in ("_user", "_wording"))
    seconds = F.when(inside, F.unix_seconds("text_time"))
    first = F.struct("text_time", "text_hash")
    placed = rows.withColumns(
        {
            "_user": F.dense_rank().over(group.orderBy(inside.desc(), "user_id")),
            "_wording": F.dense_rank().over(group.orderBy(inside.desc(), "text_hash")),
        }
    )
    return (
        placed.groupBy("component")
        .agg(
            F.coalesce(F.max(user), F.lit(0)).cast("double").alias("users"),
            F.count_distinct(F.when(~inside, F.col("user_id"))).cast("double").alias("past_users"),
            F.count_if(inside).cast("double").alias("written"),
            F.coalesce(F.max(wording), F.lit(0)).cast("double").alias("wordings"),
            F.count_if(inside & F.col("is_recent")).alias("recent"),
            F.max("words").alias("words"),
            ((F.max(seconds) - F.min(seconds)) / 3600).alias("hours"),
            first_members("user_id", user).alias("members"),
            first_members("text_hash", wording).alias("hashes"),
            F.min_by(F.when(inside, F.col("text_hash")), F.when(inside, first)).alias("first_hash"),
        )
        .where((F.col("recent") > 0) & (F.col("users") > 1))
    )  # fmt: skip


def _with_names(groups: DataFrame, earlier: DataFrame) -> DataFrame:
    """The groups with ``name``: an earlier alert's with one of its texts, else its first text.

    So a group keeps its name when its first text is too old to be seen.
    """
    mine = earlier.where(F.col("kind") == "similar_texts")
    named = mine.select(
        F.explode("texts").alias("_hash"), F.struct("first_seen", "subject").alias("_earlier")
    )
    inherited = (
        groups.where("users > 1")
        .select("component", F.explode("hashes").alias("_hash"))
        .join(F.broadcast(named), "_hash")
        .groupBy("component")
        .agg(F.min("_earlier").alias("_earlier"))
    )
    return groups.join(inherited, "component", "left").withColumn(
        "name", F.coalesce("_earlier.subject", "first_hash")
    )


KIND = SimilarTexts()
