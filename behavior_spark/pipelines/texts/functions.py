"""The project's text model as Column functions and SQL functions, cleaning included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.cleaning.normal_form import NormalForm
from behavior_spark.cleaning.personal_data import Masking, masking_of
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

    Texts are normalised, masked and capped in the same way as in ingestion, so that a raw text
    gets the embedding that is stored for its cleaned form. An encoder runs in fp32 until a
    night has chosen its precision.

    Args:
        settings: The job's settings.
        as_of: Heads that learned from labels of this day or later are left out; today by default.
        spark: If given, the SQL functions are registered in this session.

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
            mask=masking_of(settings.privacy),
            form=settings.text.normal_form,
        ),
        notes=tuple(model.notes),
        max_failed_share=settings.text.max_failed_share,
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
    """For each given text, such as a customer's question, the most similar stored texts.

    The search is exact: every stored embedding is compared.

    Args:
        settings: The job's settings.
        texts: Raw texts; they are cleaned in the same way as in ingestion.
        k: Number of stored texts to return for each text.
        as_of: As in :func:`text_functions`; only texts known before this day are searched.
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
    embeddings = stored.where(F.col("backbone_digest") == functions.recipe.digest)
    query_texts = spark.createDataFrame(pa.table({"query": [*texts]}), "query string")
    queries = query_texts.withColumn("embedding", functions.embed_text("query"))
    known = known_texts(warehouse, day)
    matches = similar_texts(
        queries,
        embeddings.join(known, "text_hash", "left_semi"),
        k=k,
        query_id="query",
        exclude_same=False,
    )
    return (
        matches.withColumnsRenamed({"query_id": "query", "match_id": "text_hash"})
        .join(known, "text_hash")
        .select("query", "rank", "similarity", "text_hash", "text")
    )


def _clean(text: str, *, max_chars: int, mask: Masking | None, form: NormalForm) -> str:
    return clean_text(text, max_chars=max_chars, mask=mask, form=form).text
