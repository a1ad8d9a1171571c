"""All features of a user at a day, from the clean tables: one path for training and serving."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.errors import ConfigError
from behavior_spark.features.activity import activity_features, build_activity
from behavior_spark.features.bots import flag_bots
from behavior_spark.features.declared import Feature
from behavior_spark.features.funnels import build_funnels, funnel_features
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.session_features import (
    build_stored_sessions,
    sessions_seen,
    stored_session_features,
)
from behavior_spark.features.sessions import build_sessions, session_features
from behavior_spark.features.slowly_changing import attribute_features, join_attributes
from behavior_spark.features.targets import labels, mark_targets, with_own_history
from behavior_spark.features.texts import (
    build_texts,
    labels_by_text,
    similarities_by_text,
    text_features,
)

# A target's direction at a day is the mean of at most so many of its items, chosen by hash.
DIRECTION_ITEMS = 1000


@dataclass(frozen=True)
class Inputs:
    """The clean tables features are made of.

    Attributes:
        events: Contract ``events``.
        items: Contract ``items``; None where the log has none.
        texts: Contract ``texts``; None where the log has none.
        embeddings: ``text_hash, embedding``, one row per text of the backbone in use.
        scores: Contract ``text_scores``.
        heads: Digest of each head in use.
        head_labels: Labels of each head in use.
        sessions: Contract ``sessions``; None: sessions are found among the events, and there is
            no feature of what they were like, no funnel and no ``is_bot``.
        attributes: By name ``user_id, valid_from, known_at`` and doubles: the user's own tables.
    """

    events: DataFrame
    items: DataFrame | None = None
    texts: DataFrame | None = None
    embeddings: DataFrame | None = None
    scores: DataFrame | None = None
    heads: Mapping[str, str] = field(default_factory=dict)
    head_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sessions: DataFrame | None = None
    attributes: Mapping[str, DataFrame] = field(default_factory=dict)


def similar_targets(targets: Mapping[str, Target], inputs: Inputs) -> list[str]:
    """Targets that texts can be close to: those with items of their own."""
    if inputs.texts is None or inputs.embeddings is None or inputs.items is None:
        return []
    return [name for name, target in targets.items() if target.item]


def declared_features(
    settings: FeatureSettings, targets: Mapping[str, Target], inputs: Inputs
) -> list[Feature]:
    """Every feature of the table, in order.

    Raises:
        ConfigError: Two of them would have the same name.
    """
    windows = settings.windows_days
    features = activity_features(
        settings.event_types, with_own_history(targets, settings.event_types), windows
    )
    if inputs.sessions is None:
        features += session_features(windows)
    else:
        features += stored_session_features(settings.event_types, windows)
        features += funnel_features(settings.funnels, windows)
    features += attribute_features(inputs.attributes)
    if inputs.texts is not None:
        features += text_features(inputs.head_labels, similar_targets(targets, inputs), windows)
    by_name: dict[str, Feature] = {}
    for feature in features:
        other = by_name.setdefault(feature.name, feature)
        if other is not feature:
            raise ConfigError(
                f"two features would be named {feature.name}",
                found=f"{other.comment}; {feature.comment}",
                fix="rename the event type, target or head that the name begins with",
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
        inputs: The clean tables.
        as_of_days: Days; all are built in one job.
        settings: Event types, windows, session gap.
        targets: Their past occurrences are features too.
        population: SQL condition on an event: users with one before as_of get a row.

    Returns:
        ``user_id, as_of`` and the declared features; counts and sums are 0 and other
        features null where nothing was seen. With ``inputs.sessions`` also ``is_bot`` and
        ``bot_reason``.
    """
    windows = settings.windows_days
    features = declared_features(settings, targets, inputs)
    marked = mark_targets(of_users(inputs.events, key="event_id"), inputs.items, targets)
    seen = as_seen(marked, as_of_days, time="event_time")
    frame = build_activity(
        seen,
        event_types=settings.event_types,
        targets=with_own_history(targets, settings.event_types),
        windows=windows,
        population=population,
    ).where("in_population")
    flags = []
    if inputs.sessions is None:
        sessions = build_sessions(seen, windows=windows, gap_minutes=settings.session_gap_minutes)
    else:
        sessions = _sessions(inputs.sessions, as_of_days, settings)
        flags = [F.coalesce("is_bot", F.lit(False)).alias("is_bot"), F.col("bot_reason")]
    frame = frame.join(sessions, ["as_of", "user_id"], "left")
    frame = join_attributes(frame, inputs.attributes)
    texts = _texts(inputs, as_of_days, windows, targets)
    if texts is not None:
        frame = frame.join(texts, ["as_of", "user_id"], "left")
    chosen = []
    for feature in features:
        value = F.col(feature.name).cast(feature.data_type)
        if feature.zero:
            value = F.coalesce(value, F.lit(0).cast(feature.data_type))
        chosen.append(value.alias(feature.name))
    return frame.select("user_id", "as_of", *chosen, *flags)


