"""A model's record (JSON) and its card (Markdown), written once into its folder.

The card follows Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv 1810.03993).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import digest_of, read_json, short_digest, write_json
from behavior_spark.markdown import one_line, table_row
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.text_model import load_text_model

_RESTORE = "restore the folder, or train the model again"


@dataclass(frozen=True)
class ModelRecord:
    """How a model was made.

    Attributes:
        digest: Digest of the model.
        parents: Digest of the encoder it started from (``encoder``) and of the champion at the
            time (``champion``); None if there was none.
        trained_through: ISO day of the last label of any head; None if labels have no day.
        data: For each head the ``fingerprint`` and number (``texts``) of its labelled texts.
        config: Settings it was trained with, secrets removed.
        licence: Licence of the encoder and the labels, as configured.
        versions: Versions of the packages it was trained with.
        created_at: ISO time, UTC.
    """

    digest: str
    parents: Mapping[str, str | None] = field(default_factory=dict)
    trained_through: str | None = None
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    created_at: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat())

    def save(self, folder: Path) -> ModelRecord:
        """Write record.json and card.md into the model's folder, unless it has a record.

        Returns:
            The record in the folder: this one, or the earlier one.

        Raises:
            ModelError: The folder holds another model, or its record is damaged.
        """
        if (folder / "record.json").exists():
            return ModelRecord.load(folder)
        model = load_text_model(folder)
        if model.digest != self.digest:
            raise ModelError(
                f"the record is of another model than the one in {folder}",
                found=f"{self.digest}, not {model.digest}",
            )
        content = asdict(self)
        (folder / "card.md").write_text(model_card(self, model.heads), encoding="utf-8")
        write_json(folder / "record.json", content | {"record_digest": digest_of(content)})
        return self

    @classmethod
    def load(cls, folder: Path) -> ModelRecord:
        """The record that :meth:`save` wrote; without one, a record with only the digest.

        Raises:
            ModelError: It is damaged, or was changed after it was written.
        """
        if not (folder / "record.json").exists():
            return cls(folder.name, created_at="")
        content = read_json(folder / "record.json")
        recorded = content.pop("record_digest", None)
        if recorded != digest_of(content):
            raise ModelError(
                f"the record of {folder} was changed after it was written", fix=_RESTORE
            )
        try:
            return cls(**content)
        except TypeError as error:
            raise ModelError(f"the record of {folder} is not complete", fix=_RESTORE) from error


def data_fingerprint(texts: list[str], labels: list[Any]) -> str:
    """Digest of a labelled table, 16 hex characters; independent of the order of its rows."""
    rows = sorted(json.dumps([text, label]) for text, label in zip(texts, labels, strict=True))
    return short_digest("\n".join(rows).encode())


def model_card(record: ModelRecord, heads: Mapping[str, Head]) -> str:
    """The model's card in Markdown: intended use, training data, measures, caveats."""
    config = record.config
    lines = [
        f"# Text model {record.digest}",
        "",
        "## Model details",
        "",
        f"- Made on {record.created_at[:10] or 'an unknown day'} by behavior-spark "
        f"{record.versions.get('behavior-spark', '')}, mode `{config.get('finetune', '?')}`.",
        f"- Encoder: {config.get('encoder', '?')}, digest {record.parents.get('encoder')}.",
        f"- Champion at the time: {record.parents.get('champion') or 'none'}.",
        f"- Licence: {record.licence or 'not stated: the terms of encoder and labels apply'}.",
        "",
        "## Intended use",
        "",
        "To classify texts of the kind it was trained on, in one of the labels below, as one",
        "input among others. Not for decisions about a person by itself, nor for other kinds of",
        "text or other languages than those it was measured on.",
        "",
        "## Training data",
        "",
        "| head | labelled texts | fingerprint | last label |",
        "| --- | ---: | --- | --- |",
    ]
    for name, head in heads.items():
        data = record.data.get(name, {})
        texts, fingerprint = "?", "?"
        if isinstance(data.get("texts"), int):
            texts, fingerprint = f"{data['texts']:,}", data.get("fingerprint", "?")
        lines.append(table_row([name, texts, fingerprint, head.trained_through or "undated"]))
    lines += ["", "## Metrics and evaluation data", ""]
    lines += [
        "On texts of the labelled tables that were held out by hash. They also chose the",
        "regularisation and the temperature, so a little optimism remains; `behavior-spark",
        "evaluate` measures on a test table, with intervals, by slice.",
        "",
    ]
    for name, head in heads.items():
        lines += _measured(name, head)
    lines += [
        "## Factors and caveats",
        "",
        "Groups of users are not told apart in training; slices of an evaluation show length,",
        "kind and day. Names and postal addresses in texts are not masked. Labels are what the",
        "table says, with its mistakes.",
    ]
    return "\n".join(lines) + "\n"


def _measured(name: str, head: Head) -> list[str]:
    rows = head.metrics.get("rows", {})
    shown = [
        f"{key} {head.metrics[key]:.3f}"
        for key in ("accuracy", "precision", "recall", "f1")
        if isinstance(head.metrics.get(key), int | float)
    ]
    lines = [
        f"### {name}",
        "",
        f"{len(head.labels)} labels, {head.rules.description}; "
        f"{rows.get('train', '?')} texts learned from, {rows.get('validation', '?')} held out.",
        f"{', '.join(shown) or 'Not measured'} (averaged over labels, accuracy over texts).",
        "",
    ]
    if baselines := head.metrics.get("baselines"):
        shown = [f"{baseline} {figures['f1']:.3f}" for baseline, figures in baselines.items()]
        lines += [f"F1 of baselines: {', '.join(shown)}.", ""]
    if findings := describe_findings(head.metrics):
        lines += [*[f"- {one_line(line)}" for line in findings], ""]
    per_class = head.metrics.get("per_class")
    if isinstance(per_class, dict) and per_class:
        figures = ("precision", "recall", "f1")
        lines.append("| label | texts | precision | recall | F1 |")
        lines.append("| --- | ---: | ---: | ---: | ---: |")
        lines += [
            table_row([label, row["rows"], *(f"{row[figure]:.3f}" for figure in figures)])
            for label, row in per_class.items()
        ]
        lines.append("")
    return lines
