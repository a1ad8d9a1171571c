"""Check labels one by one before a head learns from them, or after training has named a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from behavior_spark.config.labels import PARTS
from behavior_spark.errors import ConfigError
from behavior_spark.io.exports import check_export_name, export_rows
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.heads.findings import describe_findings, mostly_taken_for
from behavior_spark.model.heads.labelled import TaskSplit, split_task
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.pipelines.text_models.finetuning import progress_of
from behavior_spark.pipelines.text_models.label_embeddings import keep_with, look_up_with
from behavior_spark.pipelines.text_models.labelled_tables import labelled_task
from behavior_spark.pipelines.texts.active_model import configured_encoder
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXT_EMBEDDINGS, TEXTS

if TYPE_CHECKING:
    from behavior_spark.model.heads.label_doubts import LabelDoubt

_ROW = pa.schema(
    [
        *[(name, pa.string()) for name in ("head", "finding", "text", "labels", "likely")],
        ("probability", pa.float64()),
    ]
)


@dataclass(frozen=True)
class LabelsChecked(StageResult):
    """Labels that a person should look at.

    Attributes:
        texts: Labelled texts that were looked at, by head.
        doubts: Conflicts, then labels that are likely wrong, the likeliest first; by head.
        several: Heads whose texts have several labels: only their conflicts are found.
        file: Where they were written; None if they were not.
    """

    texts: Mapping[str, int]
    doubts: Mapping[str, Sequence[LabelDoubt]]
    several: Sequence[str]
    file: str | None

    @property
    def details(self) -> Mapping[str, Any]:
        """Counts by head, without any text."""
        return {
            "heads": {
                name: {"texts": self.texts[name], **Counter(doubt.finding for doubt in doubts)}
                for name, doubts in self.doubts.items()
            },
            "file": self.file,
        }

    def blocks(self) -> list[RenderableType]:
        """A row for each head, and where the labels are listed."""
        table = Table(title="Labels to look at", title_justify="left")
        table.add_column("head", no_wrap=True)
        for column in ("texts", "equal texts, other labels", "likely wrong"):
            table.add_column(column, justify="right")
        for name, doubts in self.doubts.items():
            counts = Counter(doubt.finding for doubt in doubts)
            wrong = "not looked for" if name in self.several else f"{counts['likely_wrong']:,}"
            table.add_row(name, f"{self.texts[name]:,}", f"{counts['conflict']:,}", wrong)
        mostly = [f"{name}: mostly {pairs}" for name in self.doubts if (pairs := self._pairs(name))]
        total = sum(map(len, self.doubts.values()))
        if self.file:
            where = f"{self.file}: {total:,} labels, each with its text"
        else:
            where = f"{total:,} labels; --output FILE lists them, each with its text"
        return [table, *map(Text, [*mostly, where])]

    def _pairs(self, name: str) -> str:
        """The labels of a head that are most often taken for each other; empty if none is."""
        wrong = [doubt for doubt in self.doubts[name] if doubt.finding == "likely_wrong"]
        pairs = Counter((doubt.labels[0], doubt.likely[0]) for doubt in wrong).most_common()
        return mostly_taken_for((*pair, texts) for pair, texts in pairs)


@stage(
    "check-labels",
    does="find labels that contradict each other or are likely wrong",
    reads=(TEXT_EMBEDDINGS, ANNOTATIONS, TEXTS),
    models=("text",),
)
def check_labels_stage(run: Run, heads: Sequence[str], *, output: Path | None) -> LabelsChecked:
    """Judge each labelled text of some heads by heads that have not learned from it.

    All parts are read, ``test`` too: a wrong label there makes figures wrong.

    Args:
        run: The run.
        heads: Names under ``text.heads``; empty: all.
        output: File to list them in, of a kind that ``export_rows`` knows; None: none.

    Raises:
        ConfigError: There is no such head, no encoder, or the file has another ending.
        InputError: A labelled table gives nothing to look at.
        ModelError: The encoder cannot be used.
    """
    text = run.settings.text
    names = tuple(heads) or tuple(text.heads)
    unknown = [name for name in names if name not in text.heads]
    if not text.encoder or not names or unknown:
        raise ConfigError(
            f"there is no head {unknown[0]!r}" if unknown else "there are no labels to check",
            found=f"text.heads: {', '.join(text.heads) or 'none'}; text.encoder: {text.encoder}",
            fix="add text.encoder and text.heads.<name> with path, text and label",
        )
    if output:
        check_export_name(output)
    with run.step("read labels"):
        splits = [_whole_task(run, name) for name in names]
    for split in splits:
        for line in describe_findings({"dropped_rows": split.dropped}):
            run.note(f"{split.name}: {line}")
    with run.step("judge labels"):
        doubts = _doubts(run, splits)
    if output:
        with run.step("list labels"), spark_errors("listing labels"):
            listed = pa.Table.from_pylist(_rows(doubts), schema=_ROW)
            export_rows(run.spark.createDataFrame(listed), output)
    return LabelsChecked(
        {split.name: len(split.texts) for split in splits},
        doubts,
        [split.name for split in splits if not split.rules.exclusive],
        str(output) if output else None,
    )


def _whole_task(run: Run, name: str) -> TaskSplit:
    """The labelled texts of all parts, none of which is held out by name."""
    task = replace(labelled_task(run, name, parts=PARTS), held_out=None, abstain=None, costs={})
    return split_task(
        task,
        validation_share=run.settings.text.heads[name].validation_share,
        seed=run.settings.training.seed,
        max_examples=None,
    )


def _doubts(run: Run, splits: Sequence[TaskSplit]) -> dict[str, list[LabelDoubt]]:
    # Imported here because it loads torch, which takes seconds.
    from behavior_spark.model.heads.frozen_heads import EncoderSetup, doubted_labels

    text = run.settings.text
    base = configured_encoder(text, ModelStore(run.settings.models_path), run.as_of)
    setup = EncoderSetup(
        base.options,
        choose_precision=False,
        device=None if text.device == "auto" else text.device,
        stored=look_up_with(run, base.digest),
        tell=progress_of(run),
        keep=keep_with(run),
        max_failed_share=text.max_failed_share,
    )
    weights = text.tuning.class_weights
    return doubted_labels(base.source, setup, splits, class_weights=weights)


def _rows(doubts: Mapping[str, Sequence[LabelDoubt]]) -> list[dict[str, Any]]:
    return [
        {
            "head": name,
            "finding": doubt.finding,
            "text": doubt.text,
            "labels": ", ".join(doubt.labels),
            "likely": ", ".join(doubt.likely),
            "probability": doubt.probability,
        }
        for name, of_head in doubts.items()
        for doubt in of_head
    ]
