"""Versions of sessions: each session as known at the end of each day on which it changed.

A session is the log's session id or, for events without one, a run of a user's events without a
pause longer than the gap. A late event may join two runs, and a correction may split one. The key
of a run is its first microsecond, so keys may disappear. A row is the content of a key from
``known_day`` on; ``event_count`` 0 means that the key has no events any more. There is a row only
for changes, so that building night by night and building all history at once give the same rows.

To avoid a row for every event and day, events are grouped. An atom is a group of neighbouring
events that happened, became known and were superseded on the same days and have the same session
id, so that no day can split it. An island is a run of events of all versions without a pause
longer than the gap; a run of any day is within one island. Only atoms are repeated, for the days on
which their island (or session id) changed. So the cost for a user without pauses grows with the
square of the days, not of the events.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.schemas import SESSIONS

PATH_TURNS = 50
DEPTH_CAP = 1000
# Longer pauses are left out of gap_count, gap_sum and gap_squares (the rhythm of a session).
RHYTHM_MICROS = 3_600_000_000
_CONTENT = [name for name in SESSIONS.names if name not in SESSIONS.key]
_ATOM = ["user_id", "_island", "_atom", "_from", "_until", "session_id"]


def session_versions(
    versions: DataFrame, *, gap_minutes: int, since: dt.date | None = None
) -> DataFrame:
    """Rows of ``sessions`` for every day on which a session changed.

    Args:
        versions: Events of users with ``superseded_at``, from ``of_users``. With ``since`` these
            are enough: changed events, the versions they replace, all events around them up to a
            pause longer than the gap, and all events with their session ids.
        gap_minutes: Minutes without an event that end a run.
        since: Only changes known on this day or later, compared with the state before it. None:
            all of history.
    """
    gap = gap_minutes * 60_000_000
    atoms = _in_units(_atoms(known_days(versions, since), gap))
    changes = _changes(_merged(_runs(_at_each_change(atoms), gap)))
    return changes if since is None else changes.where(F.col("known_day") >= F.lit(since))


def known_days(versions: DataFrame, since: dt.date | None) -> DataFrame:
    """Versions of events with ``[_from, _until)``: days at whose end each is the latest."""
    first_day = F.to_date("arrived_at")
    if since is not None:
        first_day = F.greatest(first_day, F.lit(since - dt.timedelta(days=1)))
    return versions.select(
        "user_id", "event_id", "event_time", "event_type", "item_id", "value", "session_id",
        "arrived_at", first_day.alias("_from"), F.to_date("superseded_at").alias("_until"),
    ).where(F.col("_until").isNull() | (F.col("_until") > F.col("_from")))  # fmt: skip


def _atoms(versions: DataFrame, gap: int) -> DataFrame:
    """One row for each atom, with the statistics from which sessions are aggregated."""
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

    A turn is a run of events of one type within an atom. ``_turn`` is its number in the atom, from
    0, at its first event, and null at others. ``before`` is the time of the previous event.
    ``_gap`` is the pause before an event within an atom, in microseconds.
    """
    order = Window.partitionBy("user_id").orderBy("event_time", "event_id", "arrived_at")
    rows_up_to_here = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)

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
        name: F.sum(F.col(f"_new{name}").cast("int")).over(rows_up_to_here)
        for name in ("_island", "_atom", "_turn")
    }
    numbered = marked.withColumns({**numbers, "_row": F.row_number().over(order)})
    first_turn = F.max(F.when(F.col("_new_atom"), F.col("_turn"))).over(rows_up_to_here)
    return numbered.withColumn("_turn", F.when(F.col("_new_turn"), F.col("_turn") - first_turn))


def _in_units(atoms: DataFrame) -> DataFrame:
    """Atoms, once for each unit that changes together: their island and their session id, if any.

    In its island, an atom with a session id only connects the events around it (``_connects``).
    """
    island = F.concat(F.lit("r"), F.col("_island").cast("string"))
    session_unit = F.concat(F.lit("i"), "session_id")
    units = F.array_compact(F.array(island, session_unit))
    return atoms.select("*", F.explode(units).alias("_unit")).withColumn(
        "_connects", F.col("session_id").isNotNull() & F.col("_unit").startswith("r")
    )


def _at_each_change(atoms: DataFrame) -> DataFrame:
    """Atoms, once for each day on which their unit changed and at whose end they are visible.

    Adds ``known_day`` and ``_next_day``: day of the unit's next change; null after the last.
    """
    change_days = F.array_compact(F.array("_from", "_until"))
    days = F.flatten(F.collect_set(change_days).over(Window.partitionBy("user_id", "_unit")))
    visible_days = F.filter(
        "_days",
        lambda day: (day >= F.col("_from")) & (F.col("_until").isNull() | (day < F.col("_until"))),
    )
    position = F.array_position("_days", F.col("known_day")).cast("int")
    return (
        atoms.withColumn("_days", F.array_sort(F.array_distinct(days)))
        .select("*", F.explode(visible_days).alias("known_day"))
        .withColumn("_next_day", F.try_element_at("_days", position + 1))
        .drop("_days")
    )


