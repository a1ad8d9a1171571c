"""Clean the score store: duplicates, what nobody uses, models that are gone, small files.

A stored score was paid for with a pass through a transformer, so nothing goes by itself: only
duplicates do without being asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError
from behavior_spark.features.targets import item_matches, match_column
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.texts.stored_models import (
    STORES,
    Store,
    listed,
    models_to_remove,
    rows_by_digest,
)
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ITEMS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS


@dataclass(frozen=True)
class _Counts:
    """Rows of a table by what becomes of them; each row counts once."""

    before: int = 0
    model: int = 0
    duplicate: int = 0
    unused: int = 0
    known: int = 0
    tied: int = 0

    @property
    def removed(self) -> int:
        return self.model + self.duplicate + self.unused

    @property
    def kept(self) -> int:
        return self.before - self.removed


@dataclass(frozen=True)
class CleanedTable:
    """What became of a table's rows.

    Attributes:
        removed_duplicate: Rows that were copies.
        removed_unused: Rows of texts that nobody uses.
        removed_model: Rows of models that were to go.
        kept: Rows that are there.
        files_before: Files of the table before.
        files_after: And after.
        removed_models: Rows removed of each model's digest.
    """

    removed_duplicate: int = 0
    removed_unused: int = 0
    removed_model: int = 0
    kept: int = 0
    files_before: int | None = None
    files_after: int | None = None
    removed_models: Mapping[str, int] = field(default_factory=dict)

    @property
    def removed(self) -> int:
        """Rows that went."""
        return self.removed_duplicate + self.removed_unused + self.removed_model


@dataclass(frozen=True)
class ScoresCleaned(StageResult):
    """What a clean-up of the score store did.

    Attributes:
        tables: By the table's word in figures: ``embeddings``, ``scores``.
    """

    tables: Mapping[str, CleanedTable]

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows and files of each table; a table that is not there has 0 rows and no files."""
        found: dict[str, float] = {}
        for word, table in self.tables.items():
            found |= {f"{word}_removed": table.removed, f"{word}_kept": table.kept}
            if table.files_before is None or table.files_after is None:
                continue
            found |= {
                f"{word}_removed_duplicate": table.removed_duplicate,
                f"{word}_removed_unused": table.removed_unused,
                f"{word}_removed_model": table.removed_model,
                f"{word}_files_before": table.files_before,
                f"{word}_files_after": table.files_after,
            }
        return found

    @property
    def removed_models(self) -> dict[str, dict[str, int]]:
        """Rows removed of each model's digest, by table."""
        return {
            store.contract.name: dict(self.tables[store.word].removed_models)
            for store in STORES
            if self.tables[store.word].files_before is not None
        }

    @property
    def details(self) -> Mapping[str, Any]:
        """Rows removed of each model."""
        return {"removed_models": self.removed_models}


@stage(
    "clean-scores",
    does="remove rows of the score store that are not wanted, and merge small files",
    reads=(TEXTS, ITEMS),
    writes=(TEXT_EMBEDDINGS, TEXT_SCORES),
    models=("text",),
)
def clean_scores_stage(
    run: Run,
    *,
    unused_days: int | None,
    other_models: bool,
    models: Sequence[str],
    vacuum: bool,
    dry_run: bool,
) -> ScoresCleaned:
    """Remove rows of ``text_embeddings`` and ``text_scores`` and compact both tables.

    Raises:
        ConfigError: ``unused_days`` is negative, or no model is in use to compare others with.
        InputError: A table that is needed is not there, or no row has one of ``models``.
    """
    if unused_days is not None and unused_days < 0:
        raise ConfigError("--unused-days must be 0 or more", found=str(unused_days))
    run.warehouse.require(TEXT_EMBEDDINGS, made_by="score-texts")
    stores = [store for store in STORES if run.warehouse.exists(store.contract)]
    stored = {store.word: rows_by_digest(run, store) for store in stores}
    gone = models_to_remove(run, stored, other_models=other_models, models=models)
    cutoff = None if unused_days is None else run.as_of - dt.timedelta(days=unused_days)
    known = None if cutoff is None else _known_texts(run, cutoff)
    reread = 0
    tables = {store.word: CleanedTable() for store in STORES}
    for store in stores:
        with run.step(f"clean {store.contract.name}"):
            doomed = _Doomed.of(run, store, gone[store.word], known, cutoff)
            counts = doomed.count(sum(stored[store.word].values()))
            tables[store.word] = _clean(
                run, store, doomed, counts, vacuum=vacuum, dry_run=dry_run
            )
        reread = max(reread, counts.known)
    _advise(run, gone, unused_days=unused_days, reread=reread)
    if dry_run:
        run.note("dry run: nothing was written")
    elif not vacuum and any(table.removed for table in tables.values()):
        run.note("removed rows leave the disk with --vacuum, once they are 7 days old")
    return ScoresCleaned(tables)


