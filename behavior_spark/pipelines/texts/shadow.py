"""Shadow: the challenger labels a sample of a night's texts; only comparisons are stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.errors import ModelError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.registry.store import CHALLENGER, ModelStore
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, late_heads, recipe_of
from behavior_spark.pipelines.texts.scoring import stored_embeddings
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import SHADOW_DISAGREEMENT, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from behavior_spark.scoring.classification import classify
from behavior_spark.scoring.embedding import embed
from behavior_spark.scoring.resources import resource_profile
from behavior_spark.scoring.texts import distinct_texts, spread_texts, tasks_for

_PARTS = 1_000_000
PAIRS_SHOWN = 3


@dataclass(frozen=True)
class Disagreement:
    """How often a head of the challenger and the champion's give different labels.

    Attributes:
        texts: Texts that both have labelled.
        differ: Texts to which they give different labels.
    """

    texts: int
    differ: int

    @property
    def share(self) -> float:
        """Share of the texts on which they differ."""
        return self.differ / self.texts


@dataclass(frozen=True)
class Shadowed(StageResult):
    """The challenger's labels beside the champion's on the night's sample.

    Attributes:
        challenger: Its digest; None if no sample was read.
        heads: Comparison of each head that both models have, by name.
    """

    challenger: str | None = None
    heads: Mapping[str, Disagreement] = field(default_factory=dict)

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts and disagreement of each head."""
        counts = {f"shadow_{head}_texts": float(of.texts) for head, of in self.heads.items()}
        shares = {f"shadow_{head}_disagreement": of.share for head, of in self.heads.items()}
        return counts | shares

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of the challenger."""
        return {"challenger": self.challenger} if self.challenger else {}


@stage(
    "shadow",
    does="the challenger reads a sample of the texts beside the champion",
    reads=(TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES),
    writes=(SHADOW_DISAGREEMENT,),
    models=("text",),
    torch_in_workers=True,
)
def shadow_stage(run: Run, champion: ActiveTextModel | None) -> Shadowed:
    """Label a sample of the night's texts with the challenger and compare with the champion.

    The sample is chosen by hash, so that a rerun takes the same texts. Only
    ``shadow_disagreement`` is written; the challenger's embeddings and labels are not kept. A
    challenger that cannot be used does not fail the night; a note says so.
    """
    shadow = run.settings.text.shadow
    if champion is None or not champion.heads or not shadow.share or not shadow.most_texts:
        return Shadowed()
    challenger = _challenger(run, champion)
    if challenger is None:
        return Shadowed()
    night = f"as_of = DATE'{run.as_of.isoformat()}'"
    try:
        with run.step("shadow"), spark_errors("comparing the challenger with the champion"):
            pairs = _pairs(run, champion, challenger.model)
            run.warehouse.replace(pairs, SHADOW_DISAGREEMENT, where=night)
            compared = _tell(run, run.warehouse.read(SHADOW_DISAGREEMENT).where(night))
    except ModelError as error:  # of a worker: its encoder cannot embed, or fails on most texts
        run.note(f"the challenger {challenger.digest} cannot be used: {error.line}")
        return Shadowed()
    return Shadowed(challenger.digest, compared)


@dataclass(frozen=True)
class _Challenger:
    """The challenger's digest, and its encoder with the heads that differ from the champion's."""

    digest: str
    model: ActiveTextModel


def _challenger(run: Run, champion: ActiveTextModel) -> _Challenger | None:
    store = ModelStore(run.settings.models_path)
    digest = store.alias(CHALLENGER)
    if digest is None:
        return None
    try:
        model = store.load(digest)
    except ModelError as error:
        run.note(f"the challenger {digest} cannot be used: {error.problem}")
        return None
    if late_heads(model, run.as_of):
        run.note(f"the challenger learned from labels of {run.as_of} or later: it reads nothing")
        return None
    heads = {
        name: head
        for name, head in model.heads.items()
        if name in champion.heads and head.digest != champion.heads[name].digest
    }
    if not heads:
        return None
    return _Challenger(
        digest,
        ActiveTextModel(model.encoder_source, model.options, model.backbone_digest, heads),
    )


def _sample(run: Run) -> DataFrame:
    """``text_hash, text`` of the night's sample."""
    shadow = run.settings.text.shadow
    since = run.as_of - dt.timedelta(days=shadow.days)
    arrived = (F.col("arrived_at") < F.lit(run.as_of).cast("timestamp")) & (
        F.col("arrived_day") >= F.lit(since)
    )
    place = F.pmod(F.xxhash64("text_hash"), F.lit(_PARTS))
    chosen = run.warehouse.read(TEXTS).where(arrived & (place < round(shadow.share * _PARTS)))
    distinct = distinct_texts(chosen)
    return distinct.orderBy(place, "text_hash").limit(shadow.most_texts)


