"""An audience of a night, and its recommended items, beside simple rules.

    behavior-spark nightly --config conf/online_retail.yaml --as-of 2011-11-01
    behavior-spark ingest --config conf/online_retail.yaml --as-of 2011-12-10
    python -m benchmarks.audiences conf/online_retail.yaml --as-of 2011-11-01 --target lunch_30d

How many of the first N did what the target says within its horizon: by the night's score, by
recency, frequency and value, and by chance. Then recall@K of recommended items: the share of the
items of a user's horizon that are among K, mean over users who had any, beside what is popular:
by what goes together, and with a section `sequence` (``--set sequence={next_items: 40}``, after
``predict-items`` with the same) by next items first. ``--items-only`` leaves the first part out.
Prints Markdown. Brackets: 95 % bootstrap intervals over users.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Audience, Settings, load_settings
from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.targets import label_column, labels, mark_targets
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.pipelines.users.propensity import model_store
from behavior_spark.pipelines.uses.audience_items import (
    items_had,
    recommend_items,
    with_next_items,
)
from behavior_spark.runs.run import Run, running
from behavior_spark.schemas import EVENTS, ITEMS, USER_FEATURES, USER_PROPENSITY

Doubles = npt.NDArray[np.float64]
RESAMPLES = 1000


def ranked_users(run: Run, target: str) -> tuple[pd.DataFrame, dict[str, Doubles]]:
    """Users of the night with their outcome, and scores to rank them by."""
    tonight = F.col("as_of") == F.lit(run.as_of)
    settings = run.settings.targets[target]
    predictions = run.warehouse.read(USER_PROPENSITY).where(tonight & (F.col("target") == target))
    features = run.warehouse.read(USER_FEATURES).where(tonight)
    events = of_users(run.warehouse.read(EVENTS), key="event_id")
    items = run.warehouse.read(ITEMS) if run.settings.sources.items else None
    happened = labels(
        mark_targets(events, items, {target: settings}),
        [run.as_of],
        {target: settings},
        known_before=run.as_of + dt.timedelta(days=settings.horizon_days + 9),
    )
    table = (
        predictions.select("user_id", "score", "model_digest")
        .join(features, "user_id")
        .join(happened.select("user_id", label_column(target)), "user_id", "left")
        .orderBy("user_id")
        .toPandas()
    )
    model = PropensityModel.load(model_store(run, target).fetch(table["model_digest"][0]))
    scores = {"the model": table["score"].to_numpy(float)}
    scores |= {
        name.replace("_", ", "): model.baseline_scores(table, name) for name in model.baselines
    }
    return table.assign(hit=table[label_column(target)].fillna(0.0)), scores


def interval(values: Doubles) -> str:
    """Mean and its bootstrap interval."""
    dice = np.random.default_rng(0)
    means = [dice.choice(values, len(values)).mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def first_rows(table: pd.DataFrame, scores: Mapping[str, Doubles], size: int) -> list[str]:
    """How many of the first did it."""
    hits = table["hit"].to_numpy(float)
    rows = []
    for name, values in scores.items():
        chosen = hits[np.argsort(-values, kind="stable")[:size]]
        rows.append(f"| {name} | {int(chosen.sum())} | {interval(chosen)} |")
    rows.append(f"| chance | {hits.mean() * size:.0f} | {interval(hits)} |")
    return rows


def item_lists(run: Run, audience: Audience) -> dict[str, list[str]]:
    """What is recommended to every user of the night."""
    users = run.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(run.as_of))
    members = users.select(F.lit("all").alias("audience"), "user_id")
    chosen = recommend_items(run, members, {"all": audience}, users=members.count())
    ids = F.transform("recommended_items", lambda item: item["item_id"]).alias("items")
    found = chosen.select("user_id", ids).toPandas()
    return {str(u): list(i) for u, i in zip(found["user_id"], found["items"], strict=True)}


def without_sequence(run: Run) -> Run:
    """The same run without the sequence model."""
    return changed_run(run, run.settings.model_copy(update={"sequence": None}))


def changed_run(run: Run, settings: Settings) -> Run:
    """The same run with other settings."""
    return Run("measure", settings, run.as_of, run.spark, run.warehouse, run.console)


def had_between(run: Run, end: dt.date, days: int) -> pd.DataFrame:
    """``user_id, item_id``: distinct, of the days before ``end``."""
    recommendations = run.settings.recommendations.model_copy(update={"learn_days": days})
    settings = run.settings.model_copy(update={"recommendations": recommendations})
    had = items_had(changed_run(run, settings), end).select("user_id", "item_id")
    return had.distinct().dropna().toPandas()


def recall_rows(
    lists: Mapping[str, Mapping[str, list[str]]],
    truth: Mapping[str, set[str]],
    *,
    catalogue: int,
) -> list[str]:
    """Recall, users with a hit, and coverage of each way to recommend."""
    rows = []
    for name, by_user in lists.items():
        got = [(len(truth[u] & set(by_user.get(u, []))), len(truth[u])) for u in truth]
        recall = np.array([hits / wanted for hits, wanted in got])
        shown = {item for user in truth for item in by_user.get(user, [])}
        rows.append(
            f"| {name} | {interval(recall)} | {np.mean([hits > 0 for hits, _ in got]):.1%} | "
            f"{len(shown) / catalogue:.1%} |"
        )
    return rows


def item_rows(run: Run, target: str, length: int) -> list[str]:
    """Recommended items beside what is popular: new items alone, then all."""
    horizon = run.settings.targets[target].horizon_days
    later = had_between(run, run.as_of + dt.timedelta(days=horizon), horizon)
    year = had_between(run, run.as_of, run.settings.recommendations.learn_days)
    month = had_between(run, run.as_of, 30)
    had = year.groupby("user_id")["item_id"].agg(set).to_dict()
    rows = []
    for again in (False, True):
        audience = Audience(target=target, top=1, items=length, items_again=again)
        truth: dict[str, set[str]] = {
            str(user): {*items} - (set() if again else had[user])
            for user, items in later.groupby("user_id")["item_id"]
            if user in had
        }
        truth = {user: items for user, items in truth.items() if items}
        lists: dict[str, Mapping[str, list[str]]] = {}
        if with_next_items(run.settings, {"all": audience}):
            lists["next items, then what goes together"] = item_lists(run, audience)
        lists["what goes together"] = item_lists(without_sequence(run), audience)
        for name, popular in (("popular in 30 days", month), ("popular in a year", year)):
            order = list(popular["item_id"].value_counts().index)
            lists[name] = {
                user: [i for i in order if again or i not in had[user]][:length] for user in truth
            }
        title = "all items" if again else "items not had before"
        rows.append(f"| **{title}**, {len(truth):,} users | | | |")
        rows += recall_rows(lists, truth, catalogue=year["item_id"].nunique())
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path, nargs="+", help="a config, then overlays of it")
    parser.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--items-only", action="store_true")
    parser.add_argument("--first", type=int, default=400)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    settings: Settings = load_settings(options.config, overrides=options.overrides)
    console = Console(stderr=True)
    with running("measure", settings, as_of=options.as_of, console=console, record=False) as run:
        if not options.items_only:
            table, scores = ranked_users(run, options.target)
            print(f"| first {options.first} of {len(table):,} by | did it | rate |")
            print("| --- | ---: | --- |")
            print("\n".join(first_rows(table, scores, options.first)) + "\n", flush=True)
        print(f"| items | recall@{options.items} | users with a hit | coverage of items |")
        print("| --- | --- | ---: | ---: |")
        print("\n".join(item_rows(run, options.target, options.items)))


if __name__ == "__main__":
    main()
