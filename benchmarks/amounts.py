"""What a customer spends in 90 days, and who buys nothing in them, on Online Retail.

    python -m benchmarks.amounts --folder /tmp/seasons          # validation days
    python -m benchmarks.amounts --folder /tmp/seasons --test   # September 1, 2011

Trees (kinds `amount` and `does_not`) beside BG/NBD with gamma-gamma, a Tweedie (logistic)
regression on recency, frequency and value, recency alone, and what was spent in the last 90 days.
Users are those seen within a year; a model of a day has learned from outcomes complete on it.
Brackets are 95 % bootstrap intervals over users; differences from the trees are paired. The trees'
features and training days were chosen on the validation days, whose outcomes were complete before
September. Prints Markdown. Frames come from `benchmarks.season_frames`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.amounts import mean_absolute_error, spearman, top_decile_gain
from behavior_spark.model.measures.bootstrap import percentile_interval, resampled
from behavior_spark.model.measures.metric import Metric
from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.training import train_propensity_model
from benchmarks.contenders.bg_nbd import Histories, fit_beta_geometric, fit_gamma_gamma
from benchmarks.season_frames import RANKED, frame_of

HORIZON = dt.timedelta(days=90)
TEST = dt.date(2011, 9, 1)
VALIDATION = (dt.date(2011, 6, 3), dt.date(2011, 5, 4), dt.date(2011, 4, 4))
TRAINING_DAYS = {"6 days": 6, "12 days": 12}
FEATURES = {"windows to 90 days": False, "windows to a year": True}
CHOSEN = ("windows to 90 days", "6 days")
BASELINE = {"recency": "recency_days", "frequency": "event_count_90d", "value": "value_all"}
AMOUNT_METRICS: dict[str, Metric] = {
    "MAE": mean_absolute_error, "Spearman": spearman, "decile gain": top_decile_gain
}  # fmt: skip
CHURN_METRICS: dict[str, Metric] = {"AUC": roc_auc}
RESAMPLES = 1000


def read_purchases() -> pd.DataFrame:
    """Purchase lines of both years, exact copies once: user_id, time, value."""
    data = Path(os.environ.get("BEHAVIOR_DATA", "../shared/data"))
    files = [data / name / f"{name}.parquet" for name in ("online_retail_2009", "online_retail")]
    lines = pd.concat([pd.read_parquet(file) for file in files]).drop_duplicates()
    lines = lines[lines["CustomerID"].notna() & ~lines["InvoiceNo"].str.startswith("C")]
    return pd.DataFrame(
        {
            "user_id": lines["CustomerID"].astype(int).astype(str),
            "time": pd.to_datetime(lines["InvoiceDate"]),
            "value": lines["Quantity"] * lines["UnitPrice"],
        }
    )


@dataclass(frozen=True)
class Study:
    """Users at as-of days with features and outcomes, and all purchases."""

    frame: pd.DataFrame
    purchases: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Frames of both years, with ``amount`` and ``churned`` within 90 days."""
        frame, purchases = frame_of(folder, "both", RANKED[0]), read_purchases()
        frame["as_of"] = pd.to_datetime(frame["as_of"]).dt.date
        frame = frame[(frame["recency_days"] <= 365) & (frame["as_of"] <= TEST)]
        parts = []
        for day, rows in frame.groupby("as_of"):
            start = pd.Timestamp(str(day))
            within = purchases["time"].between(start, start + HORIZON, inclusive="left")
            spent = purchases[within].groupby("user_id")["value"].sum()
            bought = rows["user_id"].isin(spent.index)
            amount = rows["user_id"].map(spent).fillna(0.0).clip(lower=0.0)
            parts.append(rows.assign(amount=amount, churned=(~bought).astype(int)))
        return cls(pd.concat(parts), purchases)

    def at(self, day: dt.date) -> pd.DataFrame:
        """Users of one day, sorted."""
        return self.frame[self.frame["as_of"] == day].sort_values("user_id")

    def trees(self, day: dt.date, label: str, features: str, days: str) -> PropensityModel:
        """The model that a night of this day would have."""
        known = sorted(d for d in self.frame["as_of"].unique() if d <= day - HORIZON)
        known = known[-TRAINING_DAYS[days] :]
        columns = [str(column) for column in self.frame if not str(column).startswith("label")]
        outcomes = ("user_id", "as_of", "amount", "churned")
        names = [column for column in columns if column not in outcomes]
        if not FEATURES[features]:
            names = [c for c in names if not c.endswith(("_180d", "_365d")) and "_season_" not in c]
        return train_propensity_model(
            self.frame[self.frame["as_of"].isin(known)], target=label, features=names,
            label=label, as_of="as_of", horizon_days=HORIZON.days, resamples=50,
            kind="amount" if label == "amount" else "does_not", baseline_columns=BASELINE,
            options=find_learner("xgboost").make_options(seed=7),
        )  # fmt: skip

    def customer_base(self, day: dt.date, users: pd.Series) -> tuple[Doubles, Doubles]:
        """BG/NBD with gamma-gamma, fitted on all buyers until a day.

        Returns:
            Expected amount and probability of no purchase within the horizon, of each user; of
            who has never bought 0 and 1.
        """
        past = self.purchases[self.purchases["time"] < pd.Timestamp(day)]
        by_day = past.assign(day=past["time"].dt.normalize()).groupby(["user_id", "day"])
        visits = by_day["value"].sum().reset_index()
        first = visits.groupby("user_id")["day"].min()
        later = visits[visits["day"] > visits["user_id"].map(first)]
        of_user = visits.groupby("user_id")["day"].agg(["min", "max", "count"])
        customers = Histories(
            (of_user["count"] - 1).to_numpy(float),
            np.asarray((of_user["max"] - of_user["min"]).dt.days, dtype=np.float64),
            np.asarray((pd.Timestamp(day) - of_user["min"]).dt.days, dtype=np.float64),
        )
        means = later.groupby("user_id")["value"].mean().reindex(of_user.index).fillna(0.0)
        value = means.to_numpy(float)
        buying = fit_beta_geometric(customers)
        spending = fit_gamma_gamma(customers.repeats, value)
        expected = buying.expected(customers, HORIZON.days)
        amount = expected * spending.expected(customers.repeats, np.maximum(value, 0.0))
        none = buying.none_within(customers, HORIZON.days)
        table = pd.DataFrame({"amount": amount, "none": none}, index=of_user.index).reindex(users)
        return table["amount"].fillna(0.0).to_numpy(), table["none"].fillna(1.0).to_numpy()

    def level(self, day: dt.date) -> float:
        """By how much BG/NBD with gamma-gamma was off in total 90 days before."""
        rows = self.at(min(self.frame["as_of"], key=lambda d: abs((day - HORIZON - d).days)))
        expected, _ = self.customer_base(rows["as_of"].iloc[0], rows["user_id"])
        return float(rows["amount"].sum() / expected.sum())

    def amounts(self, day: dt.date, model: PropensityModel) -> dict[str, Doubles]:
        """Predicted amounts of each user of a day, by contender."""
        rows = self.at(day)
        lifetime, _ = self.customer_base(day, rows["user_id"])
        regression = np.exp(model.baseline_scores(rows, "recency_frequency_value"))
        return {
            "trees": model.predictions(rows),
            "BG/NBD, gamma-gamma": lifetime,
            "BG/NBD, gamma-gamma, level of the 90 days before": lifetime * self.level(day),
            "recency, frequency, value": regression,
            "spent in the 90 days before": rows["purchase_value_90d"].to_numpy(float),
            "the mean for everybody": np.full(len(rows), float(np.exp(model.margins(rows)).mean())),
        }

    def churn(self, day: dt.date, model: PropensityModel) -> dict[str, Doubles]:
        """Scores of buying nothing, of each user of a day, by contender."""
        rows = self.at(day)
        _, none = self.customer_base(day, rows["user_id"])
        return {
            "trees": model.margins(rows),
            "BG/NBD": none,
            "recency, frequency, value": model.baseline_scores(rows, "recency_frequency_value"),
            "recency": model.baseline_scores(rows, "recency"),
        }


