"""Next items: train a sequence model where none is valid, and write ``user_next_items``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config.sequence import SequenceSettings
from behavior_spark.errors import ConfigError
from behavior_spark.features.families.bots import without_bots
from behavior_spark.features.item_histories import item_histories
from behavior_spark.files import digest_of
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.sequence_training import (
    fit_histories,
    publish,
    read_description,
    words_at,
)
from behavior_spark.pipelines.users.stored_models import newest_model
from behavior_spark.prediction.next_items import SequenceRecipe, predict_items
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, USER_FEATURES, USER_NEXT_ITEMS
from behavior_spark.shared_folder import SharedFolder

if TYPE_CHECKING:
    from behavior_spark.model.sequence.model import SequenceModel


@dataclass(frozen=True)
class NextItems(StageResult):
    """Next items as they were written.

    Attributes:
        rows: Rows written: at most ``sequence.next_items`` for each user.
        digest: The model.
        measures: NDCG@10 and Recall@10 on held-out last items, by ranker.
    """

    rows: int
    digest: str
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows written, and how well the last items of users were ranked."""
        return {"next_items": self.rows, **self.measures}

    @property
    def models(self) -> Mapping[str, str]:
        """The sequence model."""
        return {"sequence": self.digest}

    def blocks(self) -> list[RenderableType]:
        """How high the last items of users were ranked, beside counts."""
        shown = [
            f"{ranker.replace('_', ' ')} {self.measures[f'next_items_{ranker}_ndcg_10']:.4f}"
            for ranker in ("model", "markov_chain", "popularity")
            if f"next_items_{ranker}_ndcg_10" in self.measures
        ]
        return [Text(f"next items, NDCG@10 of held-out last items: {', '.join(shown)}")]


@stage(
    "predict-items",
    does="events to the items that each user is likely to go to next",
    reads=(EVENTS, ITEMS, USER_FEATURES),
    writes=(USER_NEXT_ITEMS,),
    models=("sequence",),
)
def predict_items_stage(run: Run, prepared: Prepared, *, retrain: bool) -> NextItems:
    """Predict next items of every user of the night and replace its rows.

    Raises:
        ConfigError: The config has no section ``sequence``.
        InputError: No event has an item.
        ModelError: No user has three events with an item.
    """
    settings = _section(run)
    histories = item_histories(
        prepared.inputs.events,
        run.as_of,
        event_types=settings.event_types,
        days=settings.days,
        newest=settings.max_events,
    )
    users = run.warehouse.require(USER_FEATURES, made_by="build-features").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    metadata = None if retrain else valid_model(run, settings)
    if metadata is None:
        with run.step("train next items"):
            people = without_bots(users).select("user_id")
            metadata = _train(
                run, settings, histories.join(people, "user_id", "left_semi"), prepared
            )
    digest = metadata["digest"]
    recipe = SequenceRecipe(
        model_store(run).location,
        digest,
        k=settings.next_items,
        leave_out_seen=settings.leave_out_seen,
        occluded=settings.reasons,
    )
    with run.step("predict next items"), spark_errors("predicting next items"):
        asked = histories.join(users.select("user_id"), "user_id", "left_semi")
        predicted = predict_items(asked, recipe, as_of=run.as_of)
        counted = Counted.over(predicted, rows=F.count(F.lit(1)))
        where = f"as_of = DATE'{run.as_of}'"
        run.warehouse.replace(counted.frame, USER_NEXT_ITEMS, where=where)
    return NextItems(counted.counts()["rows"], digest, _measures(run, metadata["metadata"]))


def valid_model(run: Run, settings: SequenceSettings) -> dict[str, Any] | None:
    """The description of the newest model of these settings that is fresh enough; None: none."""
    return newest_model(
        run, model_store(run), read_description, fingerprint=_fingerprint(run, settings),
        through=run.as_of, fresh_days=settings.retrain_every_days, name="sequence model",
    )  # fmt: skip


def _train(
    run: Run, settings: SequenceSettings, histories: DataFrame, prepared: Prepared
) -> dict[str, Any]:
    known_words = words_at(prepared.inputs.items, run.as_of)
    model, _ = fit_histories(
        histories, settings, known_words, fingerprint=_fingerprint(run, settings), as_of=run.as_of
    )
    if known_words is not None:
        model = _with_rare_items(model, known_words)
    described = publish(model_store(run), model)
    run.say(
        f"next items: model {model.digest}, {len(model.vocabulary.items):,} items, "
        f"{model.metadata['users']:,} users"
    )
    return described


def _with_rare_items(model: SequenceModel, words: Mapping[str, list[str]]) -> SequenceModel:
    """With the items that have too few events, or none yet, by words that the model knows."""
    from behavior_spark.model.sequence.catalogue import ItemFacts

    known, learned = set(model.vocabulary.items), set(model.words)
    new = sorted(item for item, bag in words.items() if item not in known and learned & set(bag))
    if not new:
        return model
    return model.with_items(tuple(new), ItemFacts([words[item] for item in new]))


def _measures(run: Run, metadata: Mapping[str, Any]) -> dict[str, float]:
    """Measures by name; notes where counts rank better than the model."""
    networks, counts = metadata["networks"], metadata["baselines"]
    ours = {name: max(n[name] for n in networks) for name in ("ndcg_10", "recall_10")}
    markov = counts["markov_chain"]
    if ours["ndcg_10"] <= markov["ndcg_10"]:
        run.note(
            f"next items: a Markov chain ranks the last items of users better (NDCG@10 "
            f"{markov['ndcg_10']:.4f}) than the sequence model ({ours['ndcg_10']:.4f})"
        )
    return {
        f"next_items_{ranker}_{name}": value
        for ranker, figures in {"model": ours, **counts}.items()
        for name, value in figures.items()
    }


def _fingerprint(run: Run, settings: SequenceSettings) -> str:
    """What a model rests on beside its events."""
    asked = {"next_items", "leave_out_seen", "reasons", "retrain_every_days"}
    return digest_of(
        {
            "sequence": settings.model_dump(mode="json", exclude=asked),
            "items": bool(run.settings.sources.items),
            "population": run.settings.population,
        }
    )


def _section(run: Run) -> SequenceSettings:
    if run.settings.sequence is None:
        raise ConfigError(
            "next items are not asked for",
            found="no section sequence in the config",
            fix="add `sequence: {}` for its defaults",
        )
    return run.settings.sequence


def model_store(run: Run) -> SharedFolder:
    """Folder of sequence models, one subfolder a digest."""
    return SharedFolder(f"{run.settings.models_path}/sequence")
