"""Clean the score store: duplicates, unused texts, removed models, small files.

Scores are expensive (each took a transformer pass), so that only duplicates are removed by
default; everything else must be asked for.
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
    """Rows of a table by the reason of their removal; each row counts once.

    Attributes:
        before: Rows before the clean-up.
        model: Rows of removed models.
        duplicate: Duplicates.
        unused: Rows of unused texts.
        known: Unused rows whose text is still in ``texts`` or ``items``.
        tied: Identities to keep of which there are several equal rows.
    """

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
    """Rows removed from a table and kept in it.

    Attributes:
        removed_duplicate: Duplicates removed.
        removed_unused: Rows of unused texts removed.
        removed_model: Rows of removed models.
        kept: Rows in the table afterwards.
        files_before: Files of the table before; None if there is no such table.
        files_after: Files of the table afterwards; None if there is no such table.
        removed_models: Rows removed, by the model's digest.
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
        """All rows removed."""
        return self.removed_duplicate + self.removed_unused + self.removed_model


@dataclass(frozen=True)
class ScoresCleaned(StageResult):
    """What a clean-up of the score store did.

    Attributes:
        tables: By the prefix of the table's figures: ``embeddings``, ``scores``.
    """

    tables: Mapping[str, CleanedTable]

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows and files of each table; a missing table has 0 rows and no figures of files."""
        figures: dict[str, float] = {}
        for word, table in self.tables.items():
            figures |= {f"{word}_removed": table.removed, f"{word}_kept": table.kept}
            if table.files_before is None or table.files_after is None:
                continue
            figures |= {
                f"{word}_removed_duplicate": table.removed_duplicate,
                f"{word}_removed_unused": table.removed_unused,
                f"{word}_removed_model": table.removed_model,
                f"{word}_files_before": table.files_before,
                f"{word}_files_after": table.files_after,
            }
        return figures

    @property
    def removed_models(self) -> dict[str, dict[str, int]]:
        """Rows removed, by table and the model's digest."""
        return {
            store.contract.name: dict(self.tables[store.word].removed_models)
            for store in STORES
            if self.tables[store.word].files_before is not None
        }

    @property
    def details(self) -> Mapping[str, Any]:
        """Rows removed, by table and the model's digest."""
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

    Args:
        run: The run.
        unused_days: Also remove rows of texts unused for this many days; None: keep them.
        other_models: Also remove rows of models that are not in use.
        models: Also remove rows of the models with these digests.
        vacuum: Delete removed files that are old enough from the disk.
        dry_run: Only count.

    Raises:
        ConfigError: ``unused_days`` is negative, or ``other_models`` without ``text.encoder``.
        InputError: A table that is needed does not exist, or one of ``models`` has no row.
    """
    if unused_days is not None and unused_days < 0:
        raise ConfigError("--unused-days must be 0 or more", found=str(unused_days))
    run.warehouse.require(TEXT_EMBEDDINGS, made_by="score-texts")
    stores = [store for store in STORES if run.warehouse.exists(store.contract)]
    stored = {store.word: rows_by_digest(run, store) for store in stores}
    to_remove = models_to_remove(run, stored, other_models=other_models, models=models)
    cutoff = None if unused_days is None else run.as_of - dt.timedelta(days=unused_days)
    known = None if cutoff is None else _known_texts(run, cutoff)
    reread = 0
    tables = {store.word: CleanedTable() for store in STORES}
    for store in stores:
        with run.step(f"clean {store.contract.name}"):
            removal = _Removal.of(run, store, to_remove[store.word], known, cutoff)
            counts = removal.count(sum(stored[store.word].values()))
            tables[store.word] = _clean(run, store, removal, counts, vacuum=vacuum, dry_run=dry_run)
        reread = max(reread, counts.known)
    _advise(run, to_remove, unused_days=unused_days, reread=reread)
    if dry_run:
        run.note("dry run: nothing was written")
    elif not vacuum and any(table.removed for table in tables.values()):
        run.note("removed rows leave the disk with --vacuum, once they are 7 days old")
    return ScoresCleaned(tables)


@dataclass(frozen=True)
class _Removal:
    """Rows of a table to remove: all of ``models``, and of other models those in ``rows``.

    Attributes:
        table: The table.
        store: Its description.
        models: Number of rows of each model to remove, by digest.
        frame: One row for each identity of the other models; see :meth:`of`.
    """

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
    ) -> _Removal:
        """Decide by the identity columns alone; no vector is read.

        ``frame`` has one row for each identity: ``copies``, the number of equal rows; ``place``,
        its rank within its key, of which 1 is kept (an embedding before an error, then the
        newest); ``unused``, whether nobody uses its text and it is older than ``cutoff``.
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
        """Identities to remove. Includes ties, of which one row is written again afterwards."""
        removed = (F.col("place") > 1) | F.col("unused") | (F.col("copies") > 1)
        return self.frame.where(removed)

    def one_of_each_tie(self) -> DataFrame:
        """One whole row of each identity that is kept and has several equal rows.

        Two runs do not score a text in the same microsecond, but a table appended to itself has
        such rows. A delete by identity removes all of them, so one is written again.
        """
        tied = self.frame.where(_is_kept() & (F.col("copies") > 1)).alias("d")
        same = [F.col(f"t.{n}").eqNullSafe(F.col(f"d.{n}")) for n in self.store.identity]
        copies = self.table.alias("t").join(tied, reduce(Column.__and__, same), "left_semi")
        return copies.dropDuplicates(self.store.identity)

    def count(self, before: int) -> _Counts:
        """Count rows by the reason of their removal, in one job."""
        copies, extra = F.col("copies"), F.col("copies") - 1
        best = F.col("place") == 1
        counted = {
            "duplicate": F.sum(F.when(best, extra).otherwise(copies)),
            "unused": F.count_if(best & F.col("unused")),
            "known": F.count_if(best & F.col("unused") & F.col("used").isNotNull()),
            "tied": F.count_if(_is_kept() & (copies > 1)),
        }
        with spark_errors(f"reading the keys of table {self.store.contract.name}"):
            row = self.frame.agg(*[value.alias(name) for name, value in counted.items()]).first()
        counts = {name: int(value or 0) for name, value in (row.asDict() if row else {}).items()}
        return _Counts(before=before, model=sum(self.models.values()), **counts)


