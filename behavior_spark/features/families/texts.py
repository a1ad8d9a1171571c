"""Family ``texts``: what a user's texts say, and how close they are to each target's items."""

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
from behavior_spark.features.declared import Feature, label_slugs
from behavior_spark.features.directions import target_directions
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Offer, Request
from behavior_spark.features.operation import ending, within
from behavior_spark.features.operations.text_share import TextShare
from behavior_spark.features.operations.text_similarity import ClosestText, TextSimilarity
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.text_operation import TextFeature, TextOperands, TextOperation
from behavior_spark.features.texts import labels_by_text, similarities_by_text

if TYPE_CHECKING:
    from pyspark.sql import Column


class TextCount(TextOperation):
    """How many texts a user wrote. It is not declared: every window has it."""

    source = "texts"
    result = "long"
    zero = True

    def name(self, operands: TextOperands, days: int) -> str:
        """Such as ``text_count_7d``."""
        return f"text_count_{ending(days)}"

    def comment(self, operands: TextOperands, days: int) -> str:
        """Its meaning."""
        return f"texts {within(days)}"

    def value(self, operands: TextOperands, inside: Column) -> Column:
        """Their number."""
        return F.count_if(inside)


class Texts(Family):
    """Shares of labels, closeness to targets, and what the config declares about texts."""

    name = "texts"
    order = 80

    def built(self, request: Request) -> bool:
        """Always: declared features of texts have groups of their own."""
        return True

    def features(self, request: Request) -> list[Feature]:
        """Of each window the number of texts, closeness and shares; then what is declared.

        Raises:
            ConfigError: A declared feature needs texts and there are none, or names a label or
                target that is not there.
        """
        return [made.feature for made in text_features(request)]

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Add up the texts that each day saw."""
        features = text_features(request)
        if inputs.texts is None or not features:
            return frame
        texts = _recent_texts(inputs.texts, days, longest=max(made.window for made in features))
        seen = as_seen(_understood(texts, inputs, days, request), days, time="text_time")
        columns = [
            made.value(F.col("days_ago") <= made.window).alias(made.feature.name)
            for made in features
        ]
        by_user = seen.groupBy("as_of", "user_id").agg(*columns)
        return frame.join(by_user, ["as_of", "user_id"], "left")


def text_features(request: Request) -> list[TextFeature]:
    """Every feature of texts, in order.

    Raises:
        ConfigError: As ``Texts.features``.
    """
    settings, offer = request.settings, request.offer
    declared = _declared_about_texts(request)
    if declared and not offer.texts:
        raise ConfigError(
            f"features.declared: {declared[0].op} needs texts",
            fix="map sources.texts, or leave the feature out",
        )
    made = []
    if offer.texts and settings.built(Texts.name):
        made = [feature for days in settings.windows_days for feature in _of_window(offer, days)]
    for feature in declared:
        if feature.head is None or feature.head in offer.head_labels:
            made += _as_declared(feature, settings.windows_of(feature), offer)
    return made


def _declared_about_texts(request: Request) -> list[DeclaredFeature]:
    return [
        feature
        for feature in request.settings.declared
        if feature.spec.about == "texts" and request.settings.built(feature.group)
    ]


def _of_window(offer: Offer, days: int) -> list[TextFeature]:
    """The built-in features of a window."""
    made = [TextCount().text_feature(TextOperands(), days)]
    for target in offer.similar_to:
        operands = TextOperands(target=target, similar_to=offer.similar_to)
        made += [
            TextSimilarity().text_feature(operands, days),
            ClosestText().text_feature(operands, days),
        ]
    for head, labels in offer.head_labels.items():
        made += [
            TextShare().text_feature(TextOperands(head, label, part), days)
            for label, part in label_slugs(labels).items()
        ]
    return made


def _as_declared(
    declared: DeclaredFeature, windows: Sequence[int], offer: Offer
) -> list[TextFeature]:
    operation: TextOperation = OPERATIONS.load(declared.op)
    operands = _operands(declared, offer)
    made = [
        operation.text_feature(
            operands, days, name=declared.name or "", comment=declared.description
        )
        for days in windows
    ]
    return [replace(m, feature=replace(m.feature, group=declared.group)) for m in made]


def _operands(declared: DeclaredFeature, offer: Offer) -> TextOperands:
    """What was declared, if it is there.

    Raises:
        ConfigError: The target has no items to be close to, or the head no such label.
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
    op: str, wanted: str, key: str, known: Sequence[str], *, of: str = ""
) -> ConfigError:
    what = f"{key} of {of}" if of else f"{key} with items"
    return ConfigError(
        f"features.declared: {op} of {wanted}, which is no {what}",
        found=", ".join(known) or "none",
        fix=f"give one of these as {key}",
    )


def _recent_texts(texts: DataFrame, days: Sequence[dt.date], *, longest: int) -> DataFrame:
    """Texts of users that the windows of any day hold, with ``superseded_at``.

    Text features look back over windows alone: what arrived before them is not in them, nor does
    it replace anything that is.
    """
    columns = texts.select("text_id", "user_id", "text_time", "text_hash", "arrived_at")
    since = F.lit(min(days) - dt.timedelta(days=longest)).cast("timestamp")
    known = of_users(columns.where(F.col("arrived_at") >= since), key="text_id")
    return known.where(F.col("text_time") >= since)


def _understood(
    texts: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
) -> DataFrame:
    """The texts with what heads say of them and how close they are to targets."""
    if inputs.scores is not None and inputs.heads:
        needed = {
            feature.head
            for feature in request.settings.declared
            if feature.head and feature.spec.about == "texts"
            and OPERATIONS.load(feature.op).reads_probabilities
        }  # fmt: skip
        scored = labels_by_text(inputs.scores, inputs.heads, with_probabilities=sorted(needed))
        texts = texts.join(scored, "text_hash", "left")
    similar = request.offer.similar_to
    if similar and inputs.embeddings is not None:
        directions = target_directions(inputs, similar, request.targets, sorted(set(days)))
        read = inputs.embeddings.join(texts.select("text_hash"), "text_hash", "left_semi")
        texts = texts.join(similarities_by_text(read, directions), "text_hash", "left")
    return texts


FAMILY = Texts()