def _runs(atoms: DataFrame, gap: int) -> DataFrame:
    """Atoms that are part of a session, with the number of their run in an island (``_run``).

    ``_link`` is the pause since the previous atom of the session; null if it is too long.
    """
    order = Window.partitionBy("user_id", "_unit", "known_day").orderBy("_atom")
    atoms_up_to_here = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    earlier_atoms = order.rowsBetween(Window.unboundedPreceding, -1)
    pause = _micros("session_start") - _micros(F.lag("session_end").over(order))
    starts = (pause > gap) & F.col("_unit").startswith("r")
    session_end = F.when(~F.col("_connects"), F.col("session_end"))
    link = _micros("session_start") - _micros(
        F.last(session_end, ignorenulls=True).over(earlier_atoms)
    )
    return (
        atoms.withColumns(
            {
                "_starts": F.coalesce(starts.cast("int"), F.lit(0)),
                "_link": F.when(link <= min(gap, RHYTHM_MICROS), link),
            }
        )
        .withColumn("_run", F.sum("_starts").over(atoms_up_to_here))
        .where(~F.col("_connects"))
    )


def _merged(atoms: DataFrame) -> DataFrame:
    """Sessions of each ``known_day``: columns of the contract and ``_next_day``."""
    keys = ["user_id", "session_id", "_unit", "_run", "known_day", "_next_day"]
    paths = F.sort_array(F.collect_list(F.struct("_atom", "path")))
    gaps = ("gap_count", "gap_sum", "gap_squares")
    merged = atoms.groupBy(*keys).agg(
        *[F.sum(name).alias(name) for name in ("event_count", "value")],
        *[(F.sum(name) + link_rhythm).alias(name)
          for name, link_rhythm in zip(gaps, _rhythm(F.col("_link")), strict=True)],
        F.min("session_start").alias("session_start"),
        F.max("session_end").alias("session_end"),
        F.array_sort(F.collect_set("event_day")).alias("event_days"),
        F.size(F.array_distinct(F.flatten(F.collect_list("_items")))).alias("_items"),
        _joined(F.flatten(F.transform(paths, lambda atom: atom["path"]))).alias("path"),
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


def _changes(sessions: DataFrame) -> DataFrame:
    """Rows that differ from the previous content of their key; 0 events mark a key's end."""
    order = Window.partitionBy("user_id", "session_key").orderBy("known_day")
    content = F.struct(*_CONTENT)
    unchanged = (F.lag("_next_day").over(order) == F.col("known_day")) & content.eqNullSafe(
        F.lag(content).over(order)
    )
    next_known_day = F.lead("known_day").over(order)
    ended = F.col("_next_day").isNotNull() & (
        next_known_day.isNull() | (next_known_day > F.col("_next_day"))
    )
    marked = sessions.withColumns(
        {"_unchanged": F.coalesce(unchanged, F.lit(False)), "_ended": ended}
    )
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

    Pauses below a millisecond are left out too: the lines of one basket are one moment.
    """
    milliseconds = F.when(pause >= 1000, (pause / 1000).cast("long"))
    return [
        F.count(milliseconds).alias("gap_count"),
        F.coalesce(F.sum(milliseconds), F.lit(0)).alias("gap_sum"),
        F.coalesce(F.sum(milliseconds * milliseconds), F.lit(0)).alias("gap_squares"),
    ]


def _as_turn(row: Column, index: Column) -> Column:
    """A turn, from its first event and the first event of the next turn (or the atom's end)."""
    next_turn = F.try_element_at("path", index + 2)
    return F.struct(
        row["event_type"].alias("event_type"),
        (F.coalesce(next_turn["_row"], F.col("_last") + 1) - row["_row"])
        .cast("long")
        .alias("event_count"),
        row["at"].alias("started_at"),
        F.coalesce(next_turn["before"], F.col("session_end")).alias("ended_at"),
    )


def _joined(turns: Column) -> Column:
    """Join the turns of atoms to one path: neighbours of one type are merged, the first 50 kept.

    An atom has one turn more than a path, so that a turn after a cut is not merged with the turn
    before it.
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
        appended = F.concat(path["turns"], F.array(turn))
        same_type = F.coalesce(last["event_type"] == turn["event_type"], F.lit(False))
        is_full = F.size(path["turns"]) >= PATH_TURNS
        turns_after = F.when(same_type, F.concat(head, F.array(longer))).when(
            is_full, path["turns"]
        )
        return F.when(
            path["open"],
            F.struct(
                turns_after.otherwise(appended).alias("turns"), (same_type | ~is_full).alias("open")
            ),
        ).otherwise(path)

    return F.aggregate(turns, empty, add, lambda path: path["turns"])


def _micros(time: str | Column) -> Column:
    return F.unix_micros(F.col(time) if isinstance(time, str) else time)