def _pairs(run: Run, champion: ActiveTextModel, challenger: ActiveTextModel) -> DataFrame:
    """Number of sample texts by head, champion's label and challenger's label."""
    sample, now = _sample(run), dt.datetime.now(dt.UTC)
    if challenger.digest == champion.digest:
        stored = stored_embeddings(run, champion.digest)
        vectors = stored.join(F.broadcast(sample.select("text_hash")), "text_hash", "left_semi")
    else:
        text = run.settings.text
        tasks = tasks_for(text.shadow.most_texts, parallelism=run.parallelism)
        scored = embed(
            spread_texts(sample, tasks),
            recipe_of(challenger, text),
            at=now,
            profile=resource_profile(text.gpu),
            max_failed_share=text.max_failed_share,
        )
        vectors = scored.where("text_hash IS NOT NULL AND error IS NULL")
    challenger_labels = classify(vectors, list(challenger.heads.values()), at=now).select(
        "text_hash", "head", F.col("label").alias("challenger_label")
    )
    digests = {name: champion.heads[name].digest for name in challenger.heads}
    champion_labels = (
        run.warehouse.read(TEXT_SCORES)
        .where(F.col("head_digest").isin(*digests.values()))
        .join(F.broadcast(sample.select("text_hash")), "text_hash", "left_semi")
        .dropDuplicates(["text_hash", "head_digest"])
        .select("text_hash", "head", F.col("label").alias("champion_label"))
    )
    champion_digest = F.create_map(
        *[F.lit(text) for name, digest in digests.items() for text in (name, digest)]
    )
    challenger_digest = F.create_map(
        *[F.lit(text) for name, head in challenger.heads.items() for text in (name, head.digest)]
    )
    return (
        champion_labels.join(challenger_labels, ["text_hash", "head"])
        .groupBy("head", "champion_label", "challenger_label")
        .agg(F.count("*").alias("texts"))
        .withColumns(
            {
                "as_of": F.lit(run.as_of),
                "champion_digest": champion_digest[F.col("head")],
                "challenger_digest": challenger_digest[F.col("head")],
            }
        )
    )


def _tell(run: Run, pairs: DataFrame) -> dict[str, Disagreement]:
    """Disagreement of each head; a note names the most frequent pairs of different labels."""
    rows = pairs.collect()  # at most (number of labels)² rows per head
    if not rows:
        run.note("the challenger had no text to read: none of the sample has arrived or is scored")
    compared: dict[str, Disagreement] = {}
    for head in sorted({row["head"] for row in rows}):
        of_head = [row for row in rows if row["head"] == head]
        texts = sum(row["texts"] for row in of_head)
        different = [row for row in of_head if row["champion_label"] != row["challenger_label"]]
        differ = sum(row["texts"] for row in different)
        compared[head] = Disagreement(texts, differ)
        different.sort(key=lambda row: (-row["texts"], str(row["champion_label"])))
        shown = ", ".join(
            f"{row['champion_label'] or '(none)'} or {row['challenger_label'] or '(none)'} "
            f"{row['texts']:,}"
            for row in different[:PAIRS_SHOWN]
        )
        run.note(
            f"the challenger's {head} differs on {differ:,} of {texts:,} texts "
            f"({differ / texts:.1%})" + (f": {shown}" if shown else "")
        )
    return compared
