"""Score texts: every distinct text once ever per backbone, every head once per embedding."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.io.warehouse import Note, Warehouse
from behavior_spark.model.heads.head import Head
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, recipe_of
from behavior_spark.pipelines.texts.precision import checked_text_model
from behavior_spark.pipelines.texts.work import Work
from behavior_spark.runs.builds import Build, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ITEMS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from behavior_spark.scoring.classification import classify
from behavior_spark.scoring.embedding import embed, observed
from behavior_spark.scoring.resources import resource_profile
from behavior_spark.scoring.texts import (
    MOST_BROADCAST_KEYS,
    distinct_texts,
    not_scored,
    one_per_text,
    spread_texts,
    tasks_for,
)

Rescore = Literal["nothing", "failed", "all"]

# The texts are dealt by their hash into so many parts; a chunk is a run of parts.
PARTS = 4096
# The first chunk shows the rate; later ones are cut to last `commit_seconds`. Where there are
# no more texts than that, they are one chunk.
FIRST_CHUNK_PER_TASK = 2_500


@dataclass(frozen=True)
class TextsScored(StageResult):
    """What scoring did.

    Attributes:
        model: The text model of the night, with its precision chosen; None without an encoder.
        work: What it took; None without an encoder.
    """

    model: ActiveTextModel | None
    work: Work | None

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts, tokens and seconds."""
        return self.work.figures if self.work else {}

    @property
    def models(self) -> Mapping[str, str]:
        """The encoder (``backbone``) and each head (``head_<name>``)."""
        return self.model.digests if self.model else {}


@stage(
    "score-texts",
    does="embed every text that is new, then classify it by the heads",
    reads=(TEXTS, ITEMS),
    writes=(TEXT_EMBEDDINGS, TEXT_SCORES),
    models=("text",),
)
def score_texts_stage(run: Run, *, rescore: Rescore = "nothing") -> TextsScored:
    """Embed the texts and item titles that are new, then apply the heads that are.

    Args:
        run: The run.
        rescore: ``failed``: also those whose embedding failed; ``all``: all there are, again.
    """
    model = checked_text_model(run, known_texts(run.warehouse, run.as_of))
    if model is None:
        run.note("text.encoder is not set: texts are stored, not scored")
        return TextsScored(None, None)
    for note in model.notes:
        run.note(note)
    began = dt.datetime.now(dt.UTC)
    with run.step("embed texts"):
        work = _embed_new(run, model, rescore, began)
    if model.heads:
        with run.step("classify texts"):
            _classify_new(run, model, rescore, began)
    return TextsScored(model, work)


def stored_embeddings(run: Run, digest: str) -> DataFrame:
    """``text_hash, embedding`` of a backbone, one row per text."""
    return one_per_text(_stored(run, digest)).select("text_hash", "embedding")


def known_texts(warehouse: Warehouse, as_of: dt.date) -> DataFrame:
    """``text_hash, text`` of the distinct texts and item titles known before a night."""
    return distinct_texts(_text_rows(warehouse, as_of))


def _text_rows(
    warehouse: Warehouse,
    as_of: dt.date,
    *,
    days: int | None = None,
    since: dt.date | None = None,
) -> DataFrame:
    """``text_hash, text`` of texts and item titles known before a night, repetitions included.

    Args:
        warehouse: Where they are.
        as_of: The night.
        days: Leave out texts, not titles, that arrived more than so many days before it.
        since: Leave out texts, not titles, that arrived before this day.
    """
    midnight = F.lit(as_of).cast("timestamp")
    texts = warehouse.read(TEXTS).where(F.col("arrived_at") < midnight)
    if days is not None:
        oldest = as_of - dt.timedelta(days=days)
        since = oldest if since is None else max(since, oldest)
    if since is not None:
        texts = texts.where(F.col("arrived_day") >= F.lit(since))
    items = warehouse.read(ITEMS).where(F.col("valid_from") < midnight)
    return texts.select("text_hash", "text").unionByName(
        items.select(F.col("title_hash").alias("text_hash"), F.col("title").alias("text"))
    )


def _stored(run: Run, digest: str) -> DataFrame:
    return run.warehouse.read(TEXT_EMBEDDINGS).where(F.col("backbone_digest") == digest)


