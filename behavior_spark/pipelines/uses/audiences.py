"""Choose the members of a night's audiences: ``audience_members`` and ``audiences``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType

from behavior_spark.config import Audience
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.uses.audience_items import recommend_items, with_items
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    AUDIENCE_MEMBERS,
    AUDIENCES,
    EVENTS,
    ITEMS,
    USER_FEATURES,
    USER_NEXT_ITEMS,
    USER_PROFILE,
    USER_PROPENSITY,
)
from behavior_spark.uses.audiences.counting import (
    by_audience,
    item_measures_of,
    measures_of,
    prediction_facts,
)
from behavior_spark.uses.audiences.membership import (
    LEFT_OUT,
    REASONS,
    candidates,
    choose,
    last_memberships,
    with_rank,
)
from behavior_spark.uses.audiences.rows import REFUSED, audience_row, hindrance_of


@dataclass(frozen=True)
class AudiencesChosen(StageResult):
    """Audiences as they were written.

    Attributes:
        rows: One row of the table ``audiences`` each.
        items: By audience: how many of the recommended items were found in each way.
    """

    rows: Sequence[Mapping[str, Any]]
    items: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def figures(self) -> Mapping[str, float]:
        """Members, arms, expected conversions and ways to find items, of each audience."""
        figures = {
            f"audience_{row['audience']}_{name}": float(row[name])
            for row in self.rows
            for name in ("users", "members", "reached", "holdout", "expected")
            if row.get(name) is not None
        }
        return figures | {
            f"audience_{audience}_{name}": count
            for audience, counts in self.items.items()
            for name, count in counts.items()
        }

    @property
    def details(self) -> Mapping[str, Any]:
        """The rows, days as ISO text."""
        return {"audiences": [
            {n: v.isoformat() if isinstance(v, dt.date) else v for n, v in row.items()}
            for row in self.rows
        ]}  # fmt: skip

    def blocks(self) -> list[RenderableType]:
        """A table of the audiences."""
        return [rows_table([_shown(row) for row in self.rows], title="audiences")]


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row for the terminal: users = members + left out."""
    shown = {"audience": row["audience"], "rule": row["rule"], "users": f"{row['users']:,}"}
    if row["status"] == REFUSED:
        return shown | {"left out": "-", "reached": "refused", "held out": "-", "expected": "-"}
    left = [
        f"{row[f'left_out_{reason}']:,} {reason.replace('_', ' ')}"
        for reason in REASONS
        if row[f"left_out_{reason}"]
    ]
    return shown | {
        "left out": " + ".join(left) or "0",
        "reached": f"{row['reached']:,}",
        "held out": f"{row['holdout']:,}",
        "expected": f"{row['expected']:,.1f} ({row['expected_low']:,.0f} to "
        f"{row['expected_high']:,.0f}); at random {row['expected_at_random']:,.1f}",
    }


@stage(
    "audiences",
    does="predictions, consent and earlier nights to the members of each audience, in two arms",
    reads=(
        USER_PROPENSITY, USER_FEATURES, USER_PROFILE, USER_NEXT_ITEMS, AUDIENCE_MEMBERS, EVENTS,
        ITEMS,
    ),
    writes=(AUDIENCE_MEMBERS, AUDIENCES),
)
def audiences_stage(run: Run) -> AudiencesChosen:
    """Choose the members of every configured audience and replace the night's rows.

    Raises:
        ConfigError: No audience is configured, or a condition does not fit the tables.
        InputError: Nobody was predicted on this day. Where only the target of an audience was not,
            the audience is refused and the night goes on.
    """
    audiences = run.settings.audiences
    if not audiences:
        raise ConfigError(
            "no audience is configured",
            fix="name one under `audiences` in the config, with a target and a rule",
        )
    used = sorted({audience.target for audience in audiences.values()})
    tonight = run.warehouse.require(USER_PROPENSITY, made_by="predict").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    predictions = tonight.where(F.col("target").isin(used))
    with run.step("audiences"), spark_errors("choosing the members of audiences"):
        found = prediction_facts(tonight).collect()
        if not found:
            raise InputError(
                f"no predictions for {run.as_of}",
                fix=f"run `behavior-spark predict --as-of {run.as_of}` first",
            )
        facts = {row["target"]: row.asDict() for row in found}
        ready = {n: a for n, a in audiences.items() if not hindrance_of(facts.get(a.target))}
        counts, items = _write_members(run, predictions, ready, facts)
        rows = [
            audience_row(
                name,
                audience,
                as_of=run.as_of,
                valid_until=run.as_of
                + dt.timedelta(days=run.settings.targets[audience.target].horizon_days),
                facts=facts.get(audience.target),
                counts=counts.get(name),
            )
            for name, audience in audiences.items()
        ]
        frame = run.warehouse.frame(AUDIENCES, rows)
        run.warehouse.replace(frame, AUDIENCES, where=f"as_of = DATE'{run.as_of}'")
    for row in rows:
        if row.get("remark"):
            run.note(f"audience {row['audience']} ({row['status']}): {row['remark']}")
        if row.get("balanced") is False:
            run.note(f"audience {row['audience']}: users, members and left out DO NOT ADD UP")
    return AudiencesChosen(rows, items)


def _write_members(
    run: Run,
    predictions: DataFrame,
    audiences: Mapping[str, Audience],
    facts: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Write the members; give what was counted of each audience, and of its items."""
    tonight = f"as_of = DATE'{run.as_of}'"
    if not audiences:
        run.warehouse.replace(run.warehouse.empty(AUDIENCE_MEMBERS), AUDIENCE_MEMBERS,
                              where=tonight)  # fmt: skip
        return {}, {}
    # Reasons are most of a prediction: they join the members alone, and no user who is ranked.
    chosen = chosen_users(run, predictions.drop("reasons", "nearest_change"), audiences)
    counted = Counted.over(chosen, **measures_of(audiences))
    reasons = predictions.select("user_id", "target", "reasons", "nearest_change")
    members = counted.frame.where(F.col(LEFT_OUT).isNull()).join(reasons, ["user_id", "target"])
    offered, found = with_items(run.settings, audiences), None
    if offered:
        users = max(int(facts[audience.target]["users"]) for audience in audiences.values())
        ids = chosen.where(F.col(LEFT_OUT).isNull()).select("audience", "user_id")
        items = recommend_items(run, ids, offered, users=users)
        members = members.join(items, ["audience", "user_id"], "left").withColumnRenamed(
            "recommended_items", "items"
        )
        found = Counted.over(members, **item_measures_of(offered))
        members = found.frame
    run.warehouse.replace(members, AUDIENCE_MEMBERS, where=tonight)
    return by_audience(counted.values()), by_audience(found.values()) if found else {}


def chosen_users(
    run: Run, predictions: DataFrame, audiences: Mapping[str, Audience]
) -> DataFrame:
    """Every user and audience, with ``left_out``: null of members."""
    last = last_memberships(run.warehouse.read(AUDIENCE_MEMBERS), run.as_of)
    users = users_at(run, run.as_of)
    frame = with_rank(candidates(predictions, users, last, audiences))
    return choose(frame, audiences)


def users_at(run: Run, as_of: dt.date) -> DataFrame:
    """One row per user of a night: all columns of ``user_features`` and ``user_profile``."""
    tonight = F.col("as_of") == F.lit(as_of)
    features = run.warehouse.require(USER_FEATURES, made_by="build-features").where(tonight)
    profiles = run.warehouse.read(USER_PROFILE).where(tonight)
    own = [name for name in profiles.columns if name == "user_id" or name not in features.columns]
    return features.join(profiles.select(*own), "user_id", "left")