def _is_kept() -> Column:
    return (F.col("place") == 1) & ~F.col("unused")


def _clean(
    run: Run, store: Store, removal: _Removal, counts: _Counts, *, vacuum: bool, dry_run: bool
) -> CleanedTable:
    """Remove rows, compact the table, and note the counts.

    Each step is one commit that leaves the table correct: after a crash the next clean-up
    continues.
    """
    warehouse, contract = run.warehouse, store.contract
    before, kept = warehouse.detail(contract), counts.kept
    after = before
    if not dry_run:
        warehouse.delete(contract, column=store.digest, values=sorted(removal.models))
        if counts.duplicate or counts.unused:
            again = removal.one_of_each_tie() if counts.tied else None
            warehouse.delete_matching(contract, removal.rows, on=store.identity, instead=again)
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
        removed_models=removal.models,
    )


def _known_texts(run: Run, cutoff: dt.date) -> DataFrame:
    """``text_hash, used`` of every text and item title in the warehouse.

    These are used: a text that arrived on the cutoff day or later; a title that an item had on
    that day or later; and the title of the first version of an item that counts for a target,
    because features compare texts with it as long as the target exists.
    """
    sources, midnight = run.settings.sources, F.lit(cutoff).cast("timestamp")
    if sources.texts or not sources.items:
        # Without table texts every score would look unused.
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
    run: Run, removed: dict[str, dict[str, int]], *, unused_days: int | None, reread: int
) -> None:
    """Note what the clean-up means for the next nights."""
    for word, rows in removed.items():
        if rows:
            run.note(f"{word} of removed models: {listed(rows)}")
    if removed["embeddings"] and not removed.get("scores"):
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
    horizon = max((t.horizon_days for t in run.settings.targets.values()), default=0)
    span = horizon + (training.as_of_days - 1) * training.every_days + max(features.windows_days)
    if unused_days is not None and unused_days < span:
        run.note(
            f"training looks back {span:,} days: with --unused-days {unused_days:,} some of its "
            "texts have no score"
        )
