"""Score texts: an encoder embeds each distinct text once, a head reads each embedding once."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from behavior_spark.errors import ModelError
from behavior_spark.io.counting import Counted, aggregated
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.history import Note
from behavior_spark.io.observations import observed_values
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.failures import refuse_all_failed
from behavior_spark.model.heads.head import Head
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, recipe_of
from behavior_spark.pipelines.texts.precision import checked_text_model
from behavior_spark.pipelines.texts.work import Work
from behavior_spark.runs.builds import Build, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ITEMS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS, Contract
from behavior_spark.scoring.classification import classify
from behavior_spark.scoring.embedding import embed, observed, stored_counts
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

# Texts are divided by their hash into this many parts; a chunk is a range of parts.
PARTS = 4096
# Size of the first chunk, which measures the rate. Later chunks are sized to take
# `commit_seconds`. Up to this many texts are embedded in one job.
FIRST_CHUNK_PER_TASK = 2_500


@dataclass(frozen=True)
class TextsScored(StageResult):
    """What scoring did.

    Attributes:
        model: The text model of the night, with its precision chosen; None without an encoder.
        work: Counts and seconds; None without an encoder.
    """

    model: ActiveTextModel | None
    work: Work | None

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts, tokens and seconds."""
        return self.work.figures if self.work else {}

    @property
    def models(self) -> Mapping[str, str]:
        """Digests of the encoder (``backbone``) and of each head (``head_<name>``)."""
        return self.model.digests if self.model else {}


@stage(
    "score-texts",
    does="embed every text that is new, then classify it by the heads",
    reads=(TEXTS, ITEMS),
    writes=(TEXT_EMBEDDINGS, TEXT_SCORES),
    models=("text",),
    torch_in_workers=True,
)
def score_texts_stage(run: Run, *, rescore: Rescore = "nothing") -> TextsScored:
    """Embed texts and item titles that have no embedding yet, then classify the embeddings.

    Args:
        run: The run.
        rescore: ``nothing``: new texts only; ``failed``: also texts whose embedding failed;
            ``all``: every text again.
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
    """``text_hash, embedding`` by the encoder with this digest, one row per text."""
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
        warehouse: Warehouse with the tables.
        as_of: The night.
        days: Leave out texts that arrived more than this many days before it. Titles stay.
        since: Leave out texts that arrived before this day. Titles stay.
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
    """Embed texts without an embedding: few in one job, many in chunks.

    Each chunk is one commit, so that a killed run resumes. Only the last commit carries the note
    that this night's texts are all embedded.
    """
    warehouse, days = run.warehouse, run.settings.text.score_days
    was_there = warehouse.exists(TEXT_EMBEDDINGS)
    warehouse.create(TEXT_EMBEDDINGS)
    version = warehouse.version(TEXT_EMBEDDINGS)
    is_new = not was_there and version == 0  # else another run has written to it meanwhile
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
        most = _rows(warehouse, TEXTS)
        if most <= few:
            most += _rows(warehouse, ITEMS)
        if most > few:
            large = True
            if rescore == "nothing" and (since := _scored_before(run, definition)):
                rows = _text_rows(warehouse, run.as_of, days=days, since=since)
                run.say(f"texts that arrived before {since} were scored by an earlier run")
            most = _estimated_texts(rows)
    known, work, chunk = distinct_texts(rows), Work(), Chunk(run, model)
    if most <= few:
        # A single job: counting the texts first would take longer.
        counted = Counted.over(known, known=F.count("text_hash"))
        pending = counted.frame
        if not is_new:
            pending = not_scored(pending, stored, among=known if large else None)
        chunk.embed(pending, work, most=most, note=note)
        with spark_errors("counting texts"):
            work.known = counted.counts()["known"]
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
        chunk_note = note if last == PARTS else None
        chunk.embed(pending, work, most=most, number=last, note=chunk_note)
        chunk.tell(work, total)


def _scored_before(run: Run, definition: str) -> dt.date | None:
    """The day before which every arrived text was scored by an earlier run; None if unknown."""
    last = last_build(run, TEXT_EMBEDDINGS, definition=definition)
    if last is None or not run.warehouse.exists(TEXTS):
        return None
    if run.settings.text.score_days is not None and run.as_of < last.through:
        return None  # score_days reaches further back than it did in that build
    return changes_since(run, TEXTS, last).start


def _rows(warehouse: Warehouse, contract: Contract) -> int:
    """Rows of a table, or a few more; no row is read."""
    # Delta answers a count from the table's statistics.
    return warehouse.few_rows(contract) or warehouse.read(contract).count()


def _estimated_texts(rows: DataFrame) -> int:
    """Estimated number of distinct texts, plus 10 %. Takes a twentieth of a count's time."""
    row = rows.agg(F.approx_count_distinct("text_hash").alias("texts")).first()
    return int(1.1 * row["texts"]) + 1 if row else 0


def _part() -> Column:
    return F.pmod(F.xxhash64("text_hash"), F.lit(PARTS))


