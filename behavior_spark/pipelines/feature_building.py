"""Build features: the clean tables -> ``user_features`` of one night."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import functions as F

from behavior_spark.features.assemble import Inputs, build_features, declared_features
from behavior_spark.features.bots import BOT_COLUMNS
from behavior_spark.features.declared import Feature
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.attributes import mapped_attributes
from behavior_spark.pipelines.run import Run
from behavior_spark.pipelines.text_model import ActiveTextModel
from behavior_spark.pipelines.text_scoring import stored_embeddings
from behavior_spark.schemas import EVENTS, ITEMS, SESSIONS, TEXT_SCORES, TEXTS, USER_FEATURES


@dataclass(frozen=True)
class Prepared:
    """What features are made of, and which there are."""

    inputs: Inputs
    features: list[Feature]

    @property
    def names(self) -> list[str]:
        """Feature names in order."""
        return [feature.name for feature in self.features]


def prepare_inputs(run: Run, model: ActiveTextModel | None) -> Prepared:
    """The tables a night's features read. Every row later than the night stays out of sight."""
    midnight = F.lit(run.as_of).cast("timestamp")
    warehouse, sources = run.warehouse, run.settings.sources
    events = warehouse.require(EVENTS, made_by="ingest").where(F.col("arrived_at") < midnight)
    items = warehouse.read(ITEMS) if sources.items else None
    texts = warehouse.read(TEXTS).where(F.col("arrived_at") < midnight) if sources.texts else None
    scored = texts is not None and model is not None
    inputs = Inputs(
        events=events,
        items=items,
        texts=texts,
        embeddings=stored_embeddings(run, model.digest) if scored and model else None,
        scores=warehouse.read(TEXT_SCORES) if scored else None,
        heads={n: h.digest for n, h in model.heads.items()} if scored and model else {},
        head_labels={n: h.labels for n, h in model.heads.items()} if scored and model else {},
        sessions=warehouse.require(SESSIONS, made_by="build-features"),
        attributes=mapped_attributes(run),
    )
    features = declared_features(run.settings.features, run.settings.targets, inputs)
    return Prepared(inputs, features)


def build_features_stage(run: Run, model: ActiveTextModel | None) -> Prepared:
    """Build and replace the night's rows of ``user_features``."""
    prepared = prepare_inputs(run, model)
    settings = run.settings
    with run.stage("build features"):
        frame = build_features(
            prepared.inputs,
            [run.as_of],
            settings=settings.features,
            targets=settings.targets,
            population=settings.population,
        )
        contract = USER_FEATURES.with_columns(
            [f.field for f in prepared.features] + list(BOT_COLUMNS)
        )
        with spark_errors("building features"):
            run.warehouse.replace(frame, contract, where=f"as_of = DATE'{run.as_of}'")
            written = run.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(run.as_of))
            counted = written.agg(
                F.count(F.lit(1)).alias("users"), F.count_if("is_bot").alias("bots")
            ).first()
    users, bots = (counted["users"], counted["bots"]) if counted else (0, 0)
    run.figures["users"] = users
    run.figures["bots"] = bots
    run.figures["features"] = len(prepared.features)
    run.say(f"{users:,} users, {bots:,} of them like machines, {len(prepared.features)} features")
    return prepared
