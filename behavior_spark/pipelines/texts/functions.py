"""The project's text model as Column functions and SQL functions, cleaning included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.cleaning.normal_form import NormalForm
from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.texts.active_model import active_text_model, recipe_of
from behavior_spark.pipelines.texts.scoring import known_texts
from behavior_spark.runs.run import utc_today
from behavior_spark.schemas import TEXT_EMBEDDINGS
from behavior_spark.scoring.functions import TextFunctions
from behavior_spark.scoring.similar import similar_texts


def text_functions(
    settings: Settings, *, as_of: dt.date | None = None, spark: SparkSession | None = None
) -> TextFunctions:
    """The text model that ``score-texts`` would use, as functions over raw text columns.

    Texts are normalised, masked and capped as ingestion does, so that a raw text gets the
    embedding that is stored for its clean one. An encoder whose precision no night has chosen
    yet runs in fp32.

    Args:
        settings: The job's settings.
        as_of: The night: heads that learned from later labels are left out; today by default.
        spark: A session in which the SQL functions are registered at once.

    Raises:
        ConfigError: ``text.encoder`` is not set.
        ModelError: The encoder or the champion cannot be used.

    Example::

        f = text_functions(load_settings(["mine.yaml"]), spark=spark)
        chats.withColumn("intent", f.classify_text("message", head="intent")["label"])
        spark.sql("SELECT classify_text(message, 'intent').label FROM chats")
    """
    model = active_text_model(settings, as_of or utc_today())
    if model is None:
        raise ConfigError(
            "text.encoder is not set",
            fix="set text.encoder to an encoder folder or package:NAME/folder",
        )
    functions = TextFunctions(
        recipe_of(model, settings.text),
        heads=model.heads,
        prepare=partial(
            _clean,
            max_chars=settings.text.max_chars,
            mask=settings.privacy.mask_personal_data,
            form=settings.text.normal_form,
        ),
        notes=tuple(model.notes),
    )
    if spark is not None:
        functions.register(spark)
    return functions


def similar_to(
    settings: Settings,
    texts: Sequence[str],
    *,
    k: int = 10,
    as_of: dt.date | None = None,
    spark: SparkSession,
) -> DataFrame:
    """The stored texts nearest in meaning to each of a few texts, such as a customer's question.

    Exact: every stored embedding is compared.

    Args:
        settings: The job's settings.
        texts: Raw texts; they are cleaned as ingestion does.
        k: How many to find for each.
        as_of: As in :func:`text_functions`; texts that arrived later are not found.
        spark: Session to work in.

    Returns:
        ``query, rank, similarity, text_hash, text``; similarity is the cosine.

    Raises:
        ConfigError: ``text.encoder`` is not set.
        InputError: No text has been scored.
        ModelError: The encoder cannot be used.
    """
    functions, day = text_functions(settings, as_of=as_of), as_of or utc_today()
    warehouse = Warehouse(spark, settings.warehouse)
    stored = warehouse.require(TEXT_EMBEDDINGS, made_by="score-texts")
    own = stored.where(F.col("backbone_digest") == functions.recipe.digest)
    asked = spark.createDataFrame([(text,) for text in texts], "query string")
    queries = asked.withColumn("embedding", functions.embed_text("query"))
    known = known_texts(warehouse, day)
    found = similar_texts(
        queries,
        own.join(known, "text_hash", "left_semi"),
        k=k,
        query_id="query",
        exclude_same=False,
    )
    return (
        found.withColumnsRenamed({"query_id": "query", "match_id": "text_hash"})
        .join(known, "text_hash")
        .select("query", "rank", "similarity", "text_hash", "text")
    )


def _clean(text: str, *, max_chars: int, mask: bool, form: NormalForm) -> str:
    return clean_text(text, max_chars=max_chars, mask=mask, form=form).text
