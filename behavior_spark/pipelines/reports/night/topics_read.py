"""A sample of the texts before a night: its topics, and which of them the encoder can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.errors import BehaviorError
from behavior_spark.model.topics import find_topics
from behavior_spark.pipelines.reports.night.texts_read import WEEKS
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.report.page.facts import TOPICS_FROM, no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXTS

_CHARACTERS = 1000


def read_topics(run: Run, models: Mapping[str, str]) -> dict[str, Any]:
    """Facts of topics and scripts by name, as in ``NightFacts``; none where nothing is embedded.

    Args:
        run: The run.
        models: Digests of the night's models, as ``runs`` has them.
    """
    digest = models.get("backbone")
    if digest is None or not run.warehouse.exists(TEXT_EMBEDDINGS):
        return {}
    sample = _sample(run, digest)
    if sample.empty:
        return {}
    users = [None if pd.isna(user) else str(user) for user in sample["user_id"]]
    topics = find_topics(
        sample["text"].tolist(),
        users,
        np.stack(sample["embedding"].to_list()).astype(np.float32),
        min_users=run.settings.privacy.min_group,
    )
    return {"topics": topics, "scripts": _scripts(run, digest, sample)}


def _sample(run: Run, digest: str) -> pd.DataFrame:
    """At most ``TOPICS_FROM`` texts of the last weeks, by the hash of their id, with vectors."""
    night = F.lit(run.as_of)
    chosen = (
        run.warehouse.read(TEXTS)
        .where(F.col("arrived_day") < night)
        .where(F.col("arrived_day") >= F.date_sub(night, 7 * WEEKS))
        .orderBy(F.xxhash64("text_id"), "text_id", "arrived_at")
        .limit(TOPICS_FROM)
        .select(
            "text_id", "arrived_at", "user_id", "text_hash",
            F.substring("text", 1, _CHARACTERS).alias("text"),
        )
    )  # fmt: skip
    vectors = (
        run.warehouse.read(TEXT_EMBEDDINGS)
        .where((F.col("backbone_digest") == digest) & F.col("embedding").isNotNull())
        .select("text_hash", "embedding")
    )
    # A text may be stored twice; here it is once for each time that somebody wrote it.
    joined = chosen.join(vectors, "text_hash").toPandas()
    once = joined.drop_duplicates(["text_id", "arrived_at"])
    return once.sort_values(["text_id", "arrived_at"], ignore_index=True)


def _scripts(run: Run, digest: str, sample: pd.DataFrame) -> pd.DataFrame:
    """The sample by script: script, texts, users, unread, tokens, unknown, letters."""
    from behavior_spark.model.encoder.scripts import read_by_script  # it loads torch

    columns = ("script", "texts", "users", "unread", "tokens", "unknown", "letters")
    try:
        model = active_text_model(run.settings, run.as_of)
        if model is None or model.digest != digest:
            run.note("languages of texts are not in the page: the night used another encoder")
            return no_rows(*columns)
        read = read_by_script(model.source, model.options, sample["text"].tolist())
    except BehaviorError as error:
        run.note(f"languages of texts are not in the page: {error.problem}")
        return no_rows(*columns)
    frame = pd.DataFrame(
        {
            "script": read.scripts, "user_id": sample["user_id"], "unread": ~read.known,
            "tokens": read.tokens, "unknown": read.unknown, "letters": read.letters,
        }
    )  # fmt: skip
    grouped = frame.groupby("script").agg(
        texts=("script", "size"), users=("user_id", "nunique"), unread=("unread", "sum"),
        tokens=("tokens", "sum"), unknown=("unknown", "sum"), letters=("letters", "sum"),
    )  # fmt: skip
    return pd.DataFrame(grouped.reset_index())[list(columns)]
