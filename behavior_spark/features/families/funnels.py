"""Family ``funnels``: the furthest step of users in the configured funnels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.config import Funnel
from behavior_spark.features.declared import LONG, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Request
from behavior_spark.features.operation import lately
from behavior_spark.features.sessions.by_user import SessionPart
from behavior_spark.features.sessions.funnels import furthest_step, latest_turns
from behavior_spark.model.propensity.sayings import Saying, Told


class Funnels(Family):
    """Steps reached in ``features.funnels``, from the paths of stored sessions."""

    name = "funnels"
    order = 50
    source = "sessions"

    def features(self, request: Request) -> list[Feature]:
        """Features of all funnels; none without stored sessions."""
        if not request.offer.sessions:
            return []
        return funnel_features(request.settings.funnels, request.settings.windows_days)

    def session_part(self, request: Request) -> SessionPart:
        """The furthest step of each funnel, and the number of sessions that reached each step."""
        return funnel_steps(request.settings.funnels, request.settings.windows_days)


def funnel_features(funnels: Mapping[str, Funnel], windows: Sequence[int]) -> list[Feature]:
    """The features that ``funnel_steps`` computes."""
    features = []
    for name, funnel in funnels.items():
        steps = ", ".join(funnel.steps)
        for days in windows:
            window = f"in the {days} days before as_of"
            features.append(
                Feature(f"funnel_{name}_step_{days}d", LONG,
                        f"furthest step of {name} ({steps}; 0 none) {window}",
                        told=Told(name, "step", Saying(
                            f"came to step {{n}} of the funnel {name} {lately(days)}",
                            zero=f"did not begin the funnel {name} {lately(days)}")))
            )  # fmt: skip
            if funnel.within == "session":
                features += [
                    Feature(f"funnel_{name}_{step}_{days}d", LONG,
                            f"sessions with an event {window} that came to {step} of {name}",
                            told=Told(name, step, Saying(
                                f"{{n}} visits came to {step} in the funnel {name} {lately(days)}",
                                one=f"1 visit came to {step} in the funnel {name} {lately(days)}",
                                zero=f"no visit came to {step} in the funnel {name} "
                                f"{lately(days)}")))
                    for step in funnel.steps
                ]  # fmt: skip
    return features


def funnel_steps(funnels: Mapping[str, Funnel], windows: Sequence[int]) -> SessionPart:
    """Aggregates for the features of ``funnel_features``.

    Args:
        funnels: Funnels by name.
        windows: Windows in days.
    """
    days_ago = F.col("days_ago")
    marks: dict[str, Column] = {}
    sums: dict[str, Column] = {}
    derived: dict[str, Column] = {}
    for name, funnel in funnels.items():
        if funnel.within == "session":
            marks[f"_{name}"] = F.when(
                days_ago <= max(windows), furthest_step(F.col("path"), funnel)
            )
            for days in windows:
                step = F.when(days_ago <= days, F.col(f"_{name}"))
                sums[f"funnel_{name}_step_{days}d"] = F.max(step)
                for number, step_type in enumerate(funnel.steps, 1):
                    sums[f"funnel_{name}_{step_type}_{days}d"] = F.count_if(step >= number)
        else:
            for days in windows:
                turns = f"_turns_{days}"
                sums[turns] = F.flatten(F.collect_list(F.when(days_ago <= days, F.col("path"))))
                derived[f"funnel_{name}_step_{days}d"] = furthest_step(
                    latest_turns(turns, days), funnel
                )
    return SessionPart(sums, marks, derived)


FAMILY = Funnels()
