"""Clean the score store: duplicates, unused texts, removed models, small files.

Scores are expensive (each took a transformer pass), so that only duplicates are removed by
default; everything else must be asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from behavior_spark.errors import ConfigError
from behavior_spark.features.texts_in_use import texts_in_use
from behavior_spark.io.counting import aggregated
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.texts.stored_models import (
    listed,
    models_to_remove,
    rows_by_digest,
)
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ITEMS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from behavior_spark.scoring.stored_rows import (
    STORES,
    Store,
    judge_rows,
    one_of_each_tie,
    removal_counts,
    rows_to_remove,
)


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
    in_use = None if cutoff is None else _texts_in_use(run, cutoff)
    reread = 0
    tables = {store.word: CleanedTable() for store in STORES}
    for store in stores:
        with run.step(f"clean {store.contract.name}"):
            leaving, before = to_remove[store.word], run.warehouse.detail(store.contract)
            table = run.warehouse.read(store.contract)
            judged = judge_rows(table, store, leaving=list(leaving), in_use=in_use, cutoff=cutoff)
            counts = _count(store, judged, sum(stored[store.word].values()), leaving)
            if not dry_run:
                _remove(run, store, judged, counts, leaving, vacuum=vacuum)
            files = before, run.warehouse.detail(store.contract)
            tables[store.word] = _cleaned(run, store, counts, leaving, files, dry_run=dry_run)
        reread = max(reread, counts.known)
    _advise(run, to_remove, unused_days=unused_days, reread=reread)
    if dry_run:
        run.note("dry run: nothing was written")
    elif not vacuum and any(table.removed for table in tables.values()):
        run.note("removed rows leave the disk with --vacuum, once they are 7 days old")
    return ScoresCleaned(tables)


def _count(store: Store, judged: DataFrame, before: int, leaving: Mapping[str, int]) -> _Counts:
    """Rows by the reason of their removal, in one job."""
    with spark_errors(f"reading the keys of table {store.contract.name}"):
        found = aggregated(judged, removal_counts())
    counts = {name: int(value or 0) for name, value in found.items()}
    return _Counts(before=before, model=sum(leaving.values()), **counts)


def _remove(
    run: Run,
    store: Store,
    judged: DataFrame,
    counts: _Counts,
    leaving: Mapping[str, int],
    *,
    vacuum: bool,
) -> None:
    """Remove rows and compact the table.

    Each step is one commit that leaves the table correct: after a crash the next clean-up
    continues.
    """
    warehouse, contract = run.warehouse, store.contract
    warehouse.delete(contract, column=store.digest, values=sorted(leaving))
    if counts.duplicate or counts.unused:
        table, removed = warehouse.read(contract), rows_to_remove(judged)
        again = one_of_each_tie(table, store, judged) if counts.tied else None
        warehouse.delete_matching(contract, removed, on=store.identity, instead=again)
    warehouse.compact(contract)
    if vacuum:
        warehouse.vacuum(contract)


def _cleaned(
    run: Run,
    store: Store,
    counts: _Counts,
    leaving: Mapping[str, int],
    files: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    dry_run: bool,
) -> CleanedTable:
    """What became of a table, noted for the user; ``files``: its details before and after."""
    contract, kept = store.contract, counts.kept
    (before, after) = files
    if not dry_run:
        with spark_errors(f"counting table {contract.name}"):
            kept = run.warehouse.read(contract).count()
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
        removed_models=leaving,
    )


def _texts_in_use(run: Run, cutoff: dt.date) -> DataFrame:
    sources = run.settings.sources
    if sources.texts or not sources.items:
        # Without table texts every score would look unused.
        run.warehouse.require(TEXTS, made_by="ingest")
    if sources.items:
        run.warehouse.require(ITEMS, made_by="ingest")
    texts, items = run.warehouse.read(TEXTS), run.warehouse.read(ITEMS)
    return texts_in_use(texts, items, run.settings.targets, cutoff=cutoff)


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
