"""Tiles kept from night to night: which days to build, and what a day's features read.

A night builds the tiles that became known since the last build. It reads the events that arrived
since then and, only for those that correct earlier events or whose item began to count for a
target, what they touch (``builds`` knows what changed).

``user_state`` holds a snapshot of lifelong totals every four weeks: a night adds the tiles since
the snapshot, which it mostly reads for its windows anyway. Each snapshot is made of the one
before it and the tiles between; users of whom something earlier than that became known since
are added up from their tiles anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.point_in_time import of_users, of_users_at_large
from behavior_spark.features.tiles.activity import (
    Activity,
    build_state,
    build_tiles,
    is_later_version,
)
from behavior_spark.features.tiles.definitions import Plan
from behavior_spark.features.tiles.matching_items import matches_before, matching_items
from behavior_spark.features.tiles.touched_events import touched_events
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.builds import Build, Changes, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.schemas import ACTIVITY_DAYS, EVENTS, ITEMS, USER_STATE

# known_day of a snapshot, and before_day: its events happened before that.
Snapshot: TypeAlias = tuple[dt.date, dt.date]

STATE_EVERY_DAYS = 28
# Later versions of tiles that are broadcast at most: about 10 MB.
FEW_LATER_VERSIONS = 100_000


def update_activity(run: Run, feature_set: FeatureSet) -> Sequence[Snapshot] | None:
    """Build the tiles that became known since the last build, and a snapshot where one is due.

    Days are replaced whole, in the commit that says so: a run that is killed before it is repeated
    by the next one, and a repeated one changes nothing.

    Returns:
        The snapshots that are there now, the latest first; None where nothing had to be built.
    """
    run.warehouse.require(EVENTS, made_by="ingest")
    plan, last = feature_set.plan, last_build(run, ACTIVITY_DAYS)
    changes = changes_since(run, EVENTS, last)
    matches = _match_items(run, plan, last, changes)
    start, why = first_changed_day(plan, last, changes, matches)
    end = max(run.as_of, last.through) if last and start else run.as_of
    run.mark_reached(ACTIVITY_DAYS, end)
    if start is not None and start >= end:
        return None
    if last and start is None:
        run.note(f"activity is built anew from all history: {why}")
    where = DayRange("known_day", since=start)
    with spark_errors("building activity"):
        build = Build(end, f"{plan.digest}/{matches.digests[end]}", changes.version)
        snapshots = _drop_stale_snapshots(run, start)
        tiles = new_tiles(run, feature_set, start, end, begun=matches.begun)
        run.warehouse.replace(tiles, ACTIVITY_DAYS, where=where, note=build.note)
        snapshots = _add_snapshot(run, end, snapshots, longest=_longest_window(run, plan))
    run.say(f"activity of {start or 'all days'} to {end} built")
    return snapshots


@dataclass(frozen=True)
class _Matches:
    """Which items count for which target.

    Attributes:
        digests: By day, of what counted before it; see ``matches_before``.
        begun: ``item_id`` of items that began to count on the first changed day or later; None
            where there are none.
    """

    digests: Mapping[dt.date, str]
    begun: DataFrame | None


def _match_items(run: Run, plan: Plan, last: Build | None, changes: Changes) -> _Matches:
    """Read the items once, for all that a build wants to know of them."""
    days = {run.as_of} | ({last.through} if last else set())
    wanted = {m.target: run.settings.targets[m.target] for m in plan.marks if m.target}
    wanted = {name: target for name, target in wanted.items() if target.item}
    if not wanted or not run.settings.sources.items:
        return _Matches(dict.fromkeys(days, ""), None)
    matches = matching_items(run.warehouse.read(ITEMS), wanted)
    since = changes.start or dt.date.max
    with spark_errors("reading items"):
        row = matches.agg(
            F.count_if(F.col("since") >= F.lit(since)).alias("begun"),
            *[matches_before(day).alias(str(day)) for day in days],
        ).first()
    if row is None:
        return _Matches(dict.fromkeys(days, ""), None)
    begun = matches.where(F.col("since") >= F.lit(since)).select("item_id").distinct()
    digests = {day: "" if row[str(day)] is None else str(row[str(day)]) for day in days}
    return _Matches(digests, begun if row["begun"] else None)


def first_changed_day(
    plan: Plan, last: Build | None, changes: Changes, matches: _Matches
) -> tuple[dt.date | None, str]:
    """First known_day to build, and where it is None (all of them) why."""
    if last is None:
        return None, changes.why
    definition, _, digest = last.definition.partition("/")
    if definition != plan.digest:
        return None, "event types, conditions or targets have changed"
    if digest != matches.digests[last.through]:
        return None, (
            "items that count for a target were listed later than their valid_from (items without "
            "one count as known always: map it, if nights are to be quick)"
        )
    return changes.start, changes.why


def new_tiles(
    run: Run,
    feature_set: FeatureSet,
    start: dt.date | None,
    end: dt.date,
    *,
    begun: DataFrame | None,
) -> DataFrame:
    """Tiles that became known in [start, end); from all history where start is None.

    ``begun`` are items that began to count for a target since start; None where there are none.
    """
    events = run.warehouse.require(EVENTS, made_by="ingest").where(
        F.col("arrived_day") < F.lit(end)
    )
    items = run.warehouse.read(ITEMS) if run.settings.sources.items else None
    if start is None:
        versions = of_users_at_large(events, key="event_id")
    else:
        touched = touched_events(
            events,
            start=start,
            back_days=run.settings.features.correction_days,
            begun=begun,
        )
        versions = of_users(touched, key="event_id")
    tiles = build_tiles(feature_set.facts(versions, items), start=start, end=end).tiles
    return tiles.sortWithinPartitions("known_day", "event_day")


def stored_activity(
    run: Run,
    feature_set: FeatureSet,
    days: Sequence[dt.date],
    *,
    snapshots: Sequence[Snapshot] | None = None,
) -> Activity | None:
    """Tiles for features at as_of days; None where no build reaches them.

    Args:
        run: The run.
        feature_set: The features.
        days: The as_of days.
        snapshots: As this run's ``update_activity`` gave them; None: what there is is looked up.
    """
    if snapshots is None:
        last = last_build(run, ACTIVITY_DAYS)
        if last is None or (run.reached(ACTIVITY_DAYS) or last.through) < max(days):
            return None
        if last.definition.partition("/")[0] != feature_set.plan.digest:
            return None
        snapshots = _snapshots(run)
    longest = _longest_window(run, feature_set.plan)
    return _activity_before(run, min(days), max(days), snapshots, longest=longest)


def _longest_window(run: Run, plan: Plan) -> int:
    """Days whose tiles must be there beside a snapshot."""
    return max(run.settings.features.longest_window, plan.longest_window)


def _activity_before(
    run: Run, first: dt.date, last: dt.date, snapshots: Sequence[Snapshot], *, longest: int
) -> Activity:
    """Tiles known before a day, with the latest snapshot that the first day may use."""
    tiles = run.warehouse.read(ACTIVITY_DAYS).where(F.col("known_day") < F.lit(last))
    snapshot = _usable(snapshots, first, longest=longest)
    if snapshot is None:
        return Activity.over(
            tiles, few_later_versions=_counted(tiles, is_later_version())[0] <= FEW_LATER_VERSIONS
        )
    known, before = snapshot
    state = run.warehouse.read(USER_STATE).where(F.col("known_day") == F.lit(known))
    is_recent = F.col("event_day") >= F.lit(before)
    # Of these users the snapshot no longer tells everything: their past is added up again.
    is_late = ~is_recent & (F.col("known_day") >= F.lit(known))
    read = tiles.where(is_recent | is_late)
    later_versions, late_tiles = _counted(read, is_recent & is_later_version(), is_late)
    recent = tiles.where(is_recent)
    if not late_tiles:
        few = later_versions <= FEW_LATER_VERSIONS
        return replace(Activity.over(recent, state, few_later_versions=few), past=tiles)
    late = tiles.where(is_late).select("user_id").distinct()
    again = tiles.where(~is_recent).join(late, "user_id", "left_semi")
    added_up = Activity.over(recent.unionByName(again), state.join(late, "user_id", "left_anti"))
    return replace(added_up, past=tiles)


def _counted(tiles: DataFrame, *conditions: Column) -> list[int]:
    """How many tiles satisfy each condition."""
    row = tiles.agg(*[F.count_if(condition) for condition in conditions]).first()
    return [int(count) for count in row] if row else [0] * len(conditions)


def _snapshots(run: Run) -> list[Snapshot]:
    """known_day and before_day of the snapshots that are there, the latest first."""
    rows = run.warehouse.read(USER_STATE).select("known_day", "before_day").distinct().collect()
    return sorted(((row["known_day"], row["before_day"]) for row in rows), reverse=True)


def _usable(snapshots: Sequence[Snapshot], day: dt.date, *, longest: int) -> Snapshot | None:
    """The latest snapshot known by a day whose tiles hold all of the day's windows."""
    start = day - dt.timedelta(days=longest)
    usable = (dates for dates in snapshots if dates[0] <= day and dates[1] <= start)
    return next(usable, None)