def _sessions(
    sessions: DataFrame, as_of_days: Sequence[dt.date], settings: FeatureSettings
) -> DataFrame:
    """What the stored sessions tell of each (as_of, user_id): features, funnels and flags."""
    seen = sessions_seen(sessions, as_of_days)
    windows = settings.windows_days
    frame = build_stored_sessions(seen, event_types=settings.event_types, windows=windows)
    if settings.funnels:
        funnels = build_funnels(seen, funnels=settings.funnels, windows=windows)
        frame = frame.join(funnels, ["as_of", "user_id"], "left")
    return frame.join(flag_bots(seen, settings=settings.bots), ["as_of", "user_id"], "left")


def training_set(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    *,
    settings: FeatureSettings,
    targets: Mapping[str, Target],
    population: str,
    known_before: dt.date,
) -> DataFrame:
    """Features with ``label_<target>`` (int 0 or 1), by the same path as the nightly table.

    Users that behave like machines at a day (``is_bot``) are left out of it.

    Args:
        known_before: The night; labels count what had arrived before it, and every
            as_of day's horizon must have passed by it.
    """
    frame = build_features(
        inputs, as_of_days, settings=settings, targets=targets, population=population
    )
    if inputs.sessions is not None:
        frame = frame.where(~F.col("is_bot")).drop("is_bot", "bot_reason")
    marked = mark_targets(of_users(inputs.events, key="event_id"), inputs.items, targets)
    known = labels(marked, as_of_days, targets, known_before=known_before)
    names = [f"label_{name}" for name in targets]
    return frame.join(known, ["as_of", "user_id"], "left").fillna(0, subset=names)


def _texts(
    inputs: Inputs,
    as_of_days: Sequence[dt.date],
    windows: Sequence[int],
    targets: Mapping[str, Target],
) -> DataFrame | None:
    if inputs.texts is None:
        return None
    similar = similar_targets(targets, inputs)
    texts = inputs.texts.select("text_id", "user_id", "text_time", "text_hash", "arrived_at")
    # Text features look back over windows alone: older texts need no label and no similarity.
    earliest = min(as_of_days) - dt.timedelta(days=max(windows))
    texts = of_users(texts, key="text_id").where(
        F.col("text_time") >= F.lit(earliest).cast("timestamp")
    )
    if inputs.scores is not None and inputs.heads:
        texts = texts.join(labels_by_text(inputs.scores, inputs.heads), "text_hash", "left")
    if similar and inputs.embeddings is not None:
        directions = target_directions(inputs, similar, targets, sorted(set(as_of_days)))
        needed = inputs.embeddings.join(texts.select("text_hash"), "text_hash", "left_semi")
        closeness = similarities_by_text(needed, directions)
        texts = texts.join(closeness, "text_hash", "left")
    seen = as_seen(texts, as_of_days, time="text_time")
    return build_texts(seen, heads=inputs.head_labels, similar_to=similar, windows=windows)


def target_directions(
    inputs: Inputs,
    similar: Sequence[str],
    targets: Mapping[str, Target],
    as_of_days: Sequence[dt.date],
) -> np.ndarray:
    """Unit vectors, [as_of days x targets, dimension]: where a target's items lie.

    For each day the mean embedding of the titles with which items had begun to count for the
    target before it, of at most 1,000 items; zeros where there is none. What becomes known
    later changes no earlier day, not even which items are taken.
    """
    if inputs.items is None or inputs.embeddings is None:
        raise ValueError("directions need items and embeddings")
    titles = reduce(
        DataFrame.unionByName,
        [_matching_titles(inputs.items, name, targets[name].item or "false") for name in similar],
    )
    days = F.posexplode(F.array(*[F.lit(day) for day in as_of_days])).alias("day_index", "day")
    order = Window.partitionBy("target", "day_index").orderBy(
        F.xxhash64("text_hash"), "text_hash", "item_id"
    )
    rows = (
        titles.select("*", days)
        .where(F.col("since") < F.col("day").cast("timestamp"))
        .withColumn("_place", F.row_number().over(order))
        .where(F.col("_place") <= DIRECTION_ITEMS)
        .groupBy("target", "item_id", "text_hash")
        .agg(F.collect_list("day_index").alias("day_indices"))
        .join(inputs.embeddings.where("embedding IS NOT NULL"), "text_hash")
        .sort("text_hash", "item_id")
        .collect()
    )
    dimension = len(rows[0]["embedding"]) if rows else 1
    directions = np.zeros((len(as_of_days) * len(similar), dimension))
    for index, name in enumerate(similar):
        of_target = [row for row in rows if row["target"] == name]
        for day_index in range(len(as_of_days)):
            vectors = [r["embedding"] for r in of_target if day_index in r["day_indices"]]
            if vectors:
                mean = np.mean(np.asarray(vectors, dtype=np.float64), axis=0)
                norm = np.linalg.norm(mean)
                directions[day_index * len(similar) + index] = mean / norm if norm else 0.0
    return directions


def _matching_titles(items: DataFrame, target: str, condition: str) -> DataFrame:
    """Per item its first title of a version that satisfies the condition, and since when."""
    return (
        items.where(F.expr(f"({condition})") & F.col("title_hash").isNotNull())
        .groupBy("item_id")
        .agg(
            F.min("valid_from").alias("since"),
            F.min_by("title_hash", "valid_from").alias("text_hash"),
        )
        .withColumn("target", F.lit(target))
    )