@dataclass(frozen=True)
class _Doomed:
    """Which rows go: those of ``models``, and of the others each frame's row with ``goes``."""

    table: DataFrame
    store: Store
    models: dict[str, int]
    frame: DataFrame

    @classmethod
    def of(
        cls,
        run: Run,
        store: Store,
        models: dict[str, int],
        known: DataFrame | None,
        cutoff: dt.date | None,
    ) -> _Doomed:
        """Decide from the key columns alone.

        ``frame`` has a row for each distinct identity with its number of ``copies``; the best
        of its key has ``place`` 1: the newest, and an embedding before an error.
        """
        table = run.warehouse.read(store.contract)
        rows = table.select(*store.identity)
        if models:
            rows = rows.where(~F.col(store.digest).isin(*models))
        order = [F.col("scored_at").desc_nulls_last()]
        if "error" in store.identity:
            order = [F.col("error").isNotNull(), *order, F.col("error")]
        best = Window.partitionBy(*store.contract.key).orderBy(*order)
        frame = (
            rows.groupBy(*store.identity)
            .agg(F.count(F.lit(1)).alias("copies"))
            .withColumn("place", F.row_number().over(best))
        )
        if known is None or cutoff is None:
            frame = frame.withColumns({"used": F.lit(True), "old": F.lit(False)})
        else:
            midnight = F.lit(cutoff).cast("timestamp")
            old = F.coalesce(F.col("scored_at") < midnight, F.lit(True))
            frame = frame.join(known, "text_hash", "left").withColumn("old", old)
        unused = F.col("old") & ~F.coalesce(F.col("used"), F.lit(False))
        return cls(table, store, models, frame.withColumn("unused", unused))

    @property
    def rows(self) -> DataFrame:
        """Identities that go, those of which one copy comes back among them."""
        goes = (F.col("place") > 1) | F.col("unused") | (F.col("copies") > 1)
        return self.frame.where(goes)

    def one_of_each_tie(self) -> DataFrame:
        """One whole row of each identity that stays and is there more than once.

        Two runs do not score a text in the same microsecond, but a table copied into itself
        has such rows, and nothing in them says which is which.
        """
        tied = self.frame.where(_stays() & (F.col("copies") > 1)).alias("d")
        same = [F.col(f"t.{n}").eqNullSafe(F.col(f"d.{n}")) for n in self.store.identity]
        copies = self.table.alias("t").join(tied, reduce(Column.__and__, same), "left_semi")
        return copies.dropDuplicates(self.store.identity)

    def count(self, before: int) -> _Counts:
        """Rows by what becomes of them, in one job."""
        copies, extra = F.col("copies"), F.col("copies") - 1
        best = F.col("place") == 1
        counted = {
            "duplicate": F.sum(F.when(best, extra).otherwise(copies)),
            "unused": F.count_if(best & F.col("unused")),
            "known": F.count_if(best & F.col("unused") & F.col("used").isNotNull()),
            "tied": F.count_if(_stays() & (copies > 1)),
        }
        with spark_errors(f"reading the keys of table {self.store.contract.name}"):
            row = self.frame.agg(*[value.alias(name) for name, value in counted.items()]).first()
        found = {name: int(value or 0) for name, value in (row.asDict() if row else {}).items()}
        return _Counts(before=before, model=sum(self.models.values()), **found)


def _stays() -> Column:
    return (F.col("place") == 1) & ~F.col("unused")


