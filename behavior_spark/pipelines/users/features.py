"""Build features: the clean tables -> ``user_features`` of a night, or of many days at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.logs.attributes import mapped_attributes
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, active_text_model
from behavior_spark.pipelines.texts.scoring import stored_embeddings
from behavior_spark.pipelines.users.activity import Snapshot, stored_activity, update_activity
from behavior_spark.pipelines.users.user_vectors import user_vectors
from behavior_spark.runs.builds import last_build
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    ACTIVITY_DAYS,
    EVENTS,
    ITEMS,
    SESSIONS,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_STATE,
)


@dataclass(frozen=True)
class Prepared:
    """What features are made of, and which there are.

    Attributes:
        inputs: The tables.
        feature_set: The features they give: made here, once a run.
        trained_through: Latest day of a label that a text head in use learned from.
        backbone: Digest of the text model's encoder; None without one.
        user_vector: Digest of the model of user vectors; None without one.
    """

    inputs: Inputs
    feature_set: FeatureSet
    trained_through: str | None = None
    backbone: str | None = None
    user_vector: str | None = None

    @property
    def models(self) -> dict[str, str]:
        """Digests of the models whose numbers are features."""
        used = {"backbone": self.backbone, "user_vector": self.user_vector}
        return {name: digest for name, digest in used.items() if digest}

    @property
    def names(self) -> list[str]:
        """Names of the features that models learn from, in order."""
        return self.feature_set.names


def prepare_inputs(
    run: Run, model: ActiveTextModel | None, *, train_vectors: bool = False
) -> Prepared:
    """The tables a night's features read. Every row later than the night stays out of sight.

    Args:
        run: The run.
        model: The text model.
        train_vectors: Train a model of user vectors where they are asked for and none is valid;
            otherwise they are then left out.
    """
    midnight = F.lit(run.as_of).cast("timestamp")
    warehouse, sources = run.warehouse, run.settings.sources
    events = warehouse.require(EVENTS, made_by="ingest").where(F.col("arrived_at") < midnight)
    items = warehouse.read(ITEMS) if sources.items else None
    texts = warehouse.read(TEXTS).where(F.col("arrived_at") < midnight) if sources.texts else None
    scored = texts is not None and model is not None
    vectors = user_vectors(run, events, items, train=train_vectors)
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
        user_vectors=vectors,
    )
    feature_set = FeatureSet.of(
        run.settings, Offer.of(inputs, run.settings.targets, sources=sources)
    )
    heads = model.heads.values() if scored and model else ()
    late = max((head.trained_through for head in heads if head.trained_through), default=None)
    return Prepared(
        inputs,
        feature_set,
        late,
        model.digest if model else None,
        vectors.digest if vectors else None,
    )


def inputs_at(
    run: Run,
    prepared: Prepared,
    days: Sequence[dt.date],
    *,
    snapshots: Sequence[Snapshot] | None = None,
) -> Inputs:
    """The inputs with the stored tiles that features at these days read.

    Args:
        run: The run.
        prepared: What features are made of.
        days: The as_of days.
        snapshots: As ``update_activity`` gave them; None: they are looked for.

    Raises:
        InputError: The stored sessions are not those of these days and this config.
    """
    check_sessions(run, prepared, days)
    activity = stored_activity(run, prepared.feature_set, days, snapshots=snapshots)
    return replace(prepared.inputs, activity=activity)


def check_sessions(run: Run, prepared: Prepared, days: Sequence[dt.date]) -> None:
    """Refuse sessions of another gap, or that were built before what these days see arrived.

    Raises:
        InputError: Says what is there, and what builds them.
    """
    if run.reached(SESSIONS) is not None:
        return
    gap, last = str(run.settings.features.session_gap_minutes), last_build(run, SESSIONS)
    problem = None
    if last is None:
        problem = "no complete build of them"
    elif last.definition != gap:
        problem = f"a gap of {last.definition} minutes, not {gap}"
    elif last.through < max(days):
        arrived = F.col("arrived_day")
        since = (arrived >= F.lit(last.through)) & (arrived < F.lit(max(days)))
        with spark_errors("reading events"):
            if not prepared.inputs.events.where(since).isEmpty():
                problem = f"they reach to {last.through}, wanted {max(days)}"
    if problem:
        raise InputError(
            "the table sessions is not up to date",
            found=problem,
            fix=f"run `behavior-spark build-features --as-of {run.as_of}` first",
        )


def days_between(first: dt.date | None, last: dt.date, *, every: int) -> list[dt.date]:
    """As-of days to build, ascending: the last one, and others ``every`` days apart before it.

    Raises:
        ConfigError: The first lies after the last.

    >>> days_between(dt.date(2024, 5, 1), dt.date(2024, 5, 31), every=14)
    [datetime.date(2024, 5, 3), datetime.date(2024, 5, 17), datetime.date(2024, 5, 31)]
    """
    if first is not None and first > last:
        raise ConfigError(
            f"--from {first} is after --as-of {last}", fix="give an earlier day, or a later night"
        )
    span = 0 if first is None else (last - first).days
    return sorted(last - dt.timedelta(days=back) for back in range(0, span + 1, every))


@dataclass(frozen=True)
class Opened(StageResult):
    """The tables that features are made of, and the text model of the night.

    Attributes:
        prepared: Inputs and features.
    """

    prepared: Prepared

    @property
    def models(self) -> Mapping[str, str]:
        """The encoder whose embeddings are read, and the model of user vectors."""
        return self.prepared.models


@stage(
    "open",
    does="open the clean tables, and the text model whose scores are read",
    reads=(EVENTS, ITEMS, TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, SESSIONS),
    models=("text",),
)
def open_stage(run: Run) -> Opened:
    """Open what a command reads that builds no features itself."""
    model = active_text_model(run.settings, run.as_of)
    return Opened(prepare_inputs(run, model))


@dataclass(frozen=True)
class FeaturesBuilt(StageResult):
    """Features as they were written.

    Attributes:
        prepared: Inputs and features.
        as_of: The night.
        users: Users at each as-of day that was built.
        bots: Users among them that behave like machines.
    """

    prepared: Prepared
    as_of: dt.date
    users: Mapping[dt.date, int]
    bots: Mapping[dt.date, int]

    @property
    def figures(self) -> Mapping[str, float]:
        """Users and bots of the night, features, and rows where several days were built."""
        figures: dict[str, float] = {
            "users": self.users[self.as_of],
            "bots": self.bots[self.as_of],
            "features": len(self.prepared.feature_set.features),
        }
        if len(self.users) > 1:
            figures |= {"as_of_days": len(self.users), "rows": sum(self.users.values())}
        return figures

    @property
    def models(self) -> Mapping[str, str]:
        """The encoder whose embeddings are read, and the model of user vectors."""
        return self.prepared.models


@stage(
    "build-features",
    does="clean tables and sessions to a row of features for each user",
    reads=(EVENTS, ITEMS, TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, SESSIONS),
    writes=(ACTIVITY_DAYS, USER_STATE, USER_FEATURES),
    models=("text",),
)
def build_features_stage(
    run: Run, model: ActiveTextModel | None, days: Sequence[dt.date] = ()
) -> FeaturesBuilt:
    """Build and replace ``user_features`` of the night, or of several days in one job.

    Args:
        run: The run.
        model: The text model; it must have learned from nothing later than the first day.
        days: As-of days, none later than the night; by default the night alone.
    """
    days = list(days) or [run.as_of]
    prepared = prepare_inputs(run, model, train_vectors=True)
    feature_set = prepared.feature_set
    for note in feature_set.notes:
        run.note(note)
    with run.step("build activity"):
        snapshots = update_activity(run, feature_set)
    with run.step("build features"):
        frame = feature_set.build(inputs_at(run, prepared, days, snapshots=snapshots), days)
        contract = USER_FEATURES.with_columns(feature_set.columns)
        listed = ", ".join(f"DATE'{day}'" for day in days)
        where = f"as_of = {listed}" if len(days) == 1 else f"as_of IN ({listed})"
        of_day = {day: F.col("as_of") == F.lit(day) for day in days}
        counted = Counted.over(
            frame,
            **{f"users {day}": F.count_if(of_day[day]) for day in days},
            **{f"bots {day}": F.count_if(of_day[day] & F.col("is_bot")) for day in days},
        )
        with spark_errors("building features"):
            run.warehouse.replace(counted.frame, contract, where=where)
            counts = counted.counts()
    users = {day: counts[f"users {day}"] for day in days}
    bots = {day: counts[f"bots {day}"] for day in days}
    for day in days:
        run.say(
            f"{day}: {users[day]:,} users, {bots[day]:,} of them like machines, "
            f"{len(feature_set.features)} features"
        )
    return FeaturesBuilt(prepared, run.as_of, users, bots)