def _embed_new(run: Run, model: ActiveTextModel, rescore: Rescore, began: dt.datetime) -> Work:
    """Embed what is pending: few texts in one job, many chunk by chunk.

    Each chunk is committed, so that a killed run resumes; the last one says that it was.
    """
    warehouse, days = run.warehouse, run.settings.text.score_days
    warehouse.create(TEXT_EMBEDDINGS)
    version = warehouse.version(TEXT_EMBEDDINGS)
    stored = warehouse.at(TEXT_EMBEDDINGS, version)
    stored = stored.where(F.col("backbone_digest") == model.digest)
    if rescore == "failed":
        stored = stored.where("error IS NULL OR error = 'empty_text'")
    elif rescore == "all":
        stored = stored.where(F.col("scored_at") >= F.lit(began))
    definition, note = f"{model.digest}/{days or 0}", None
    if (texts_version := warehouse.version(TEXTS)) is not None:
        note = Build(run.as_of, definition, texts_version, version).note
    few = FIRST_CHUNK_PER_TASK * run.parallelism
    rows, large = _text_rows(warehouse, run.as_of, days=days), False
    with spark_errors("counting texts"):
        # From the tables' own statistics: no row is read.
        most = warehouse.read(TEXTS).count() + warehouse.read(ITEMS).count()
        if most > few:
            large = True
            if rescore == "nothing" and (since := _scored_before(run, definition)):
                rows = _text_rows(warehouse, run.as_of, days=days, since=since)
                run.say(f"texts that arrived before {since} were scored by an earlier run")
            most = _estimated_texts(rows)
    known, work, chunk = distinct_texts(rows), Work(), Chunk(run, model)
    if most <= few:
        # One job does it all; to count first would take longer.
        counting = Observation()
        seen = known.observe(counting, F.count("text_hash").alias("known"))
        pending = not_scored(seen, stored, among=known if large else None)
        chunk.embed(pending, work, most=most, note=note)
        with spark_errors("counting texts"):
            work.count(known, counting)
    else:
        _embed_chunks(chunk, known, stored, work, note)
    work.tell(run)
    return work


def _embed_chunks(
    chunk: Chunk, known: DataFrame, stored: DataFrame, work: Work, note: Note | None
) -> None:
    run = chunk.run
    with spark_errors("counting texts"):
        work.known = known.select("text_hash").count()
        among = known if work.known <= MOST_BROADCAST_KEYS else None
        total = not_scored(known, stored, among=among).count()
    run.say(f"{total:,} texts to embed, in {chunk.model.options.precision}")
    for first, last in _chunks(run, total, work) if total else ():
        part = known.where(_part().between(first, last - 1)) if last - first < PARTS else known
        pending = not_scored(part, stored, among=None if among is None else part)
        most = total * (last - first) // PARTS + 1
        said = note if last == PARTS else None
        chunk.embed(pending, work, most=most, number=last, note=said)
        chunk.tell(work, total)


def _scored_before(run: Run, definition: str) -> dt.date | None:
    """The first arrival day of which the store may lack a text; None: it may be any."""
    last = last_build(run, TEXT_EMBEDDINGS, definition=definition)
    if last is None or not run.warehouse.exists(TEXTS):
        return None
    if run.settings.text.score_days is not None and run.as_of < last.through:
        return None  # this night looks further back than that one did
    return changes_since(run, TEXTS, last).start


def _estimated_texts(rows: DataFrame) -> int:
    """About how many distinct texts, rather too many: a twentieth of the time of a count."""
    row = rows.agg(F.approx_count_distinct("text_hash").alias("texts")).first()
    return int(1.1 * row["texts"]) + 1 if row else 0


def _part() -> Column:
    return F.pmod(F.xxhash64("text_hash"), F.lit(PARTS))


def _chunks(run: Run, total: int, work: Work) -> Iterator[tuple[int, int]]:
    """First and last + 1 of the parts in each chunk, cut by the rate of the chunk before."""
    start, size = 0, min(1.0, FIRST_CHUNK_PER_TASK * run.parallelism / total)
    while start < PARTS:
        stop = min(PARTS, start + max(1, round(size * PARTS)))
        if PARTS - stop < (stop - start) / 2:
            stop = PARTS  # no small chunk at the end
        done, clock = work.texts, time.monotonic()
        yield start, stop
        rate = (work.texts - done) / max(1e-3, time.monotonic() - clock)
        size = max(rate * run.settings.text.commit_seconds, 1) / total
        start = stop


