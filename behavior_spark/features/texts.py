"""What a user's texts say: shares of labels, and closeness to each target's items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DecimalType, StringType, StructField, StructType

from behavior_spark.config import DeclaredFeature
from behavior_spark.errors import ConfigError
from behavior_spark.features.declared import DOUBLE, LONG, Feature, label_slugs

# Similarities are kept to six decimals, as exact numbers: their sums do not depend on
# the order of rows, so that two runs give the same table.
_SIMILARITY = DecimalType(9, 6)


@dataclass(frozen=True)
class TextFeature:
    """A feature of texts: its column, its window, and its value over the texts inside it."""

    feature: Feature
    window: int
    value: Callable[[Column], Column]


def text_features(
    heads: Mapping[str, Sequence[str]],
    similar_to: Sequence[str],
    windows: Sequence[int],
    declared: Sequence[tuple[DeclaredFeature, Sequence[int]]] = (),
) -> list[TextFeature]:
    """The features that :func:`build_texts` gives.

    Args:
        heads: Labels of each classification head.
        similar_to: Targets that have items to be close to, in the order of the similarities.
        windows: Days before as_of.
        declared: Features of one's own with their windows.

    Raises:
        ConfigError: A declared feature names a label or target that is not there.
    """
    features = []
    for days in windows:
        count = Feature(f"text_count_{days}d", LONG, f"texts {_within(days)}")
        features.append(TextFeature(count, days, F.count_if))
        for target in similar_to:
            features += [_similarity(similar_to, target, days), _closest(similar_to, target, days)]
        for head, labels in heads.items():
            features += [_share(head, label, part, days)
                         for label, part in label_slugs(labels).items()]  # fmt: skip
    grouped = [_grouped(each, "texts") for each in features]
    for one, own_windows in declared:
        if one.head is None or one.head in heads:
            made = [_declared(one, heads, similar_to, days) for days in own_windows]
            grouped += [_grouped(each, one.group) for each in made]
    return grouped


def _within(days: int) -> str:
    return f"in the {days} days before as_of"


def _grouped(made: TextFeature, group: str) -> TextFeature:
    source = "texts" if made.feature.name.startswith("text_count") else "texts and text_scores"
    if made.feature.name.startswith("text_similarity"):
        source = "texts, items and text_embeddings"
    feature = replace(made.feature, group=group, window=made.window, source=source)
    return replace(made, feature=feature)


def _declared(
    one: DeclaredFeature,
    heads: Mapping[str, Sequence[str]],
    similar_to: Sequence[str],
    days: int,
) -> TextFeature:
    known = similar_to if one.op == "text_similarity" else heads[str(one.head)]
    wanted = one.target if one.op == "text_similarity" else one.label
    if wanted not in known:
        what = "target with items" if one.op == "text_similarity" else f"label of {one.head}"
        raise ConfigError(
            f"features.declared: {one.op} of {wanted}, which is no {what}",
            found=", ".join(known) or "none",
            fix=f"give one of these as {'target' if one.op == 'text_similarity' else 'label'}",
        )
    if one.op == "text_similarity":
        made = _similarity(similar_to, str(wanted), days)
    else:
        part = label_slugs(heads[str(one.head)])[str(wanted)]
        build = _share if one.op == "text_share" else _mean
        made = build(str(one.head), str(wanted), part, days)
    comment = one.description or made.feature.comment
    name = one.name or made.feature.name
    return replace(made, feature=replace(made.feature, name=name, comment=comment))


def _close(similar_to: Sequence[str], target: str, inside: Column) -> Column:
    place = F.col("as_of_index") * len(similar_to) + list(similar_to).index(target) + 1
    return F.when(inside, F.try_element_at("similarities", place))


def _similarity(similar_to: Sequence[str], target: str, days: int) -> TextFeature:
    comment = f"mean cosine similarity of texts {_within(days)} to the items of {target}"
    feature = Feature(f"text_similarity_{target}_{days}d", DOUBLE, comment, zero=False)

    def mean(inside: Column) -> Column:
        close = _close(similar_to, target, inside)
        return F.round(F.try_divide(F.sum(close).cast("double"), F.count(close)), 6)

    return TextFeature(feature, days, mean)


def _closest(similar_to: Sequence[str], target: str, days: int) -> TextFeature:
    comment = f"largest cosine similarity of a text {_within(days)} to the items of {target}"
    feature = Feature(f"text_similarity_max_{target}_{days}d", DOUBLE, comment, zero=False)
    return TextFeature(
        feature, days, lambda inside: F.max(_close(similar_to, target, inside)).cast("double")
    )


def _share(head: str, label: str, part: str, days: int) -> TextFeature:
    comment = f"share of texts {_within(days)} whose {head} is {label}"
    feature = Feature(f"{head}_{part}_share_{days}d", DOUBLE, comment, zero=False)

    def share(inside: Column) -> Column:
        said = F.col(label_column(head))
        hits = F.count_if(inside & (said == label)).cast("double")
        return F.try_divide(hits, F.count_if(inside & said.isNotNull()))

    return TextFeature(feature, days, share)


def _mean(head: str, label: str, part: str, days: int) -> TextFeature:
    comment = f"mean probability that {head} is {label}, of texts {_within(days)}"
    feature = Feature(f"{head}_{part}_mean_{days}d", DOUBLE, comment, zero=False)

    def mean(inside: Column) -> Column:
        likely = F.when(inside, F.try_element_at(probabilities_column(head), F.lit(label)))
        exact = likely.cast(_SIMILARITY)
        return F.round(F.try_divide(F.sum(exact).cast("double"), F.count(exact)), 6)

    return TextFeature(feature, days, mean)


def label_column(head: str) -> str:
    """Column that holds a text's label of a head."""
    return f"label_{head}"


