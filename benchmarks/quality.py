"""AUC that each feature group adds to propensity models, on a day they were not trained on.

    behavior-spark nightly --config conf/online_retail.yaml --as-of 2011-11-01
    behavior-spark ingest --config conf/online_retail.yaml --as-of 2011-12-10
    python -m benchmarks.quality conf/online_retail.yaml --as-of 2011-11-01 --outcomes 2011-12-10

Trees are fitted on the training days of the night ``as_of``. They are measured on the users of
``as_of`` with the outcomes known at ``outcomes``: with all features, with each group alone, and
without each group. AUC has its 95 % bootstrap interval; differences are paired over the same users.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.model.measures.bootstrap import bootstrap_interval, paired_bootstrap_difference
from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.users.features import inputs_at, prepare_inputs
from behavior_spark.pipelines.users.training_rows import training_table
from behavior_spark.runs.run import running

Floats = npt.NDArray[np.float64]


def tables(
    settings: Settings, as_of: dt.date, outcomes: dt.date
) -> tuple[dict[str, list[str]], dict[int, pd.DataFrame], dict[int, pd.DataFrame]]:
    """Names of features by group; by horizon, the rows to train on and the rows to rank."""
    horizons: dict[int, list[str]] = {}
    for name, target in settings.targets.items():
        horizons.setdefault(target.horizon_days, []).append(name)
    console = Console(stderr=True)
    with running("quality", settings, as_of=as_of, console=console, record=False) as run:
        model = active_text_model(settings, as_of)
        prepared = prepare_inputs(run, model)
        learn = {
            days: training_table(run, prepared, names, days) for days, names in horizons.items()
        }
        later = running(
            "quality", settings, as_of=outcomes, spark=run.spark, console=console, record=False
        )
        with later as after:
            # The same text model, because a later one may have been trained on texts after as_of.
            afterwards = prepare_inputs(after, model)
            known, later_set = inputs_at(after, afterwards, [as_of]), afterwards.feature_set
            ranked = {}
            for days, names in horizons.items():
                frame = later_set.training_set(
                    known, [as_of], known_before=outcomes, labelled=names
                )
                ranked[days] = frame.toPandas()
    groups: dict[str, list[str]] = {}
    for feature in prepared.feature_set.features:
        if feature.numeric:
            groups.setdefault(feature.group, []).append(feature.name)
    return groups, learn, ranked


def scores_of(
    learn: pd.DataFrame, ranked: pd.DataFrame, names: Sequence[str], label: str
) -> Floats:
    """Margins of the users to rank, by trees fitted on these features only."""
    learn = learn.sort_values(["as_of", "user_id"])
    learner = find_learner("xgboost")
    trees = learner.fit(
        feature_matrix(learn, names, label),
        learn[label].to_numpy(float),
        weights=np.ones(len(learn)),
        options=learner.make_options(),
        loss="logistic",
    )
    return trees.margins(feature_matrix(ranked, names, label))


def rows_of(
    groups: dict[str, list[str]], learn: pd.DataFrame, ranked: pd.DataFrame, target: str
) -> list[str]:
    """Markdown rows of one target."""
    label, every = f"label_{target}", [name for names in groups.values() for name in names]
    truth = ranked[label].to_numpy(float)
    whole = scores_of(learn, ranked, every, label)

    def auc(scores: Floats) -> str:
        low, high = bootstrap_interval(roc_auc, truth, scores)
        return f"{roc_auc(truth, scores):.3f} ({low:.3f} to {high:.3f})"

    rows = [f"| {target} | all | {len(every)} | {auc(whole)} | |"]
    for group, names in groups.items():
        others = [name for name in every if name not in set(names)]
        without = scores_of(learn, ranked, others, label)
        gain, low, high = paired_bootstrap_difference(roc_auc, truth, whole, without)
        alone = scores_of(learn, ranked, names, label)
        rows.append(
            f"| | {group} | {len(names)} | {auc(alone)} | {gain:+.3f} ({low:+.3f} to {high:+.3f}) |"
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path, nargs="+", help="a config, then overlays of it")
    parser.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--outcomes", type=dt.date.fromisoformat, required=True)
    options = parser.parse_args()
    settings = load_settings(options.config)
    groups, learn, ranked = tables(settings, options.as_of, options.outcomes)
    print("| target | features | how many | AUC of these alone | AUC they add to all others |")
    print("| --- | --- | ---: | --- | --- |")
    for name, target in settings.targets.items():
        days = target.horizon_days
        for row in rows_of(groups, learn[days], ranked[days], name):
            print(row, flush=True)
    users = {len(frame) for frame in ranked.values()}
    print(f"\n{', '.join(map(str, users))} users on {options.as_of}")


if __name__ == "__main__":
    main()