def _chunks(run: Run, total: int, work: Work) -> Iterator[tuple[int, int]]:
    """Range of parts (first, last + 1) of each chunk, sized by the rate of the chunk before."""
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
    """Embeds chunks of a run; ``rate`` is that of the last chunk, in texts per second."""

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

        A task stops before anything is written where too many of its texts fail. Where that shows
        only in all tasks together, what was written is taken out again, so that a later night does
        not take failures for scored texts.

        Args:
            pending: ``text_hash, text``.
            work: Counts and seconds of this chunk are added to it.
            most: Upper bound of the number of texts.
            number: Number of the transaction, ascending within the run.
            note: Note of the commit in the table's history.

        Raises:
            ModelError: The encoder cannot be used, or too many texts fail.
        """
        run, text, at = self.run, self.run.settings.text, dt.datetime.now(dt.UTC)
        tasks = tasks_for(most, parallelism=run.parallelism)
        scored = embed(
            spread_texts(pending, tasks),
            recipe_of(self.model, text),
            at=at,
            profile=resource_profile(text.gpu),
            max_failed_share=text.max_failed_share,
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
        counts = observed_values(observation)
        if counts is None:
            counts = self._written(at)
        work.add(counts, started=start, ended=start + seconds)
        self.rate = (work.texts - before) / max(seconds, 1e-3)
        try:
            refuse_all_failed(
                work.failed, work.tried, limit=text.max_failed_share, cause=work.cause
            )
        except ModelError:
            self._take_out(at)
            raise

    def _written(self, at: dt.datetime) -> dict[str, Any]:
        """Counts of one chunk by what is stored of it, where Spark did not count."""
        chunk = self.run.warehouse.read(TEXT_EMBEDDINGS).where(
            (F.col("backbone_digest") == self.model.digest) & (F.col("scored_at") == F.lit(at))
        )
        return aggregated(chunk, stored_counts())

    def _take_out(self, at: dt.datetime) -> None:
        """Remove the rows of one chunk."""
        written = self.run.spark.range(1).select(
            F.lit(self.model.digest).alias("backbone_digest"), F.lit(at).alias("scored_at")
        )
        self.run.warehouse.delete_matching(
            TEXT_EMBEDDINGS, written, on=("backbone_digest", "scored_at")
        )

    def tell(self, work: Work, total: int) -> None:
        """Print the progress and the estimated time left."""
        left = (total - work.texts) / self.rate if self.rate else 0.0
        self.run.say(
            f"{work.texts:,} of {total:,} texts, {self.rate:,.0f} a second, {left:,.0f} s left"
        )


# Groups of embeddings beside the heads' digests, which are hexadecimal.
_NEW, _EARLIER = "new", "earlier"


def _classify_new(run: Run, model: ActiveTextModel, rescore: Rescore, began: dt.datetime) -> None:
    """Apply each head to the embeddings that it has not classified yet; the encoder does not run.

    A head that has classified every embedding made before this run gets this run's embeddings;
    a head that has classified none gets all. Otherwise (an earlier run died in between) its
    missing embeddings are found by comparing keys.
    """
    run.warehouse.create(TEXT_SCORES)
    embeddings = _stored(run, model.digest).where("error IS NULL")
    is_new = F.col("scored_at") >= F.lit(began)
    scores = run.warehouse.snapshot(TEXT_SCORES)
    wanted = [head.digest for head in model.heads.values()]
    with spark_errors("comparing scores with embeddings"):
        # One pass for both: a group for new embeddings, one for earlier ones, one for each head.
        whose = F.when(is_new, F.lit(_NEW)).otherwise(F.lit(_EARLIER))
        sides = embeddings.select(whose.alias("whose"), "text_hash").unionByName(
            scores.where(F.col("head_digest").isin(wanted)).select(
                F.col("head_digest").alias("whose"), "text_hash"
            )
        )
        keys_of = {
            row["whose"]: row["keys"]
            for row in sides.groupBy("whose").agg(_keys().alias("keys")).collect()
        }
    groups: dict[str, list[Head]] = {"all": [], "new": [], "missing": []}
    for head in model.heads.values():
        keys = keys_of.get(head.digest)
        is_complete = keys == keys_of.get(_EARLIER)
        groups["all" if keys is None else "new" if is_complete else "missing"].append(head)
    if groups["all"] and (_NEW in keys_of or _EARLIER in keys_of):
        _append_scores(run, embeddings, groups["all"], step=0)
    if groups["new"] and _NEW in keys_of:
        _append_scores(run, embeddings.where(is_new), groups["new"], step=1)
    for step, head in enumerate(groups["missing"], start=2):
        stored = scores.where(F.col("head_digest") == head.digest)
        if rescore == "all":
            stored = stored.where(is_new)
        _append_scores(run, not_scored(embeddings, stored), [head], step=step)


def _keys() -> Column:
    """Number and checksum of a group's keys; both are independent of the rows' order."""
    return F.struct(
        F.count("text_hash").alias("rows"),
        F.sum(F.pmod(F.xxhash64("text_hash"), F.lit(2**31))).alias("checksum"),
    )


def _append_scores(run: Run, embeddings: DataFrame, heads: list[Head], *, step: int) -> None:
    names = ", ".join(head.name for head in heads)
    scores = classify(embeddings, heads, at=dt.datetime.now(dt.UTC))
    with spark_errors(f"classifying texts by {names}"):
        run.warehouse.append(scores, TEXT_SCORES, transaction=(f"{run.run_id}/scores", step))
