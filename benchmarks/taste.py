"""AUC that the feature group ``taste`` adds, on days the trees were not trained on, paired.

    behavior-spark ingest --config conf/online_retail.yaml --as-of 2011-12-10
    behavior-spark score-texts --config conf/online_retail.yaml --as-of 2011-12-10
    behavior-spark build-features --config conf/online_retail.yaml --as-of 2011-12-10 \\
        --set features.taste={}
    python -m benchmarks.taste conf/online_retail.yaml --set features.taste={} \\
        --outcomes 2011-12-10 --day 2011-10-01 --day 2011-11-01 --frames build/taste

For each day trees are fitted on the training days of a night of that day, with the outcomes known
by then, and rank the users of the day by the outcomes known at ``outcomes``: with all features,
and without those of the group. Intervals are 95 %, by bootstrap over users; that of all days
together draws a user with his rows of all days, and is of the mean over days. Features are built
once and kept in ``frames``. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.model.measures.bootstrap import percentile_interval
from behavior_spark.model.measures.ranking import roc_auc, weighted_roc_auc
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.users.features import inputs_at, prepare_inputs
from behavior_spark.prediction.training_days import training_days
from behavior_spark.runs.run import running

Floats = npt.NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Day:
    """The users of a day, ranked with and without the group.

    Attributes:
        users: User of each row.
        labels: Outcomes, 0 or 1.
        whole: Margins by all features.
        without: Margins without the group.
    """

    users: npt.NDArray[np.str_]
    labels: Floats
    whole: Floats
    without: Floats

    @property
    def gain(self) -> float:
        """AUC with the group less AUC without."""
        return roc_auc(self.labels, self.whole) - roc_auc(self.labels, self.without)

    def resampled_gains(self, draws: Floats) -> Floats:
        """The gain with each row counted as often as its user was drawn, (resamples,)."""
        gains = weighted_roc_auc(self.labels, self.whole, draws)
        return np.asarray(gains - weighted_roc_auc(self.labels, self.without, draws))


def frames_of(
    settings: Settings, days: Sequence[dt.date], outcomes: dt.date, folder: Path
) -> tuple[dict[str, list[str]], dict[dt.date, pd.DataFrame]]:
    """Features by group; by day the rows to learn from and, of the day itself, to rank."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = {}
    with running(
        "taste", settings, as_of=outcomes, console=Console(stderr=True), record=False
    ) as run:
        prepared = prepare_inputs(run, active_text_model(settings, outcomes))
        features, training = prepared.feature_set, settings.training
        horizon = max(target.horizon_days for target in settings.targets.values())
        first = prepared.inputs.events.agg(F.to_date(F.min("event_time"))).first()
        for day in days:
            # A new definition of a feature gives other tables.
            path = folder / f"{day}-{features.plan.meaning[:12]}-{len(features.names)}.parquet"
            if not path.exists():
                learned = training_days(
                    day,
                    horizon_days=horizon,
                    count=training.as_of_days,
                    every_days=training.every_days,
                    first_event=first[0] if first else day,
                )
                inputs = inputs_at(run, prepared, [*learned, day])
                parts = [
                    features.training_set(inputs, at, known_before=known).toPandas()
                    for at, known in ((learned, day), ([day], outcomes))
                ]
                pd.concat(parts).to_parquet(path)
            frames[day] = pd.read_parquet(path)
        groups: dict[str, list[str]] = {}
        for feature in features.features:
            if feature.numeric:
                groups.setdefault(feature.group, []).append(feature.name)
    return groups, frames


def rank(frame: pd.DataFrame, day: dt.date, names: Sequence[str], label: str, seeds: int) -> Floats:
    """Mean margins over seeds of the day's users, by trees fitted on the earlier days."""
    is_day = frame["as_of"].astype(str) == str(day)
    learn = frame[~is_day].sort_values(["as_of", "user_id"])
    learner, total = find_learner("xgboost"), np.zeros(int(is_day.sum()))
    for seed in range(seeds):
        trees = learner.fit(
            feature_matrix(learn, names, label),
            learn[label].to_numpy(float),
            weights=np.ones(len(learn)),
            options=learner.make_options(seed=seed),
            loss="logistic",
        )
        total += trees.margins(feature_matrix(frame[is_day], names, label))
    return total / seeds


def ranked_days(
    frames: dict[dt.date, pd.DataFrame],
    names: Sequence[str],
    group: Sequence[str],
    label: str,
    seeds: int,
) -> dict[dt.date, Day]:
    """Each day ranked with and without the group."""
    others, ranked = [name for name in names if name not in set(group)], {}
    for day, frame in frames.items():
        users = frame[frame["as_of"].astype(str) == str(day)]
        ranked[day] = Day(
            users["user_id"].to_numpy(str),
            users[label].to_numpy(float),
            rank(frame, day, names, label, seeds),
            rank(frame, day, others, label, seeds),
        )
    return ranked


def draws_of(users: Sequence[npt.NDArray[np.str_]]) -> list[Floats]:
    """How often each row counts in each resample, by day; a user counts alike on all days."""
    everybody = np.unique(np.concatenate(users))
    chance = np.full(len(everybody), 1 / len(everybody))
    drawn = np.random.default_rng(0).multinomial(len(everybody), chance, size=RESAMPLES)
    return [drawn[:, np.searchsorted(everybody, mine)].astype(float) for mine in users]


def rows_of(target: str, ranked: dict[dt.date, Day]) -> list[str]:
    """Markdown rows of one target: each day, then all together."""
    draws = draws_of([day.users for day in ranked.values()])
    resampled, rows = [], []
    for (day, both), drawn in zip(ranked.items(), draws, strict=True):
        resampled.append(both.resampled_gains(drawn))
        low, high = percentile_interval(resampled[-1], 0.95)
        before, after = (roc_auc(both.labels, scores) for scores in (both.without, both.whole))
        rows.append(
            f"| {target} | {day} | {len(both.users):,} | {before:.4f} | {after:.4f} | "
            f"{both.gain:+.4f} ({low:+.4f} to {high:+.4f}) |"
        )
    if len(ranked) > 1:
        mean = np.mean([both.gain for both in ranked.values()])
        low, high = percentile_interval(np.mean(resampled, axis=0), 0.95)
        rows.append(f"| | together | | | | {mean:+.4f} ({low:+.4f} to {high:+.4f}) |")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path, nargs="+", help="a config, then overlays of it")
    parser.add_argument("--day", type=dt.date.fromisoformat, action="append", required=True)
    parser.add_argument("--outcomes", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--frames", type=Path, required=True, help="folder to keep features in")
    parser.add_argument("--group", default="taste", help="feature group that is left out")
    parser.add_argument("--target", action="append", help="by default all")
    parser.add_argument("--seeds", type=int, default=1, help="trees of so many seeds, averaged")
    parser.add_argument("--set", action="append", default=[], help="key.sub=value of the config")
    options = parser.parse_args()
    settings = load_settings(options.config, overrides=options.set)
    groups, frames = frames_of(settings, options.day, options.outcomes, options.frames)
    if options.group not in groups:
        parser.error(f"no feature is of the group {options.group}; there are: {', '.join(groups)}")
    names = [name for of_group in groups.values() for name in of_group]
    print(f"| target | day | users | AUC without {options.group} | with | gain |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for target in options.target or settings.targets:
        ranked = ranked_days(frames, names, groups[options.group], f"label_{target}", options.seeds)
        print(*rows_of(target, ranked), sep="\n", flush=True)


if __name__ == "__main__":
    main()