def table_of(
    truth: Doubles, contenders: dict[str, Doubles], metrics: dict[str, Metric]
) -> list[str]:
    """Markdown: each contender's figures, and how far the trees are from it, with intervals."""
    head = [part for name in metrics for part in (name, f"trees less it, {name}")]
    lines = [f"| | {' | '.join(head)} |", f"| --- |{' --- |' * len(head)}"]
    drawn = {
        name: resampled(metric, truth, list(contenders.values()), resamples=RESAMPLES)
        for name, metric in metrics.items()
    }
    for place, (name, scores) in enumerate(contenders.items()):
        cells = [name]
        for measure, metric in metrics.items():
            digits = ".1f" if measure == "MAE" else ".3f"
            low, high = percentile_interval(drawn[measure][place], 0.95)
            value = metric(truth, scores)
            if np.isnan(value):  # a constant has no rank
                cells += ["", ""]
                continue
            cells.append(f"{value:{digits}} ({low:{digits}} to {high:{digits}})")
            gain = metric(truth, contenders["trees"]) - value
            low, high = percentile_interval(drawn[measure][0] - drawn[measure][place], 0.95)
            told = f"{gain:+{digits}} ({low:+{digits}} to {high:+{digits}})"
            cells.append(told if place else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def print_day(study: Study, day: dt.date, features: str, days: str) -> None:
    """Both tables of a day."""
    rows = study.at(day)
    amount, churned = rows["amount"].to_numpy(float), rows["churned"].to_numpy(float)
    print(f"\n{day}: {len(rows):,} users, {100 * churned.mean():.1f} % buy nothing in 90 days, "
          f"mean amount {amount.mean():.1f}\n")  # fmt: skip
    model = study.trees(day, "amount", features, days)
    print("\n".join(table_of(amount, study.amounts(day, model), AMOUNT_METRICS)), "\n", flush=True)
    model = study.trees(day, "churned", features, days)
    print("\n".join(table_of(churned, study.churn(day, model), CHURN_METRICS)), flush=True)


def print_choice(study: Study) -> None:
    """Figures of every setting of the trees on the validation days."""
    print("| features | training days | day | MAE | Spearman | decile gain | AUC, churn |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for features in FEATURES:
        for days in TRAINING_DAYS:
            for day in VALIDATION:
                rows = study.at(day)
                amount = rows["amount"].to_numpy(float)
                expected = study.trees(day, "amount", features, days).predictions(rows)
                figures = [f"{metric(amount, expected):.3f}" for metric in AMOUNT_METRICS.values()]
                margins = study.trees(day, "churned", features, days).margins(rows)
                figures.append(f"{roc_auc(rows['churned'].to_numpy(float), margins):.3f}")
                print(f"| {features} | {days} | {day} | {' | '.join(figures)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    study = Study.read(arguments.folder)
    if arguments.test:
        print_day(study, TEST, *CHOSEN)
    else:
        print_choice(study)
        print_day(study, VALIDATION[0], *CHOSEN)


if __name__ == "__main__":
    main()
