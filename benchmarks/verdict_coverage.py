"""How often the interval of a target's verdict holds the true gain, by simulation.

    python -m benchmarks.verdict_coverage --draws 200 --resamples 300

Scores of positives are normal around ``shift``, those of others around 0, so the true AUC is
Phi(shift / sqrt(2)). A baseline is correlated with the model, as it is in reality.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
from scipy.stats import norm

from behavior_spark.model.measures.bootstrap import percentile_interval, resampled
from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.target_kind import Measure
from behavior_spark.model.propensity.verdict import CHANCE, LEVEL, judge

AUC = Measure("roc_auc", "AUC", roc_auc, chance=0.5)
CASES = ((40, 5), (100, 10), (400, 40))
SHIFTS = {"chance": 0.0, "AUC 0.71": 0.8}


def coverage(
    users: int, positives: int, shift: float, *, draws: int, resamples: int
) -> dict[str, float]:
    """Shares of draws in which the true gain is below, inside and above an interval."""
    labels = np.zeros(users)
    labels[:positives] = 1
    true_auc = float(norm.cdf(shift / np.sqrt(2)))
    weaker = float(norm.cdf(shift / 2 / np.sqrt(2)))
    counts = dict.fromkeys(("below", "above", "plain_below", "plain_above", "paired_inside"), 0)
    for draw in range(draws):
        dice = np.random.default_rng(draw)
        common = dice.normal(size=users)
        model = np.sqrt(0.5) * (common + dice.normal(size=users)) + shift * labels
        rival = np.sqrt(0.5) * (common + dice.normal(size=users)) + shift / 2 * labels
        verdict = judge(AUC, labels, model, {"rival": rival}, resamples=resamples)
        if verdict is None:
            raise RuntimeError("the measure says what chance is")
        gain, over = verdict.gains[CHANCE], verdict.gains["rival"]
        counts["below"] += true_auc - 0.5 < gain.low
        counts["above"] += true_auc - 0.5 > gain.high
        if not over.as_chance:
            counts["paired_inside"] += over.low <= true_auc - weaker <= over.high
        else:
            counts["paired_inside"] += over.low <= true_auc - 0.5 <= over.high
        [values] = resampled(roc_auc, labels, [model], resamples=resamples)
        low, high = percentile_interval(values - 0.5, LEVEL)
        counts["plain_below"] += true_auc - 0.5 < low
        counts["plain_above"] += true_auc - 0.5 > high
    return {name: count / draws for name, count in counts.items()}


def main(arguments: list[str]) -> None:
    """Print a table, or the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    results = {
        f"{users} users, {positives} positives, {name}": coverage(
            users, positives, shift, draws=options.draws, resamples=options.resamples
        )
        for users, positives in CASES
        for name, shift in SHIFTS.items()
    }
    if options.json:
        print(json.dumps(results))
        return
    print("| held out | inside | true gain below | plain percentiles: inside | below | paired |")
    print("| --- |" + " ---: |" * 5)
    for name, row in results.items():
        inside = 1 - row["below"] - row["above"]
        plain = 1 - row["plain_below"] - row["plain_above"]
        print(
            f"| {name} | {inside:.3f} | {row['below']:.3f} | {plain:.3f} | "
            f"{row['plain_below']:.3f} | {row['paired_inside']:.3f} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