@dataclass
class Chunk:
    """Embeds chunks of a run, and knows the rate of the last."""

    run: Run
    model: ActiveTextModel
    rate: float = 0.0

    def embed(
        self,
        pending: DataFrame,
        work: Work,
        *,
        most: int,
        number: int = 0,
        note: Note | None = None,
    ) -> None:
        """Embed and append in one transaction.

        Args:
            pending: ``text_hash, text``.
            work: What was done is added.
            most: An upper bound of the texts.
            number: Of the transaction, ascending within the run.
            note: What the commit says in the table's history.
        """
        run, text = self.run, self.run.settings.text
        tasks = tasks_for(most, parallelism=run.parallelism)
        scored = embed(
            spread_texts(pending, tasks),
            recipe_of(self.model, text),
            at=dt.datetime.now(dt.UTC),
            profile=resource_profile(text.gpu),
        )
        observation, start, before = Observation(), time.time(), work.texts
        with spark_errors("embedding texts"):
            run.warehouse.append(
                observed(scored, observation),
                TEXT_EMBEDDINGS,
                transaction=(f"{run.run_id}/{self.model.digest}", number),
                note=note,
            )
        seconds = time.time() - start
        work.add(observation, started=start, ended=start + seconds)
        self.rate = (work.texts - before) / max(seconds, 1e-3)

    def tell(self, work: Work, total: int) -> None:
        """Say how it goes."""
        left = (total - work.texts) / self.rate if self.rate else 0.0
        self.run.say(
            f"{work.texts:,} of {total:,} texts, {self.rate:,.0f} a second, {left:,.0f} s left"
        )


def _classify_new(run: Run, model: ActiveTextModel, rescore: Rescore, began: dt.datetime) -> None:
    """Apply the heads to the embeddings they have not read: no forward pass.

    A head that has read every embedding before this run reads those of this run; one that
    has read none reads all. Only where a run died in between are the keys compared.
    """
    run.warehouse.create(TEXT_SCORES)
    embeddings = _stored(run, model.digest).where("error IS NULL")
    is_new = F.col("scored_at") >= F.lit(began)
    scores = run.warehouse.snapshot(TEXT_SCORES)
    wanted = [head.digest for head in model.heads.values()]
    with spark_errors("comparing scores with embeddings"):
        by_age = embeddings.groupBy(is_new.alias("new")).agg(_keys().alias("keys")).collect()
        by_head = (
            scores.where(F.col("head_digest").isin(wanted))
            .groupBy("head_digest")
            .agg(_keys().alias("keys"))
            .collect()
        )
    ages = {row["new"]: row["keys"] for row in by_age}
    read = {row["head_digest"]: row["keys"] for row in by_head}
    groups: dict[str, list[Head]] = {"all": [], "new": [], "missing": []}
    for head in model.heads.values():
        before = read.get(head.digest)
        groups[
            "all" if before is None else "new" if before == ages.get(False) else "missing"
        ].append(head)
    if groups["all"] and ages:
        _append_scores(run, embeddings, groups["all"], step=0)
    if groups["new"] and True in ages:
        _append_scores(run, embeddings.where(is_new), groups["new"], step=1)
    for step, head in enumerate(groups["missing"], start=2):
        stored = scores.where(F.col("head_digest") == head.digest)
        if rescore == "all":
            stored = stored.where(is_new)
        _append_scores(run, not_scored(embeddings, stored), [head], step=step)


def _keys() -> Column:
    """Number and checksum of a group's keys: the same for the same keys in any order."""
    return F.struct(
        F.count("text_hash").alias("rows"),
        F.sum(F.pmod(F.xxhash64("text_hash"), F.lit(2**31))).alias("checksum"),
    )


def _append_scores(run: Run, embeddings: DataFrame, heads: list[Head], *, step: int) -> None:
    names = ", ".join(head.name for head in heads)
    scores = classify(embeddings, heads, at=dt.datetime.now(dt.UTC))
    with spark_errors(f"classifying texts by {names}"):
        run.warehouse.append(scores, TEXT_SCORES, transaction=(f"{run.run_id}/scores", step))
