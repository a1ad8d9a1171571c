"""One year of Online Retail beside two: ranking and probabilities on days not trained on.

    python -m benchmarks.seasons --folder /tmp/seasons          # validation days, before October
    python -m benchmarks.seasons --folder /tmp/seasons --test   # October 1 and November 1, 2011

*One year* is today's model: windows to 90 days. *Both years* adds the year before, windows of 180
and 365 days and the same season. Users are those of one year, rows are paired, brackets are 95 %
bootstrap intervals over users. Settings were chosen on the validation days. Probabilities are
calibrated as `training.calibration` does; *season* is `training.prior_shift`, and *EM* the rule of
Saerens, Latinne and Decaestecker. Prints Markdown. Frames come from `benchmarks.season_frames`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.bootstrap import bootstrap_interval, resampled
from behavior_spark.model.measures.ranking import (
    expected_calibration_error,
    roc_auc,
    weighted_roc_auc,
)
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.prior_shift import (
    estimated_rate,
    offset_to_rate,
    shifted,
)
from behavior_spark.model.propensity.training import train_propensity_model
from benchmarks.season_frames import RANKED, frame_of

TARGETS = ("purchase_30d", "lunch_30d", "cancel_30d")
TRAINING_DAYS, EVERY = 6, dt.timedelta(days=30)
VALIDATION = tuple(RANKED[0] - EVERY * back for back in (1, 2, 3))
RESAMPLES = 1000


@dataclass(frozen=True)
class Night:
    """The users of one day, ranked by one model.

    Attributes:
        labels: 0 or 1, (users,).
        margins: (users,).
        probabilities: Calibrated, (users,).
        shifts: Probabilities by name of the shift, each (users,).
        users: User ids, sorted.
    """

    labels: Doubles
    margins: Doubles
    probabilities: Doubles
    shifts: dict[str, Doubles]
    users: Sequence[str]


def features_of(frame: pd.DataFrame, *, long: bool) -> list[str]:
    """Features of a model: all, or those without windows of half a year and more and seasons."""
    ending = re.compile(r"_(180|365)d$|_season_")
    others = ("user_id", "as_of", "label")
    names = [str(c) for c in frame if c not in others and not str(c).startswith("label_")]
    return [name for name in names if long or not ending.search(name)]


class Study:
    """Frames of one and both years, up to one ranked day."""

    def __init__(self, folder: Path, last: dt.date) -> None:
        self.frames = {}
        for years in ("one", "both"):
            frame = frame_of(folder, years, last)
            frame["as_of"] = pd.to_datetime(frame["as_of"]).dt.date
            self.frames[years] = frame[frame["recency_days"] <= 365]
        self.users: dict[dt.date, set[str]] = {
            day: set(rows["user_id"])
            for day in self.frames["one"]["as_of"].unique()
            for rows in [self.frames["one"][self.frames["one"]["as_of"] == day]]
        }

    def model(
        self, years: str, day: dt.date, target: str, prior_shift: str = "none"
    ) -> PropensityModel:
        """The model of the night ``day``."""
        frame = self.frames[years]
        known = sorted({d for d in frame["as_of"] if d <= day - EVERY})
        known = known[-TRAINING_DAYS - (0 if prior_shift == "none" else 14) :]
        return train_propensity_model(
            frame[frame["as_of"].isin(known)], target=target,
            features=features_of(frame, long=years == "both"),
            label=f"label_{target}", as_of="as_of", horizon_days=30, resamples=50,
            options=find_learner("xgboost").make_options(seed=7),
            recent_days=TRAINING_DAYS, prior_shift=prior_shift,
        )  # fmt: skip

    def night(self, years: str, day: dt.date, target: str) -> Night:
        """The users of one year at a day, ranked with the outcome known now."""
        model = self.model(years, day, target)
        rows = self.frames[years]
        rows = rows[(rows["as_of"] == day) & rows["user_id"].isin(self.users[day])]
        rows = rows.sort_values("user_id")
        margins = model.margins(rows)
        probabilities = model.calibrator.predict(margins)
        shifts = {"EM": self._by_em(model, probabilities)}
        if years == "both":
            seasonal = self.model(years, day, target, "season")
            shifts["season"] = seasonal.prediction_columns(margins, day)["probability"]
        labels = rows[f"label_{target}"].to_numpy(float)
        return Night(labels, margins, probabilities, shifts, rows["user_id"].tolist())

    def _by_em(self, model: PropensityModel, probabilities: Doubles) -> Doubles:
        rate = model.metadata["positives"] / model.metadata["rows"]
        estimated = estimated_rate(probabilities, rate)
        return shifted(probabilities, offset_to_rate(probabilities, estimated))


def pooled_gain(pairs: Sequence[tuple[Night, Night]]) -> tuple[float, float, float]:
    """Mean gain of AUC over days with its interval; users are drawn for all days together."""
    users = sorted({user for _, new in pairs for user in new.users})
    place = {user: index for index, user in enumerate(users)}
    dice = np.random.default_rng(0)
    drawn = np.stack([np.bincount(dice.integers(0, len(users), len(users)),
                                  minlength=len(users)) for _ in range(RESAMPLES)])  # fmt: skip
    value, spread = 0.0, np.zeros(RESAMPLES)
    for old, new in pairs:
        counts = drawn[:, [place[user] for user in new.users]].astype(float)
        value += (roc_auc(new.labels, new.margins) - roc_auc(old.labels, old.margins)) / len(pairs)
        of_new = weighted_roc_auc(new.labels, new.margins, counts)
        spread += (of_new - weighted_roc_auc(old.labels, old.margins, counts)) / len(pairs)
    low, high = np.quantile(spread, [0.025, 0.975])
    return value, float(low), float(high)


def interval_words(value: float, low: float, high: float, *, sign: bool = False) -> str:
    """A figure with its interval."""
    form = "+.3f" if sign else ".3f"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def gain_on_day(old: Night, new: Night) -> str:
    """Gain of AUC on one day."""
    before, after = resampled(roc_auc, old.labels, [old.margins, new.margins], resamples=RESAMPLES)
    low, high = np.quantile(after - before, [0.025, 0.975])
    value = roc_auc(new.labels, new.margins) - roc_auc(old.labels, old.margins)
    return interval_words(value, float(low), float(high), sign=True)


def calibration_words(night: Night, probabilities: Doubles) -> str:
    """ECE with its interval, and the mean prediction."""
    low, high = bootstrap_interval(
        expected_calibration_error, night.labels, probabilities, resamples=RESAMPLES
    )
    value = expected_calibration_error(night.labels, probabilities)
    return f"{interval_words(value, low, high)}, mean {probabilities.mean():.3f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    days = RANKED if arguments.test else VALIDATION
    studies = {last: Study(arguments.folder, last) for last in RANKED[: 2 if arguments.test else 1]}
    ranking, calibration = [], []
    for target in TARGETS:
        pairs = []
        for day in days:
            study = studies.get(day) or studies[RANKED[0]]
            old = study.night("one", day, target)
            new = study.night("both", day, target)
            pairs.append((old, new))
            aucs = [roc_auc(night.labels, night.margins) for night in (old, new)]
            ranking.append([target, day, len(old.labels), *[f"{auc:.3f}" for auc in aucs],
                            gain_on_day(old, new)])  # fmt: skip
            tried = [
                ("one year", old, old.probabilities),
                ("one year, EM", old, old.shifts["EM"]),
                ("both years", new, new.probabilities),
                *[(f"both years, {name}", new, said) for name, said in new.shifts.items()],
            ]
            calibration += [
                [target, day, f"{old.labels.mean():.3f}", name, calibration_words(night, p)]
                for name, night, p in tried
            ]
        ranking.append([target, "all days", "", "", "",
                        interval_words(*pooled_gain(pairs), sign=True)])  # fmt: skip
    for head, rows in (
        (("target", "day", "users", "AUC, one year", "AUC, both", "gain"), ranking),
        (("target", "day", "rate", "probabilities", "ECE, mean prediction"), calibration),
    ):
        print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
        print("\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows), "\n")


if __name__ == "__main__":
    main()