def _drop_stale_snapshots(run: Run, start: dt.date | None) -> list[Snapshot]:
    """Remove snapshots that rest on tiles about to be replaced; returns those that stay.

    This comes before the tiles change: whoever reads in between adds up more tiles instead.
    """
    snapshots = _snapshots(run)
    fresh = [dates for dates in snapshots if start is not None and dates[0] <= start]
    if len(fresh) < len(snapshots):
        where = "true" if start is None else f"known_day > DATE'{start}'"
        run.warehouse.replace(run.warehouse.empty(USER_STATE), USER_STATE, where=where)
    return fresh


def _add_snapshot(
    run: Run, end: dt.date, snapshots: list[Snapshot], *, longest: int
) -> list[Snapshot]:
    """Add a snapshot of totals as known before a day, where one is due; return all there are.

    One of this very day was stale and is gone: it is never there twice.
    """
    latest = _usable(snapshots, end, longest=longest)
    if latest and (end - latest[0]).days < STATE_EVERY_DAYS:
        return snapshots
    before = end - dt.timedelta(days=longest)
    activity = _activity_before(run, end, end, snapshots, longest=longest)
    state = build_state(activity, known_before=end, event_before=before)
    run.warehouse.append(state, USER_STATE)
    return sorted([*snapshots, (end, before)], reverse=True)
