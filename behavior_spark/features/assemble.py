"""All features of a user at a day, from the clean tables: one path for training and serving."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.config.features import TEXT_OPS
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features.declared import Feature
from behavior_spark.features.directions import target_directions
from behavior_spark.features.families.bots import bot_signals, flag_bots
from behavior_spark.features.inputs import Inputs, similar_targets
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.sampling import ALL, Shares, sampled
from behavior_spark.features.sessions.by_user import (
    by_user,
    sessions_seen,
    stored_session_features,
    stored_sessions,
)
from behavior_spark.features.sessions.from_events import build_sessions, session_features
from behavior_spark.features.sessions.funnels import funnel_features, funnel_steps
from behavior_spark.features.slowly_changing import (
    attribute_columns,
    attribute_features,
    join_attributes,
)
from behavior_spark.features.targets import labels, mark_targets
from behavior_spark.features.texts import (
    TextFeature,
    build_texts,
    labels_by_text,
    similarities_by_text,
    text_features,
)
from behavior_spark.features.tiles.activity import Activity, build_facts, build_tiles
from behavior_spark.features.tiles.definitions import Plan
from behavior_spark.features.tiles.planning import make_plan
from behavior_spark.features.tiles.windows import build_activity

__all__ = [
    "Inputs", "activity_of", "build_features", "declared_features", "facts_of", "label_rows",
    "list_features", "training_set",
]  # fmt: skip


def declared_features(
    settings: FeatureSettings, targets: Mapping[str, Target], inputs: Inputs
) -> list[Feature]:
    """Every feature of the table that these inputs give, in order; see ``list_features``."""
    return list_features(
        settings,
        targets,
        head_labels=inputs.head_labels,
        similar_to=similar_targets(targets, inputs),
        texts=inputs.texts is not None,
        sessions=inputs.sessions is not None,
        attributes={name: attribute_columns(table) for name, table in inputs.attributes.items()},
    )


def list_features(
    settings: FeatureSettings,
    targets: Mapping[str, Target],
    *,
    head_labels: Mapping[str, Sequence[str]],
    similar_to: Sequence[str],
    texts: bool,
    sessions: bool,
    attributes: Mapping[str, Sequence[str]],
) -> list[Feature]:
    """Every feature of the table, in order.

    Args:
        settings: Event types, windows, declared features.
        targets: Their past occurrences are features too.
        head_labels: Labels of each head in use.
        similar_to: Targets that texts can be close to.
        texts: Whether there are texts.
        sessions: Whether table ``sessions`` is read, which tells more than the events.
        attributes: Columns of each of the user's own tables.

    Raises:
        ConfigError: Two of them would have the same name, or one cannot be built.
    """
    features = [definition.feature for definition in make_plan(settings, targets).definitions]
    features += _session_features(settings, stored=sessions)
    features += _in_group("attributes", attribute_features(attributes), "attributes", settings)
    of_texts = _text_features(settings, head_labels, similar_to, texts=texts)
    features += [made.feature for made in of_texts]
    by_name: dict[str, Feature] = {}
    for feature in features:
        other = by_name.setdefault(feature.name, feature)
        if other is not feature:
            raise ConfigError(
                f"two features would be named {feature.name}",
                found=f"{other.comment}; {feature.comment}",
                fix="rename the event type, target or head that the name begins with, or leave "
                "the declared feature out",
            )
    return features


def build_features(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    *,
    settings: FeatureSettings,
    targets: Mapping[str, Target],
    population: str = "true",
) -> DataFrame:
    """Features of every user of the population at every as_of day.

    Args:
        inputs: The clean tables; activity is read from ``inputs.activity`` where it is given,
            and is else made of the events.
        as_of_days: Days; all are built in one job.
        settings: Event types, windows, declared features, session gap.
        targets: Their past occurrences are features too.
        population: SQL condition on an event: users with one before as_of get a row.

    Returns:
        ``user_id, as_of`` and the declared features; counts and sums are 0 and other
        features null where nothing was seen. With ``inputs.sessions`` also ``is_bot`` and
        ``bot_reason``.
    """
    features = declared_features(settings, targets, inputs)
    plan = make_plan(settings, targets, population)
    activity = inputs.activity
    if activity is None:
        activity = activity_of(inputs, plan, targets, before=max(as_of_days))
    frame = build_activity(activity, as_of_days, plan, items=inputs.items)
    flags = []
    if inputs.sessions is not None:
        sessions = _sessions(inputs.sessions, as_of_days, settings)
        flags = [F.coalesce("is_bot", F.lit(False)).alias("is_bot"), F.col("bot_reason")]
        frame = frame.join(sessions, ["as_of", "user_id"], "left")
    elif settings.built("sessions"):
        seen = as_seen(of_users(inputs.events, key="event_id"), as_of_days, time="event_time")
        sessions = build_sessions(
            seen, windows=settings.windows_days, gap_minutes=settings.session_gap_minutes
        )
        frame = frame.join(sessions, ["as_of", "user_id"], "left")
    if settings.built("attributes"):
        frame = join_attributes(frame, inputs.attributes)
    texts = _texts(inputs, as_of_days, settings, targets)
    if texts is not None:
        frame = frame.join(texts, ["as_of", "user_id"], "left")
    zeros = {kind: F.lit(0).cast(kind) for kind in {f.data_type for f in features if f.zero}}
    chosen = []
    for feature in features:
        value = F.col(feature.name).cast(feature.data_type)
        if feature.zero:
            value = F.coalesce(value, zeros[feature.data_type])
        chosen.append(value.alias(feature.name))
    return frame.select("user_id", "as_of", *chosen, *flags)


def _session_features(settings: FeatureSettings, *, stored: bool) -> list[Feature]:
    windows = settings.windows_days
    if not stored:
        return _in_group("sessions", session_features(windows), "events", settings)
    found = stored_session_features(settings.event_types, windows)
    funnels = funnel_features(settings.funnels, windows)
    return [
        *_in_group("sessions", found, "sessions", settings),
        *_in_group("funnels", funnels, "sessions", settings),
    ]


def _in_group(
    group: str, features: Sequence[Feature], source: str, settings: FeatureSettings
) -> list[Feature]:
    """The features with their group and source; none where the group is not built."""
    if not settings.built(group):
        return []
    return [replace(each, group=group, source=each.source or source) for each in features]


def _sessions(
    sessions: DataFrame, as_of_days: Sequence[dt.date], settings: FeatureSettings
) -> DataFrame:
    """What the stored sessions tell of each (as_of, user_id): features, funnels and flags."""
    windows = settings.windows_days
    parts = [
        stored_sessions(settings.event_types, windows),
        funnel_steps(settings.funnels, windows),
        bot_signals(settings.bots),
    ]
    users = by_user(sessions_seen(sessions, as_of_days), parts)
    return flag_bots(users, settings=settings.bots)


def activity_of(
    inputs: Inputs, plan: Plan, targets: Mapping[str, Target], *, before: dt.date
) -> Activity:
    """Tiles of all events that had arrived before a day, made anew."""
    known = inputs.events.where(F.col("arrived_at") < F.lit(before).cast("timestamp"))
    return build_tiles(facts_of(of_users(known, key="event_id"), inputs.items, plan, targets),
                       end=before)  # fmt: skip


def facts_of(
    versions: DataFrame, items: DataFrame | None, plan: Plan, targets: Mapping[str, Target]
) -> DataFrame:
    """Facts of versions of events (``of_users``), those of targets included."""
    wanted = {mark.target: targets[mark.target] for mark in plan.marks if mark.target}
    return build_facts(mark_targets(versions, items, wanted), plan)


def training_set(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    *,
    settings: FeatureSettings,
    targets: Mapping[str, Target],
    population: str,
    known_before: dt.date,
    labelled: Sequence[str] | None = None,
    shares: Shares = ALL,
    seed: int = 7,
) -> DataFrame:
    """Features with ``label_<target>`` (int 0 or 1), by the same path as the nightly table.

    Users that behave like machines at a day (``is_bot``) are left out of it.

    Args:
        inputs: The clean tables; see ``build_features``.
        as_of_days: Days, all of whose horizons have passed.
        settings: As for the night.
        targets: As for the night.
        population: As for the night.
        known_before: The night; labels count what had arrived before it.
        labelled: Targets that get labels; all by default.
        shares: How many of the rows are kept. They are chosen by a hash of user and day, so
            that the same ones always are.
        seed: Another one keeps others.

    Returns:
        As ``build_features``, with the labels and ``weight`` (double): the inverse of the
        probability with which a row was kept.

    Raises:
        InputError: A horizon has not passed: a user's outcome would be cut.
    """
    names = list(targets if labelled is None else labelled)
    _check_horizons(as_of_days, {name: targets[name] for name in names}, known_before)
    frame = build_features(
        inputs, as_of_days, settings=settings, targets=targets, population=population
    )
    if inputs.sessions is not None:
        frame = frame.where(~F.col("is_bot")).drop("is_bot", "bot_reason")
    known = label_rows(
        inputs, as_of_days, {name: targets[name] for name in names}, known_before=known_before
    )
    columns = [f"label_{name}" for name in names]
    frame = frame.join(known, ["as_of", "user_id"], "left").fillna(0, subset=columns)
    return sampled(frame, columns, shares, seed=seed)


def label_rows(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    targets: Mapping[str, Target],
    *,
    known_before: dt.date,
) -> DataFrame:
    """``as_of, user_id`` and the labels of users who did something; see ``labels``."""
    # What happened from the first day on arrived from then on, and so did what replaced it.
    first = F.lit(min(as_of_days)).cast("timestamp")
    events = of_users(inputs.events.where(F.col("arrived_at") >= first), key="event_id")
    marked = mark_targets(events, inputs.items, targets)
    return labels(marked, as_of_days, targets, known_before=known_before)


def _check_horizons(
    days: Sequence[dt.date], targets: Mapping[str, Target], known_before: dt.date
) -> None:
    for name, target in targets.items():
        end = max(days) + dt.timedelta(days=target.horizon_days)
        if end > known_before:
            raise InputError(
                f"the horizon of {name} at {max(days)} has not passed",
                found=f"it ends on {end}; known is what arrived before {known_before}",
                fix="take earlier as-of days, or a later night",
            )


def _text_features(
    settings: FeatureSettings,
    head_labels: Mapping[str, Sequence[str]],
    similar_to: Sequence[str],
    *,
    texts: bool,
) -> list[TextFeature]:
    declared = [
        (one, settings.windows_of(one))
        for one in settings.declared
        if one.op in TEXT_OPS and settings.built(one.group)
    ]
    if declared and not texts:
        raise ConfigError(
            f"features.declared: {declared[0][0].op} needs texts",
            fix="map sources.texts, or leave the feature out",
        )
    features = text_features(head_labels, similar_to, settings.windows_days, declared)
    all_groups = texts and settings.built("texts")
    return [made for made in features if all_groups or made.feature.group != "texts"]


def _texts(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    settings: FeatureSettings,
    targets: Mapping[str, Target],
) -> DataFrame | None:
    similar = similar_targets(targets, inputs)
    features = _text_features(settings, inputs.head_labels, similar, texts=inputs.texts is not None)
    if inputs.texts is None or not features:
        return None
    texts = inputs.texts.select("text_id", "user_id", "text_time", "text_hash", "arrived_at")
    # Text features look back over windows alone: what arrived before them is not in them, nor
    # does it replace anything that is.
    earliest = min(as_of_days) - dt.timedelta(days=max(made.window for made in features))
    since = F.lit(earliest).cast("timestamp")
    texts = of_users(texts.where(F.col("arrived_at") >= since), key="text_id").where(
        F.col("text_time") >= since
    )
    if inputs.scores is not None and inputs.heads:
        means = {one.head for one in settings.declared if one.op == "text_mean" and one.head}
        scored = labels_by_text(inputs.scores, inputs.heads, with_probabilities=sorted(means))
        texts = texts.join(scored, "text_hash", "left")
    if similar and inputs.embeddings is not None:
        directions = target_directions(inputs, similar, targets, sorted(set(as_of_days)))
        needed = inputs.embeddings.join(texts.select("text_hash"), "text_hash", "left_semi")
        closeness = similarities_by_text(needed, directions)
        texts = texts.join(closeness, "text_hash", "left")
    return build_texts(as_seen(texts, as_of_days, time="text_time"), features)
