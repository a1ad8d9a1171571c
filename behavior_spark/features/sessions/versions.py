"""Sessions as versions: what each session was, as known by the end of each day that changed it.

A session is the log's own session id or, where an event has none, a run of the user's events
without a pause longer than the gap. A late event may join two runs, a correction may split one:
then the key of a run, its first microsecond, may go. A row says what a key holds from the day it
was known on, and ``event_count`` 0 that it holds nothing any more. Rows stand only where
something changed, so that nights one by one and all history at once give the same rows.

How, without a row for every event and day: events that lie next to each other, happened, became
known and were superseded on the same days and have the same session id are one atom, which no day
can split. An island is a stretch of events, of whatever version, without a pause longer than the
gap; a day's runs never leave one. So only atoms are repeated for the days that changed their
island (or their session id), and a user who never rests costs his days squared, not his events.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.schemas import SESSIONS

PATH_TURNS = 50
DEPTH_CAP = 1000
# Pauses longer than this are no rhythm: they are left out of gap_count, gap_sum, gap_squares.
RHYTHM_MICROS = 3_600_000_000
_CONTENT = [name for name in SESSIONS.names if name not in SESSIONS.key]
_ATOM = ["user_id", "_island", "_atom", "_from", "_until", "session_id"]


def session_versions(
    versions: DataFrame, *, gap_minutes: int, since: dt.date | None = None
) -> DataFrame:
    """Rows of ``sessions`` for every day that changed a session.

    Args:
        versions: Events of users with ``superseded_at`` (``of_users``). With ``since`` those of
            whole neighbourhoods are enough: each changed event, what it replaces, all events
            around it up to a pause longer than the gap, and all of their session ids.
        gap_minutes: Inactivity that ends a session.
        since: Only changes known on this day or later; the state before it is the one compared
            with. None: all of history.
    """
    gap = gap_minutes * 60_000_000
    atoms = _in_units(_atoms(known_days(versions, since), gap))
    changes = _changes(_merged(_runs(_at_each_change(atoms), gap)))
    return changes if since is None else changes.where(F.col("known_day") >= F.lit(since))


def known_days(versions: DataFrame, since: dt.date | None) -> DataFrame:
    """Event versions with ``[_from, _until)``: the days by whose end each is the latest known."""
    first = F.to_date("arrived_at")
    if since is not None:
        first = F.greatest(first, F.lit(since - dt.timedelta(days=1)))
    return versions.select(
        "user_id", "event_id", "event_time", "event_type", "item_id", "value", "session_id",
        "arrived_at", first.alias("_from"), F.to_date("superseded_at").alias("_until"),
    ).where(F.col("_until").isNull() | (F.col("_until") > F.col("_from")))  # fmt: skip


def _atoms(versions: DataFrame, gap: int) -> DataFrame:
    """One row for each atom, in order of ``_atom``, with what sessions are added up from."""
    starts = F.struct("_row", "event_type", F.col("event_time").alias("at"), "before")
    turns = F.sort_array(F.collect_list(F.when(F.col("_turn") <= PATH_TURNS, starts)))
    atoms = _numbered(versions, gap).groupBy(*_ATOM).agg(
        F.count(F.lit(1)).alias("event_count"),
        F.sum(F.coalesce("value", F.lit(0))).alias("value"),
        F.min("event_time").alias("session_start"),
        F.max("event_time").alias("session_end"),
        F.max("_row").alias("_last"),
        *_rhythm(F.col("_gap")),
        F.collect_set(F.when(F.col("item_id").isNotNull(), F.xxhash64("item_id"))).alias("_items"),
        turns.alias("path"),
        F.min_by("item_id", "_row").alias("entry_item"),
        F.max_by(F.struct("event_type", "item_id"), "_row").alias("_exit"),
    )  # fmt: skip
    return atoms.withColumns(
        {
            "event_day": F.to_date("session_start"),
            "_items": F.slice(F.sort_array("_items"), 1, DEPTH_CAP),
            "path": F.transform("path", _as_turn),
            "entry_type": F.col("path")[0]["event_type"],
            "exit_type": F.col("_exit.event_type"),
            "exit_item": F.col("_exit.item_id"),
        }
    ).drop("_exit", "_last")


def _numbered(versions: DataFrame, gap: int) -> DataFrame:
    """Events with the numbers of their island, atom and row.

    A turn is a stretch of one type within an atom; at its first event ``_turn`` is its number
    there, from 0, and ``before`` the time of the event before it; both are null elsewhere.
    ``_gap`` is the pause before an event within an atom, in microseconds.
    """
    order = Window.partitionBy("user_id").orderBy("event_time", "event_id", "arrived_at")
    so_far = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)

    def differs(*columns: Column) -> Column:
        row = F.struct(*columns)
        return ~row.eqNullSafe(F.lag(row).over(order))

    day, names = F.to_date("event_time"), ("_from", "_until", "session_id")
    marked = versions.withColumns(
        {
            "before": F.lag("event_time").over(order),
            "_other": differs(day.alias("day"), *map(F.col, names)),
            "_other_type": differs(F.col("event_type")),
        }
    )
    pause = _micros("event_time") - _micros("before")
    marked = marked.withColumns(
        {"_pause": pause, "_new_island": F.coalesce(pause > gap, F.lit(True))}
    )
    new_atom = F.col("_new_island") | F.col("_other")
    rhythm = ~new_atom & (F.col("_pause") <= min(gap, RHYTHM_MICROS))
    marked = marked.withColumns(
        {
            "_new_atom": new_atom,
            "_new_turn": new_atom | F.col("_other_type"),
            "_gap": F.when(rhythm, F.col("_pause")),
        }
    )
    numbers = {
        name: F.sum(F.col(f"_new{name}").cast("int")).over(so_far)
        for name in ("_island", "_atom", "_turn")
    }
    numbered = marked.withColumns({**numbers, "_row": F.row_number().over(order)})
    first = F.max(F.when(F.col("_new_atom"), F.col("_turn"))).over(so_far)
    return numbered.withColumn("_turn", F.when(F.col("_new_turn"), F.col("_turn") - first))


def _in_units(atoms: DataFrame) -> DataFrame:
    """Atoms in the units that change together: their island and, with a session id, that too.

    In its island an atom with a session id only connects what lies around it (``_connects``).
    """
    island = F.concat(F.lit("r"), F.col("_island").cast("string"))
    own = F.concat(F.lit("i"), "session_id")
    units = F.array_compact(F.array(island, own))
    return atoms.select("*", F.explode(units).alias("_unit")).withColumn(
        "_connects", F.col("session_id").isNotNull() & F.col("_unit").startswith("r")
    )


def _at_each_change(atoms: DataFrame) -> DataFrame:
    """Atoms once for each day that changed their unit and by whose end they were known.

    Adds ``known_day`` and ``_next_day``, the unit's next change; null after the last.
    """
    both = F.array_compact(F.array("_from", "_until"))
    days = F.flatten(F.collect_set(both).over(Window.partitionBy("user_id", "_unit")))
    known = F.filter(
        "_days",
        lambda day: (day >= F.col("_from")) & (F.col("_until").isNull() | (day < F.col("_until"))),
    )
    place = F.array_position("_days", F.col("known_day")).cast("int")
    return (
        atoms.withColumn("_days", F.array_sort(F.array_distinct(days)))
        .select("*", F.explode(known).alias("known_day"))
        .withColumn("_next_day", F.try_element_at("_days", place + 1))
        .drop("_days")
    )


def _runs(atoms: DataFrame, gap: int) -> DataFrame:
    """Atoms that are part of a session, with the number of their run in an island (``_run``).

    ``_link`` is the pause since the atom before it in its session, where it counts as rhythm.
    """
    order = Window.partitionBy("user_id", "_unit", "known_day").orderBy("_atom")
    so_far = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    before = order.rowsBetween(Window.unboundedPreceding, -1)
    pause = _micros("session_start") - _micros(F.lag("session_end").over(order))
    starts = (pause > gap) & F.col("_unit").startswith("r")
    own = F.when(~F.col("_connects"), F.col("session_end"))
    link = _micros("session_start") - _micros(F.last(own, ignorenulls=True).over(before))
    return (
        atoms.withColumns(
            {
                "_starts": F.coalesce(starts.cast("int"), F.lit(0)),
                "_link": F.when(link <= min(gap, RHYTHM_MICROS), link),
            }
        )
        .withColumn("_run", F.sum("_starts").over(so_far))
        .where(~F.col("_connects"))
    )


def _merged(atoms: DataFrame) -> DataFrame:
    """Sessions of each ``known_day``: columns of the contract and ``_next_day``."""
    keys = ["user_id", "session_id", "_unit", "_run", "known_day", "_next_day"]
    paths = F.sort_array(F.collect_list(F.struct("_atom", "path")))
    gaps = ("gap_count", "gap_sum", "gap_squares")
    merged = atoms.groupBy(*keys).agg(
        *[F.sum(name).alias(name) for name in ("event_count", "value")],
        *[(F.sum(name) + more).alias(name)
          for name, more in zip(gaps, _rhythm(F.col("_link")), strict=True)],
        F.min("session_start").alias("session_start"),
        F.max("session_end").alias("session_end"),
        F.array_sort(F.collect_set("event_day")).alias("event_days"),
        F.size(F.array_distinct(F.flatten(F.collect_list("_items")))).alias("_items"),
        _joined(F.flatten(F.transform(paths, lambda each: each["path"]))).alias("path"),
        F.min_by(F.struct("entry_type", "entry_item"), "_atom").alias("_entry"),
        F.max_by(F.struct("exit_type", "exit_item"), "_atom").alias("_exit"),
    )  # fmt: skip
    duration = (_micros("session_end") - _micros("session_start")) / 1_000_000
    run_key = F.concat(F.lit("r"), _micros("session_start").cast("string"))
    finished = merged.withColumns(
        {
            "session_key": F.coalesce(F.concat(F.lit("i"), "session_id"), run_key),
            "duration_seconds": duration,
            "depth": F.least("_items", F.lit(DEPTH_CAP)).cast("long"),
            "is_bounce": F.col("event_count") == 1,
            "value": F.col("value").cast(SESSIONS.field("value").dataType),
        }
    )
    return finished.select(
        *[c for c in SESSIONS.names if not c.startswith(("entry_", "exit_"))],
        "_entry.*", "_exit.*", "_next_day",
    )  # fmt: skip


def _changes(found: DataFrame) -> DataFrame:
    """Rows that differ from what their key held before, and a row of 0 where it ended."""
    order = Window.partitionBy("user_id", "session_key").orderBy("known_day")
    content = F.struct(*_CONTENT)
    unchanged = (F.lag("_next_day").over(order) == F.col("known_day")) & content.eqNullSafe(
        F.lag(content).over(order)
    )
    following = F.lead("known_day").over(order)
    ended = F.col("_next_day").isNotNull() & (following.isNull() | (following > F.col("_next_day")))
    marked = found.withColumns({"_unchanged": F.coalesce(unchanged, F.lit(False)), "_ended": ended})
    kinds = F.array_compact(
        F.array(F.when(~F.col("_unchanged"), F.lit(False)), F.when(F.col("_ended"), F.lit(True)))
    )
    rows = marked.select("*", F.explode(kinds).alias("_end"))
    last = {name: F.when(~F.col("_end"), F.col(name)) for name in _CONTENT}
    last["event_count"] = F.when(F.col("_end"), F.lit(0)).otherwise(F.col("event_count"))
    last["known_day"] = F.when(F.col("_end"), F.col("_next_day")).otherwise(F.col("known_day"))
    return rows.withColumns(last).select(*SESSIONS.names)


def _rhythm(pause: Column) -> list[Column]:
    """Count, sum and sum of squares of pauses, in whole milliseconds; nulls are left out.

    What happens within a millisecond is one moment: the lines of one basket are no haste.
    """
    milliseconds = F.when(pause >= 1000, (pause / 1000).cast("long"))
    return [
        F.count(milliseconds).alias("gap_count"),
        F.coalesce(F.sum(milliseconds), F.lit(0)).alias("gap_sum"),
        F.coalesce(F.sum(milliseconds * milliseconds), F.lit(0)).alias("gap_squares"),
    ]


def _as_turn(row: Column, index: Column) -> Column:
    """A turn from where it starts, and from where the next one does or its atom ends."""
    following = F.try_element_at("path", index + 2)
    return F.struct(
        row["event_type"].alias("event_type"),
        (F.coalesce(following["_row"], F.col("_last") + 1) - row["_row"])
        .cast("long")
        .alias("event_count"),
        row["at"].alias("started_at"),
        F.coalesce(following["before"], F.col("session_end")).alias("ended_at"),
    )


def _joined(turns: Column) -> Column:
    """Turns of one atom after the other as one path: equal neighbours are one, the first 50 stay.

    An atom brings one turn more than a path holds, so that what follows a cut is never taken
    for what stood at it.
    """
    path = SESSIONS.field("path").dataType
    kind = path.elementType.simpleString() if isinstance(path, ArrayType) else ""
    empty = F.struct(F.array().cast(f"array<{kind}>").alias("turns"), F.lit(True).alias("open"))

    def add(path: Column, turn: Column) -> Column:
        last = F.try_element_at(path["turns"], F.lit(-1))
        longer = F.struct(
            last["event_type"].alias("event_type"),
            (last["event_count"] + turn["event_count"]).alias("event_count"),
            last["started_at"].alias("started_at"),
            turn["ended_at"].alias("ended_at"),
        )
        head = F.slice(path["turns"], F.lit(1), F.greatest(F.size(path["turns"]) - 1, F.lit(0)))
        grown = F.concat(path["turns"], F.array(turn))
        same = F.coalesce(last["event_type"] == turn["event_type"], F.lit(False))
        full = F.size(path["turns"]) >= PATH_TURNS
        kept = F.when(same, F.concat(head, F.array(longer))).when(full, path["turns"])
        return F.when(
            path["open"],
            F.struct(kept.otherwise(grown).alias("turns"), (same | ~full).alias("open")),
        ).otherwise(path)

    return F.aggregate(turns, empty, add, lambda path: path["turns"])


def _micros(time: str | Column) -> Column:
    return F.unix_micros(F.col(time) if isinstance(time, str) else time)
