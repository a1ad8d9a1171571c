"""Which features a request has: of which families, by which plan, and which are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from behavior_spark.config import FeatureSettings
from behavior_spark.config.features import GROUPS
from behavior_spark.errors import ConfigError
from behavior_spark.extensions import FAMILIES
from behavior_spark.features.declared import Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Request
from behavior_spark.features.tiles.definitions import Definition, Plan
from behavior_spark.features.tiles.planning import PlanMaker


def built_families(request: Request) -> tuple[Family, ...]:
    """The families that a request builds, in order, including those of other packages."""
    families: list[Family] = [FAMILIES.load(name) for name in FAMILIES.names()]
    ordered = sorted(families, key=lambda family: (family.order, family.name))
    return tuple(family for family in ordered if family.built(request))


def listed_features(
    request: Request, families: Sequence[Family]
) -> tuple[list[Feature], list[Feature]]:
    """Features that families build besides the plan, and those that are left out."""
    built: list[Feature] = []
    left_out: list[Feature] = []
    for family in families:
        for feature in family.features(request):
            named = _of_family(feature, family)
            (built if _varies(named, family, request) else left_out).append(named)
    return built, left_out


def make_plan(request: Request, families: Sequence[Family]) -> tuple[Plan, list[Feature]]:
    """The plan of the definitions of all families, and the features that it leaves out."""
    maker = PlanMaker(request.settings, request.targets, request.population)
    definitions: list[Definition] = []
    left_out: list[Feature] = []
    for family in families:
        for definition in family.definitions(maker):
            feature = _of_family(definition.feature, family)
            if _varies(feature, family, request, definition):
                definitions.append(replace(definition, feature=feature))
            else:
                left_out.append(feature)
    return maker.plan(definitions), left_out


def _varies(
    feature: Feature, family: Family, request: Request, definition: Definition | None = None
) -> bool:
    """Whether users may differ in a feature; what somebody has declared is built in any case."""
    if family.name == "declared":
        return True
    if feature.reads in request.offer.without:
        return False
    kinds = set(request.settings.without.of(feature.reads))
    needs = definition.needs if definition else ()
    read = {behaviour for need in needs for behaviour in need.behaviours}
    return not read or not read <= kinds


def _of_family(feature: Feature, family: Family) -> Feature:
    """The feature, with the family's group and source if it has none."""
    return replace(
        feature, group=feature.group or family.name, source=feature.source or family.source
    )


def check_names(features: Sequence[Feature]) -> None:
    """Refuse two features of one name.

    Raises:
        ConfigError: Two features have one name.
    """
    by_name: dict[str, Feature] = {}
    for feature in features:
        earlier = by_name.setdefault(feature.name, feature)
        if earlier is not feature:
            raise ConfigError(
                f"two features would be named {feature.name}",
                found=f"{earlier.comment}; {feature.comment}",
                fix="rename the event type, target or head that the name begins with, or leave "
                "the declared feature out",
            )


def check_movable(settings: FeatureSettings, features: Sequence[Feature]) -> None:
    """Refuse an entry of ``features.movable`` that no feature has.

    Raises:
        ConfigError: No feature, event type or group is so named, or ``told`` is of many.
    """
    known = {name for f in features for name in (f.name, f.in_reasons.subject, f.group)}
    known |= {*settings.event_types, *GROUPS}
    unknown = sorted(set(settings.movable) - known)
    if unknown:
        raise ConfigError(
            f"features.movable names {unknown[0]}, and no feature, event type or group is so named",
            found=f"{len(features)} features in {len({f.group for f in features})} groups",
            fix="take a name from `behavior-spark features describe`",
        )
    names = {feature.name for feature in features}
    of_many = sorted(n for n, entry in settings.movable.items() if entry.told and n not in names)
    if of_many:
        raise ConfigError(
            f"features.movable.{of_many[0]}.told is of many features",
            found="an event type or a group",
            fix="name one feature, or leave told out",
        )
