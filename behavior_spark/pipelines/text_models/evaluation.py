"""Evaluate: a text model on labelled texts that it has not learned from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from rich.console import RenderableType

from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.files import short_digest
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.scope import measure_scope
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.classification import (
    SLICE_FIGURES,
    as_plain,
    calibration_table,
    confusion,
    estimate,
    per_class,
    risk_coverage,
)
from behavior_spark.model.measures.figures import FIGURES
from behavior_spark.model.registry.held_out import HeldOut
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.names import counted
from behavior_spark.pipelines.text_models.held_out import (
    read_held_out,
    read_out_of_scope,
    without_learned,
)
from behavior_spark.pipelines.text_models.label_embeddings import embed_held_out
from behavior_spark.report.quality import heads_table
from behavior_spark.report.text_quality import text_quality_markdown
from behavior_spark.runs.run import Run, versions
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXTS


def text_store(run: Run) -> ModelStore:
    """The job's registry of text models."""
    return ModelStore(run.settings.models_path)


@dataclass(frozen=True)
class Evaluated(StageResult):
    """What was measured of a text model; the registry stores the same content.

    Attributes:
        content: JSON values: ``model``, ``measured_at`` and ``heads``, each with ``figures`` and
            their intervals, ``per_class``, ``risk_coverage``, ``confusion``, ``calibration``,
            ``slices``, ``scope``.
    """

    content: Mapping[str, Any]

    @property
    def figures_by_head(self) -> dict[str, dict[str, float]]:
        """Figures by head and name, without those that are undefined."""
        return {
            head: {
                name: measured["figures"][name]["value"]
                for name in FIGURES
                if measured["figures"][name]["value"] is not None
            }
            for head, measured in self.content["heads"].items()
        }

    @property
    def figures(self) -> Mapping[str, float]:
        """Figures of each head, its numbers of held-out and leaked texts, and how it abstains."""
        figures: dict[str, float] = {}
        for head, measured in self.content["heads"].items():
            numbers = self.figures_by_head[head]
            figures |= {f"{head}_{name}": number for name, number in numbers.items()}
            data, scope = measured["data"], measured["scope"]
            figures[f"{head}_held_out_texts"] = data["texts"]
            figures[f"{head}_leaked_texts"] = data["dropped"].get("learned_from", 0)
            for name in ("recall", "false_alarm_rate"):
                if scope and scope[name] is not None:
                    figures[f"{head}_out_of_scope_{name}"] = scope[name]
        return figures

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of the model."""
        return {"text": str(self.content["model"])}

    @property
    def details(self) -> Mapping[str, Any]:
        """The whole content, and the page as Markdown."""
        return {"evaluation": self.content, "markdown": self.page()}

    def blocks(self) -> list[RenderableType]:
        """Figures of each head as a table."""
        return [heads_table(self.figures_by_head)]

    def page(self) -> str:
        """The whole content as a Markdown page."""
        return text_quality_markdown(self.content)


@stage(
    "evaluate",
    does="measure a text model on labelled texts that it has not learned from",
    reads=(TEXTS, ANNOTATIONS),
    models=("text",),
)
def evaluate_stage(run: Run, *, model: str, heads: Sequence[str] = ()) -> Evaluated:
    """Measure a model's heads on held-out texts and store the evaluation in the registry.

    Args:
        run: The run.
        model: An alias or a digest.
        heads: Heads to measure; by default all heads of the model under ``text.heads``.

    Raises:
        ConfigError: A head is not known, or none has a labelled table.
        InputError: No text is held out, or the model has learned from the held-out texts.
        ModelError: The model cannot be used.
    """
    store = text_store(run)
    digest = store.resolve(model)
    text_model = store.load(digest)
    learned = LearnedFrom.load(store.folder(digest))
    if learned is None:
        run.note(f"model {digest} keeps no record of its texts: leakage is not looked for")
    content: dict[str, Any] = {
        "model": digest,
        "alias": model if model != digest else None,
        "as_of": run.as_of.isoformat(),
        "measured_at": dt.datetime.now(dt.UTC).isoformat(),
        "versions": versions(),
        "heads": {},
    }
    for name in _heads_to_measure(run, text_model, heads):
        with run.step(f"measure {name}"):
            held = without_learned(
                run,
                read_held_out(run, name),
                [learned],
                refuse=run.settings.text.evaluation.leakage == "refuse",
            )
            content["heads"][name] = _measured(run, text_model, text_model.heads[name], held)
            _tell(run, name, content["heads"][name])
    fingerprints = [measured["data"]["fingerprint"] for measured in content["heads"].values()]
    store.record_evaluation(digest, short_digest("".join(fingerprints).encode()), content)
    return Evaluated(content)


def answer_held_out(
    head: Head,
    vectors: Floats,
    held: HeldOut,
    *,
    abstaining: bool = True,
    any_number: bool = False,
) -> Answers:
    """The head's answers; a text that could not be embedded gets no label.

    Args:
        head: The head.
        vectors: float32 [n, dimension] of the held-out texts.
        held: The texts and their labels.
        abstaining: As for ``answers_of``.
        any_number: As for ``answers_of``.

    Raises:
        ModelError: The head gives one label and a text has several, without ``any_number``; or
            none could be embedded.
    """
    embedded = np.asarray(np.isfinite(vectors).all(axis=1))
    if not embedded.any():
        raise ModelError(f"no held-out text of {held.name} could be embedded")
    filled = np.where(embedded[:, None], vectors, 0.0).astype(np.float32)
    answers = answers_of(
        head, filled, held.labels, abstaining=abstaining, any_number=any_number
    )
    answers.predicted[~embedded] = False
    answers.probabilities[~embedded] = 0.0
    return answers


def _heads_to_measure(run: Run, model: TextModel, heads: Sequence[str]) -> list[str]:
    available = [name for name in model.heads if name in run.settings.text.heads]
    unknown = sorted(set(heads) - set(available))
    if unknown or not available:
        raise ConfigError(
            f"no labelled texts for the head {unknown[0]!r}" if unknown else "nothing to measure",
            found=f"the model has {', '.join(model.heads)}; text.heads has "
            f"{', '.join(run.settings.text.heads) or 'none'}",
            fix="name the labelled table of each head under text.heads",
        )
    return list(heads) or available


def _measured(run: Run, model: TextModel, head: Head, held: HeldOut) -> dict[str, Any]:
    vectors = embed_held_out(run, model, held.texts)
    answers = answer_held_out(head, vectors, held)
    draws, seed = run.settings.text.evaluation.resamples, run.settings.training.seed
    unknown = [label for label in answers.labels if label not in head.labels]
    if unknown:
        labels = counted(len(unknown), "label")
        run.note(f"{head.name}: {labels} of the held-out texts new to the head")
    not_embedded = len(held) - len(embedded_rows(vectors))
    if not_embedded:
        texts = counted(not_embedded, "held-out text")
        run.note(f"{head.name}: {texts} could not be embedded, and got no label")
    measured = {
        "digest": head.digest,
        "data": {
            "origin": held.origin,
            "texts": len(held),
            "not_embedded": not_embedded,
            "dropped": held.dropped,
            "fingerprint": held.fingerprint,
        },
        "multi_label": not head.rules.exclusive,
        "temperature": float(head.temperature),
        "unknown_labels": unknown,
        "figures": estimate(answers, resamples=draws, seed=seed),
        "per_class": per_class(answers, resamples=draws, seed=seed),
        "risk_coverage": risk_coverage(answers),
        "confusion": confusion(answers),
        "calibration": calibration_table(answers),
        "slices": {
            name: {
                "texts": int(rows.sum()),
                **estimate(answers, SLICE_FIGURES, among=rows, resamples=draws, seed=seed),
            }
            for name, rows in held.slices.items()
        },
        "scope": _scope(run, model, head, vectors),
    }
    return cast(dict[str, Any], as_plain(measured))


def _scope(run: Run, model: TextModel, head: Head, vectors: Floats) -> dict[str, Any] | None:
    """How well the head abstains; None if it never does and no out-of-scope text is given."""
    outside = read_out_of_scope(run, head.name)
    if head.scope is None and not outside:
        return None
    outside_vectors = embed_held_out(run, model, outside)
    figures = asdict(measure_scope(head, embedded_rows(vectors), embedded_rows(outside_vectors)))
    return figures | {"threshold": None if head.scope is None else head.scope.threshold}


def embedded_rows(vectors: Floats) -> Floats:
    """The vectors without those of texts that could not be embedded (NaN)."""
    return vectors[np.asarray(np.isfinite(vectors).all(axis=1))]


def _tell(run: Run, name: str, measured: dict[str, Any]) -> None:
    shown = []
    for figure in FIGURES:
        value = measured["figures"][figure]["value"]
        if value is not None:
            shown.append(f"{figure} {value:.3f}")
    data = measured["data"]
    run.say(f"{name}, {data['texts']:,} texts ({data['origin']}): {', '.join(shown)}")
    if leaked := data["dropped"].get("learned_from"):
        run.note(f"{name}: {leaked:,} held-out texts were learned from and are left out")
    if data["origin"] != "test":
        run.note(
            f"{name} has no test table: these texts ({data['origin']}) chose its temperature and "
            "thresholds, so its figures are a little too good"
        )
