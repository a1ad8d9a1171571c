"""Today's models of Online Retail on days that chose nothing: the 15ths of months in 2011.

    python -m benchmarks.season_days --folder /tmp/seasons

June to October, whose 30 days end before the log does, and October 1 and November 1 beside them,
which everybody has looked at. On each day three models, with the settings of
``conf/online_retail.yaml``: of one year (``FIRST_YEAR=none``), of both years, and of both with
``conf/long_history.yaml``; beside them the baseline of recency, frequency and value, of one year.
The same users (of the one year, seen within a year) and outcomes, paired. Brackets are 95 %
bootstrap intervals over users; *together* draws a user with his rows of all days. Nothing is chosen
here. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.prediction.training_days import training_days
from benchmarks.season_frames import FIRST_EVENTS, RANKED, build
from benchmarks.seasons import (
    EVERY,
    TARGETS,
    TRAINING_DAYS,
    Night,
    calibration_words,
    features_of,
    gain_on_day,
    interval_words,
    pooled_gain,
)

FIFTEENTHS = tuple(dt.date(2011, month, 15) for month in range(6, 11))
SEEN_WITHIN = 365
BASELINE = "recency_frequency_value"
COLUMNS = {"recency": "recency_days", "frequency": "event_count_all", "value": "value_all"}
# Models by name: which frame, and whether windows of half a year and more and seasons are read.
MODELS = {
    "one year": ("one", False), "both years": ("both", False), "both, long windows": ("both", True)
}  # fmt: skip


def learned_days(day: dt.date, years: str) -> list[dt.date]:
    """Training days of a night, as the night chooses them."""
    return training_days(
        day, horizon_days=EVERY.days, count=TRAINING_DAYS, every_days=EVERY.days,
        first_event=FIRST_EVENTS[years],
    )  # fmt: skip


def frame_of(folder: Path, years: str) -> pd.DataFrame:
    """Rows of all ranked days and of those that their nights learn from."""
    path = folder / f"{years}_days.parquet"
    if not path.exists():
        days = {d for day in (*FIFTEENTHS, *RANKED) for d in (day, *learned_days(day, years))}
        build(folder, years, {"days": sorted(days)})
    frame = pd.read_parquet(path)
    frame["as_of"] = pd.to_datetime(frame["as_of"]).dt.date
    return frame[frame["recency_days"] <= SEEN_WITHIN]


def model_of(frame: pd.DataFrame, name: str, day: dt.date, target: str) -> PropensityModel:
    """The model of a night."""
    years, long = MODELS[name]
    rows = frame[frame["as_of"].isin(learned_days(day, years))]
    return train_propensity_model(
        rows, target=target, features=features_of(frame, long=long), label=f"label_{target}",
        as_of="as_of", horizon_days=EVERY.days, resamples=50, baseline_columns=COLUMNS,
        options=find_learner("xgboost").make_options(seed=7), recent_days=TRAINING_DAYS,
    )  # fmt: skip


def nights(
    frames: Mapping[str, pd.DataFrame], day: dt.date, target: str
) -> dict[str, Night]:
    """The same users at a day, ranked by each model and by the baseline."""
    users = set(frames["one"].loc[frames["one"]["as_of"] == day, "user_id"])
    found: dict[str, Night] = {}
    for name, (years, _) in MODELS.items():
        frame = frames[years]
        rows = frame[(frame["as_of"] == day) & frame["user_id"].isin(users)]
        rows = rows.sort_values("user_id")
        model, labels = model_of(frame, name, day, target), rows[f"label_{target}"].to_numpy(float)
        margins = model.margins(rows)
        if not found:
            scores = model.baseline_scores(rows, BASELINE)
            found["baseline"] = Night(labels, scores, scores, {}, rows["user_id"].tolist())
        found[name] = Night(
            labels, margins, model.calibrator.predict(margins), {}, rows["user_id"].tolist()
        )
    return found


def cells(found: Mapping[str, Night]) -> list[str]:
    """AUC of the baseline and of each model, and the gain of each over the one before."""
    order = list(found.values())
    gains = [
        f"{roc_auc(new.labels, new.margins):.3f}, {gain_on_day(old, new)}"
        for old, new in ((order[0], order[1]), (order[1], order[2]), (order[1], order[3]))
    ]
    return [f"{roc_auc(order[0].labels, order[0].margins):.3f}", *gains]


def together(days: Sequence[Mapping[str, Night]]) -> list[str]:
    """The gains of all days, users drawn with all their rows."""
    names = list(days[0])
    pairs = ((names[0], names[1]), (names[1], names[2]), (names[1], names[3]))
    return [
        interval_words(*pooled_gain([(day[old], day[new]) for day in days]), sign=True)
        for old, new in pairs
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    frames = {years: frame_of(folder, years) for years in FIRST_EVENTS}
    ranking, calibration = [], []
    for target in TARGETS:
        found = {day: nights(frames, day, target) for day in (*FIFTEENTHS, *RANKED)}
        for day, ranked in found.items():
            labels = ranked["one year"].labels
            ranking.append([target, day, f"{len(labels):,}", *cells(ranked)])
            calibration.append([
                target, day, f"{labels.mean():.3f}",
                *[calibration_words(ranked[name], ranked[name].probabilities) for name in MODELS],
            ])  # fmt: skip
        for words, days in (("the 15ths together", FIFTEENTHS), ("all together", tuple(found))):
            gains = together([found[day] for day in days])
            ranking.append([target, words, "", "", *gains])
    over = [f"{name}, over {'one year' if n else 'it'}" for n, name in enumerate(MODELS)]
    for head, rows in (
        (("target", "day", "users", "baseline", *over), ranking),
        (("target", "day", "rate", *MODELS), calibration),
    ):
        print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
        print("\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows), "\n")


if __name__ == "__main__":
    main()
