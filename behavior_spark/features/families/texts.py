"""Family ``texts``: labels of a user's texts, and their similarity to the items of targets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import DeclaredFeature
from behavior_spark.errors import ConfigError
from behavior_spark.extensions import OPERATIONS
from behavior_spark.features.declared import Feature
from behavior_spark.features.directions import target_directions
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Offer, Request
from behavior_spark.features.operation import ending, lately, within
from behavior_spark.features.operations.text_share import TextShare
from behavior_spark.features.operations.text_similarity import ClosestText, TextSimilarity
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.text_operation import TextFeature, TextOperands, TextOperation
from behavior_spark.features.texts import labels_by_text, similarities_by_text
from behavior_spark.model.propensity.sayings import Saying, Told
from behavior_spark.names import label_slugs

if TYPE_CHECKING:
    from pyspark.sql import Column


class TextCount(TextOperation):
    """Number of a user's texts. It cannot be declared; it is built for every window."""

    source = "texts"
    result = "long"
    zero = True

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``text_count_7d``."""
        return f"text_count_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        return f"texts {within(days)}"

    def told(self, operands: TextOperands, days: int) -> Told:
        """In a reason."""
        when = lately(days)
        saying = Saying(
            f"{{n}} texts written {when}", one=f"1 text written {when}", zero=f"no text {when}"
        )
        return Told("texts", "count", saying)

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """Number of texts in the window."""
        return F.count_if(inside)


class Texts(Family):
    """Shares of labels, similarities to targets, and declared features of texts."""

    name = "texts"
    order = 80

    def built(self, request: Request) -> bool:
        """Always: declared features of texts have their own groups."""
        return True

    def features(self, request: Request) -> list[Feature]:
        """For each window number of texts, similarities and shares; then declared features.

        Raises:
            ConfigError: A declared feature needs texts and there are none, or its label or target
                does not exist.
        """
        return [text_feature.feature for text_feature in text_features(request)]

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Aggregate the texts that are visible at each day."""
        features = text_features(request)
        if inputs.texts is None or not features:
            return frame
        texts = _recent_texts(
            inputs.texts, days, longest=max(feature.window for feature in features)
        )
        visible = as_seen(_understood(texts, inputs, days, request), days, time="text_time")
        columns = [
            feature.value(F.col("days_ago") <= feature.window).alias(feature.feature.name)
            for feature in features
        ]
        by_user = visible.groupBy("as_of", "user_id").agg(*columns)
        return frame.join(by_user, ["as_of", "user_id"], "left")


def text_features(request: Request) -> list[TextFeature]:
    """All features of texts, in order.

    Raises:
        ConfigError: See ``Texts.features``.
    """
    settings, offer = request.settings, request.offer
    declared = _declared_about_texts(request)
    if declared and not offer.texts:
        raise ConfigError(
            f"features.declared: {declared[0].op} needs texts",
            fix="map sources.texts, or leave the feature out",
        )
    features = []
    if offer.texts and settings.built(Texts.name):
        features = [
            feature for days in settings.windows_days for feature in _of_window(offer, days)
        ]
    for feature in declared:
        if feature.head is None or feature.head in offer.head_labels:
            features += _as_declared(feature, settings.windows_of(feature), offer)
    return features


def _declared_about_texts(request: Request) -> list[DeclaredFeature]:
    return [
        feature
        for feature in request.settings.declared
        if feature.spec.about == "texts" and request.settings.built(feature.group)
    ]


def _of_window(offer: Offer, days: int) -> list[TextFeature]:
    """The built-in features of a window."""
    features = [TextCount().text_feature(TextOperands(), days)]
    for target in offer.similar_to:
        operands = TextOperands(target=target, similar_to=offer.similar_to)
        features += [
            TextSimilarity().text_feature(operands, days),
            ClosestText().text_feature(operands, days),
        ]
    for head, labels in offer.head_labels.items():
        features += [
            TextShare().text_feature(TextOperands(head, label, part), days)
            for label, part in label_slugs(labels).items()
        ]
    return features


def _as_declared(
    declared: DeclaredFeature, windows: Sequence[int], offer: Offer
) -> list[TextFeature]:
    operation: TextOperation = OPERATIONS.load(declared.op)
    operands = _operands(declared, offer)
    features = [
        operation.text_feature(
            operands, days, name=declared.name or "", comment=declared.description
        )
        for days in windows
    ]
    return [
        replace(feature, feature=replace(feature.feature, group=declared.group))
        for feature in features
    ]


def _operands(declared: DeclaredFeature, offer: Offer) -> TextOperands:
    """Operands of a declared feature.

    Raises:
        ConfigError: The target has no items to compare with, or the head no such label.
    """
    if declared.target is not None and declared.target not in offer.similar_to:
        raise _not_there(declared.op, declared.target, "target", offer.similar_to)
    part = ""
    if declared.head is not None:
        labels = offer.head_labels[declared.head]
        if declared.label is not None and declared.label not in labels:
            raise _not_there(declared.op, declared.label, "label", labels, of=declared.head)
        part = label_slugs(labels).get(declared.label or "", "")
    return TextOperands(
        head=declared.head or "",
        label=declared.label or "",
        label_part=part,
        target=declared.target or "",
        similar_to=offer.similar_to,
    )


def _not_there(
    op: str, name: str, key: str, available: Sequence[str], *, of: str = ""
) -> ConfigError:
    expected = f"{key} of {of}" if of else f"{key} with items"
    return ConfigError(
        f"features.declared: {op} of {name}, which is no {expected}",
        found=", ".join(available) or "none",
        fix=f"give one of these as {key}",
    )


def _recent_texts(texts: DataFrame, days: Sequence[dt.date], *, longest: int) -> DataFrame:
    """Texts of users that are in the longest window of any day, with ``superseded_at``.

    All features of texts have windows. Texts that arrived before the windows are not in them, and
    replace no text in them.
    """
    columns = texts.select("text_id", "user_id", "text_time", "text_hash", "arrived_at")
    since = F.lit(min(days) - dt.timedelta(days=longest)).cast("timestamp")
    texts_of_users = of_users(columns.where(F.col("arrived_at") >= since), key="text_id")
    return texts_of_users.where(F.col("text_time") >= since)


def _understood(
    texts: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
) -> DataFrame:
    """The texts with labels of heads and similarities to targets."""
    if inputs.scores is not None and inputs.heads:
        heads_with_probabilities = {
            feature.head
            for feature in request.settings.declared
            if feature.head and feature.spec.about == "texts"
            and OPERATIONS.load(feature.op).reads_probabilities
        }  # fmt: skip
        scored = labels_by_text(
            inputs.scores, inputs.heads, with_probabilities=sorted(heads_with_probabilities)
        )
        texts = texts.join(scored, "text_hash", "left")
    compared_targets = request.offer.similar_to
    if compared_targets and inputs.embeddings is not None:
        directions = target_directions(inputs, compared_targets, request.targets, sorted(set(days)))
        embeddings = inputs.embeddings.join(texts.select("text_hash"), "text_hash", "left_semi")
        texts = texts.join(similarities_by_text(embeddings, directions), "text_hash", "left")
    return texts


FAMILY = Texts()
