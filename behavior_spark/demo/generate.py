"""Write raw logs of a synthetic web shop with Spark: any size, the same rows for a seed.

Each user is simulated independently from (seed, index), so the rows do not depend on partitions or
machines, and only the catalogue of 120 items passes through the driver. The column names are those
of a shop, not of this project: a config maps them to the contracts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as t

from behavior_spark.demo.answers import ANSWERS, DRAFTS
from behavior_spark.demo.catalogue import list_items
from behavior_spark.demo.logs import OUTCOME_DAYS, Row, UserLogs
from behavior_spark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST_DAYS: Final = 40
USERS_A_PARTITION: Final = 2_000
_ROWS_A_BATCH: Final = 20_000


def _column(name: str, kind: t.DataType, comment: str) -> t.StructField:
    return t.StructField(name, kind, True, {"comment": comment})


EVENTS: Final = t.StructType([
    _column("id", t.StringType(), "event; null in a broken row, repeated where sent again"),
    _column("uid", t.StringType(), "user; null where nobody was logged in"),
    _column("ts", t.TimestampType(), "when it happened, UTC; null in a broken row"),
    _column("received", t.TimestampType(), "when the log received it, UTC"),
    _column("action", t.StringType(), "page_view, product_click, search, add_to_cart, checkout, "
            "cancel_order, contact_support or post_review"),
    _column("sku", t.StringType(), "item, where the action is about one"),
    _column("amount", t.DoubleType(), "price paid, of a checkout"),
    _column("text_id", t.StringType(), "text written, of a search, contact or review"),
    _column("session", t.StringType(), "visit, by the browser's cookie"),
    _column("agent", t.StringType(), "browser or app"),
    _column("day", t.StringType(), "day of arrival, YYYY-MM-DD"),
])  # fmt: skip
TEXTS: Final = t.StructType([
    _column("id", t.StringType(), "text"),
    _column("uid", t.StringType(), "user who wrote it"),
    _column("ts", t.TimestampType(), "when it was written, UTC"),
    _column("received", t.TimestampType(), "when the log received it, UTC"),
    _column("kind", t.StringType(), "review, search or chat"),
    _column("body", t.StringType(), "the raw text, personal data and markup included"),
])  # fmt: skip
LABELS: Final = t.StructType([
    _column("id", t.StringType(), "text that was labelled"),
    _column("text", t.StringType(), "the text as the annotator read it"),
    _column("intent", t.StringType(), "intent of the user, as the annotator read it"),
    _column("emotion", t.StringType(), "joy, anger, sadness, worry or neutral"),
    _column("spam", t.StringType(), "spam or ok"),
    _column("labelled_on", t.DateType(), "day the annotator read it"),
])  # fmt: skip
PLANTED: Final = t.StructType([
    _column("uid", t.StringType(), "user with whom an incident was planted"),
    _column("kind", t.StringType(), "takeover, scraping, campaign, spam or bot"),
    _column("group", t.StringType(), "which campaign; empty for others"),
])  # fmt: skip
MEANINGS: Final = t.StructType([
    _column("id", t.StringType(), "text"),
    _column("intent", t.StringType(), "what it was made to mean; spam means other"),
    _column("emotion", t.StringType(), "in which mood"),
])  # fmt: skip
ANSWER: Final = t.StructType([
    _column("id", t.StringType(), "answer"),
    _column("for_needs", t.StringType(), "intents that it fits, with commas between them"),
    _column("body", t.StringType(), "the answer"),
    _column("state", t.StringType(), "approved or draft"),
    _column("lang", t.StringType(), "its language"),
])  # fmt: skip
CATALOGUE: Final = t.StructType([
    _column("sku", t.StringType(), "item"),
    _column("title", t.StringType(), "name shown in the shop"),
    _column("category", t.StringType(), "one of eight"),
    _column("price", t.DoubleType(), "list price"),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoLayout:
    """Paths of the logs, the days they cover, and the as_of to run a night for."""

    root: str
    events: str
    texts: str
    labels: str
    catalogue: str
    planted: str
    answers: str
    meanings: str
    start: dt.date
    end: dt.date  # the day after the last one covered
    as_of: dt.date  # thirty days of outcomes follow it


def generate_demo(
    spark: SparkSession,
    root: str,
    *,
    users: int = 400,
    days: int = 150,
    start: dt.date = dt.date(2024, 1, 1),
    seed: int = 7,
    partitions: int | None = None,
    incidents: bool = False,
    meanings: bool = False,
    progress: Callable[[str], None] | None = None,
) -> DemoLayout:
    """Write `events`, `texts`, `labels`, `answers` and `catalogue`, replacing earlier ones.

    Args:
        spark: A session that can write Delta (only `texts` is a Delta table).
        root: Folder of them, one that the workers can write to, or a URL such as `s3://...`.
        users: How many users the shop has.
        days: How many days the logs cover, at least 40.
        start: First day of the logs.
        seed: Another seed gives another shop.
        partitions: Number of tasks that simulate users; by default one per 2,000 users, at
            least two. It does not change the rows.
        incidents: Plant some in the week before as_of, and write the truth to `planted`.
        meanings: Write what texts were made to mean to `meanings`, for measures.
        progress: Called with a line before each table is written.
    """
    _check(users=users, days=days, seed=seed)
    layout = plan_layout(root, days=days, start=start)
    tell = progress or _keep_quiet
    tasks = partitions or _count_tasks(users)
    shop = _Shop(spark, seed, users, start, days, tasks, incidents)
    tell(f"events of {users} users over {days} days")
    events = shop.expand(UserLogs.list_events, EVENTS).hint("rebalance", "day")
    events.write.mode("overwrite").partitionBy("day").parquet(layout.events)
    tell("texts")
    texts = shop.expand(UserLogs.list_texts, TEXTS)
    overwrite = texts.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    overwrite.save(layout.texts)
    tell("labels")
    labels = shop.expand(UserLogs.list_labels, LABELS).coalesce(1)
    labels.write.mode("overwrite").parquet(layout.labels)
    if incidents:
        tell("incidents")
        planted = shop.expand(UserLogs.list_planted, PLANTED).coalesce(1)
        planted.write.mode("overwrite").parquet(layout.planted)
    if meanings:
        tell("meanings")
        meant = shop.expand(UserLogs.list_meanings, MEANINGS).coalesce(1)
        meant.write.mode("overwrite").parquet(layout.meanings)
    rows = [(*answer, "approved", "en") for answer in ANSWERS]
    rows += [(*draft, "draft", "en") for draft in DRAFTS]
    answers = _frame_of(spark, rows, ANSWER)
    answers.write.mode("overwrite").option("header", "true").csv(layout.answers)
    tell("catalogue")
    items = [(item.sku, item.title, item.category, item.price) for item in list_items()]
    catalogue = _frame_of(spark, items, CATALOGUE)
    catalogue.write.mode("overwrite").option("header", "true").csv(layout.catalogue)
    return layout


def _frame_of(
    spark: SparkSession, rows: Iterable[tuple[Any, ...]], schema: t.StructType
) -> DataFrame:
    columns = zip(*rows, strict=True)
    table = pa.table(dict(zip(schema.names, map(list, columns), strict=True)))
    return spark.createDataFrame(table, schema).coalesce(1)


def plan_layout(root: str, *, days: int = 150, start: dt.date = dt.date(2024, 1, 1)) -> DemoLayout:
    """Return the layout that `generate_demo` would write, without writing.

    >>> plan_layout("/tmp/shop").as_of
    datetime.date(2024, 4, 30)
    """
    base, end = root.rstrip("/"), start + dt.timedelta(days=days)
    return DemoLayout(
        root=base,
        events=f"{base}/events",
        texts=f"{base}/texts",
        labels=f"{base}/labels",
        catalogue=f"{base}/catalogue",
        planted=f"{base}/planted",
        answers=f"{base}/answers",
        meanings=f"{base}/meanings",
        start=start,
        end=end,
        as_of=end - dt.timedelta(days=OUTCOME_DAYS),
    )


def _keep_quiet(line: str) -> None:
    del line


def _check(*, users: int, days: int, seed: int) -> None:
    if users < 1 or days < SHORTEST_DAYS or seed < 0:
        raise ConfigError(
            "the demo shop cannot be made",
            found=f"users={users}, days={days}, seed={seed}",
            fix=f"ask for users >= 1, days >= {SHORTEST_DAYS} and seed >= 0",
        )


def _count_tasks(users: int) -> int:
    return max(2, -(-users // USERS_A_PARTITION))


@dataclass(frozen=True)
class _Shop:
    spark: SparkSession
    seed: int
    users: int
    start: dt.date
    days: int
    partitions: int
    incidents: bool

    def expand(self, list_rows: Callable[[UserLogs], list[Row]], schema: t.StructType) -> DataFrame:
        """A frame of one kind of rows of all users; the simulation runs when it is written."""
        seed, users, start, days = self.seed, self.users, self.start, self.days
        incidents = self.incidents
        columns = _arrow_schema(schema)

        def expand_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            rows: list[Row] = []
            for batch in batches:
                for index in batch.column(0).to_pylist():
                    rows.extend(list_rows(UserLogs(seed, index, users, start, days, incidents)))
                    if len(rows) >= _ROWS_A_BATCH:
                        yield _to_batch(rows, columns)
                        rows = []
            if rows:
                yield _to_batch(rows, columns)

        indices = self.spark.range(0, users, 1, self.partitions)
        return indices.mapInArrow(expand_users, schema)


def _to_batch(rows: Sequence[Row], columns: pa.Schema) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(values, columns.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def _arrow_schema(schema: t.StructType) -> pa.Schema:
    kinds: dict[type[t.DataType], Any] = {
        t.StringType: pa.string(),
        t.DoubleType: pa.float64(),
        t.DateType: pa.date32(),
        t.TimestampType: pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(field.name, kinds[type(field.dataType)]) for field in schema.fields])