def _clean(
    run: Run, store: Store, doomed: _Doomed, counts: _Counts, *, vacuum: bool, dry_run: bool
) -> CleanedTable:
    """Remove what is doomed, compact, and say what that came to.

    Each step is one commit and right by itself: after a crash the next clean-up goes on.
    """
    warehouse, contract = run.warehouse, store.contract
    before, kept = warehouse.detail(contract), counts.kept
    after = before
    if not dry_run:
        warehouse.delete(contract, column=store.digest, values=sorted(doomed.models))
        if counts.duplicate or counts.unused:
            again = doomed.one_of_each_tie() if counts.tied else None
            warehouse.delete_matching(contract, doomed.rows, on=store.identity, instead=again)
        warehouse.compact(contract)
        if vacuum:
            warehouse.vacuum(contract)
        after = warehouse.detail(contract)
        with spark_errors(f"counting table {contract.name}"):
            kept = warehouse.read(contract).count()
    goes = "would be removed" if dry_run else "removed"
    run.note(
        f"{contract.name}: {counts.before:,} rows = {kept:,} kept + {counts.removed:,} {goes} "
        f"({counts.duplicate:,} duplicates, {counts.unused:,} of unused texts, "
        f"{counts.model:,} of removed models)"
    )
    if kept != counts.kept:
        run.note(f"{contract.name}: another run wrote meanwhile, so that these do not add up")
    if not dry_run:
        run.note(
            f"{contract.name}: {before['numFiles']:,} files became {after['numFiles']:,}, "
            f"{after['sizeInBytes'] / 2**20:,.1f} MiB"
        )
    return CleanedTable(
        removed_duplicate=counts.duplicate,
        removed_unused=counts.unused,
        removed_model=counts.model,
        kept=kept,
        files_before=before["numFiles"],
        files_after=after["numFiles"],
        removed_models=doomed.models,
    )


def _known_texts(run: Run, cutoff: dt.date) -> DataFrame:
    """``text_hash, used`` of every text and title there is.

    Used is a text that arrived on the cutoff day or later, a title that an item had then or
    later, and the title with which an item began to count for a target: features compare
    texts with it for as long as the target is there.
    """
    sources, midnight = run.settings.sources, F.lit(cutoff).cast("timestamp")
    if sources.texts or not sources.items:
        # Without it every score would look unused.
        run.warehouse.require(TEXTS, made_by="ingest")
    texts = run.warehouse.read(TEXTS).select(
        "text_hash", (F.col("arrived_at") >= midnight).alias("used")
    )
    if sources.items:
        run.warehouse.require(ITEMS, made_by="ingest")
    versions = Window.partitionBy("item_id").orderBy("valid_from")
    next_from = F.lead("valid_from").over(versions)
    items = run.warehouse.read(ITEMS).withColumn(
        "used", next_from.isNull() | (next_from > midnight)
    )
    targets = {name: t for name, t in run.settings.targets.items() if t.item}
    if targets:
        firsts = [F.col("valid_from") == F.col(match_column(name)) for name in targets]
        began = F.coalesce(reduce(Column.__or__, firsts), F.lit(False))
        items = items.join(item_matches(run.warehouse.read(ITEMS), targets), "item_id", "left")
        items = items.withColumn("used", F.col("used") | began)
    titles = items.where("title_hash IS NOT NULL").select(
        F.col("title_hash").alias("text_hash"), "used"
    )
    return texts.unionByName(titles).groupBy("text_hash").agg(F.max("used").alias("used"))


def _advise(
    run: Run, gone: dict[str, dict[str, int]], *, unused_days: int | None, reread: int
) -> None:
    """What the reader should know before the next night."""
    for word, found in gone.items():
        if found:
            run.note(f"{word} of removed models: {listed(found)}")
    if gone["embeddings"] and not gone.get("scores"):
        run.note(
            "scores carry their head's digest, not the encoder's: those of the removed encoder's "
            "heads stay; remove them with --model or --other-models"
        )
    if reread:
        run.note(
            f"{reread:,} of the unused texts are still in tables texts or items: score-texts reads "
            "a text there that has no embedding, unless text.score_days says how old it may be"
        )
    training, features = run.settings.training, run.settings.features
    horizon = max(target.horizon_days for target in run.settings.targets.values())
    span = horizon + (training.as_of_days - 1) * training.every_days + max(features.windows_days)
    if unused_days is not None and unused_days < span:
        run.note(
            f"training looks back {span:,} days: with --unused-days {unused_days:,} some of its "
            "texts have no score"
        )
