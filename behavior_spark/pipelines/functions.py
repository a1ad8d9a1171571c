"""The project's text model as Column functions and SQL functions, cleaning included."""

from __future__ import annotations

import datetime as dt
from functools import partial

from pyspark.sql import SparkSession

from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.pipelines.run import utc_today
from behavior_spark.pipelines.text_model import active_text_model, recipe_of
from behavior_spark.scoring.functions import TextFunctions


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
        ),
        notes=tuple(model.notes),
    )
    if spark is not None:
        functions.register(spark)
    return functions


def _clean(text: str, *, max_chars: int, mask: bool) -> str:
    return clean_text(text, max_chars=max_chars, mask=mask).text