def probabilities_column(head: str) -> str:
    """Column that holds a text's probabilities of a head's labels."""
    return f"probabilities_{head}"


def labels_by_text(
    scores: DataFrame, heads: Mapping[str, str], *, with_probabilities: Sequence[str] = ()
) -> DataFrame:
    """One row per text_hash with a column ``label_<head>`` for each head.

    Args:
        scores: ``text_scores``.
        heads: Digest of each head.
        with_probabilities: Heads for which ``probabilities_<head>`` (map) is added.
    """
    wanted = scores.where(F.col("head_digest").isin(*heads.values()))
    columns = []
    for head, digest in heads.items():
        this = F.col("head_digest") == digest
        columns.append(F.max(F.when(this, F.col("label"))).alias(label_column(head)))
        if head in with_probabilities:
            # Copies of a score are equal: any of them will do.
            likely = F.any_value(F.when(this, F.col("probabilities")), F.lit(True))
            columns.append(likely.alias(probabilities_column(head)))
    return wanted.groupBy("text_hash").agg(*columns)


def similarities_by_text(embeddings: DataFrame, directions: np.ndarray) -> DataFrame:
    """One row per text_hash with ``similarities``: cosine to each direction.

    Args:
        embeddings: ``text_hash, embedding`` (unit vectors), one row per text.
        directions: [directions, dimension], unit vectors; a row of zeros gives nulls.
    """
    schema = StructType(
        [
            StructField("text_hash", StringType()),
            StructField("similarities", ArrayType(_SIMILARITY)),
        ]
    )
    known = np.linalg.norm(directions, axis=1) > 0
    # In double precision: a float32 product depends on the size of the batch by more than
    # the sixth decimal bears.
    directions = directions.astype(np.float64)

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            cosine = np.zeros((len(batch), len(directions)))
            if known.any():
                vectors = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                matrix = vectors.reshape(len(batch), directions.shape[1]).astype(np.float64)
                cosine = np.round(matrix @ directions.T, 6)
            mask = np.broadcast_to(~known, cosine.shape).ravel()
            values = pa.array(cosine.ravel(), mask=mask).cast(pa.decimal128(9, 6), safe=False)
            offsets = pa.array(np.arange(len(batch) + 1, dtype=np.int32) * len(directions))
            yield pa.RecordBatch.from_arrays(
                [batch.column("text_hash"), pa.ListArray.from_arrays(offsets, values)],
                names=["text_hash", "similarities"],
            )

    scored = embeddings.where(F.col("embedding").isNotNull()).select("text_hash", "embedding")
    return scored.mapInArrow(compare, schema)


def build_texts(seen: DataFrame, features: Sequence[TextFeature]) -> DataFrame:
    """One row per (as_of, user_id) with the text features.

    Args:
        seen: Texts as seen by each as_of (``as_seen``), joined with ``label_<head>`` columns
            and ``similarities``: for each as_of_index in turn one for each target.
        features: What to build.
    """
    columns = [
        made.value(F.col("days_ago") <= made.window).alias(made.feature.name) for made in features
    ]
    return seen.groupBy("as_of", "user_id").agg(*columns)
