"""Evaluate: a text model on labelled texts that it has not learned from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import RenderableType

from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.files import short_digest
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.answers import answers_of
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.scope import measure_scope
from behavior_spark.model.measures.classification import (
    FIGURES,
    SLICE_FIGURES,
    Answers,
    as_plain,
    calibration_table,
    confusion,
    estimate,
    per_class,
)
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import TextModel, load_text_model
from behavior_spark.pipelines.text_models.held_out import (
    HeldOut,
    read_held_out,
    read_out_of_scope,
    without_learned,
)
from behavior_spark.report.quality import heads_table
from behavior_spark.report.text_quality import text_quality_markdown
from behavior_spark.runs.run import Run, versions
from behavior_spark.runs.stages import StageResult, stage

CHUNK = 2048  # texts embedded between two lines of progress


def text_store(run: Run) -> ModelStore:
    """The job's registry of text models."""
    return ModelStore(Path(run.settings.models_path))


@dataclass(frozen=True)
class Evaluated(StageResult):
    """What was measured of a text model; the registry keeps the same.

    Attributes:
        content: JSON values: ``model``, ``measured_at`` and ``heads``, each with ``figures`` and
            their intervals, ``per_class``, ``confusion``, ``calibration``, ``slices``, ``scope``.
    """

    content: Mapping[str, Any]

    @property
    def figures_by_head(self) -> dict[str, dict[str, float]]:
        """The figures of each head that are defined, by name."""
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
        """Figures of each head, its held-out and leaked texts, and how it abstains."""
        found: dict[str, float] = {}
        for head, measured in self.content["heads"].items():
            numbers = self.figures_by_head[head]
            found |= {f"{head}_{name}": number for name, number in numbers.items()}
            data, scope = measured["data"], measured["scope"]
            found[f"{head}_held_out_texts"] = data["texts"]
            found[f"{head}_leaked_texts"] = data["dropped"].get("learned_from", 0)
            for name in ("recall", "false_alarm_rate"):
                if scope and scope[name] is not None:
                    found[f"{head}_out_of_scope_{name}"] = scope[name]
        return found

    @property
    def models(self) -> Mapping[str, str]:
        """The model."""
        return {"text": str(self.content["model"])}

    @property
    def details(self) -> Mapping[str, Any]:
        """All that was measured, and the page."""
        return {"evaluation": self.content, "markdown": self.page()}

    def blocks(self) -> list[RenderableType]:
        """Figures of each head as a table."""
        return [heads_table(self.figures_by_head)]

    def page(self) -> str:
        """All that was measured, as a page."""
        return text_quality_markdown(self.content)


@stage(
    "evaluate",
    does="measure a text model on labelled texts that it has not learned from",
    models=("text",),
)
def evaluate_stage(run: Run, *, model: str, heads: Sequence[str] = ()) -> Evaluated:
    """Measure a model's heads; what was found is kept in the registry.

    Args:
        run: The run.
        model: An alias or a digest.
        heads: Of these alone; all of the model's that the config has labels for by default.

    Raises:
        ConfigError: A head is not known, or none has a labelled table.
        InputError: Nothing is held out, or what is was learned from.
        ModelError: The model cannot be used.
    """
    store = text_store(run)
    digest = store.resolve(model)
    found = load_text_model(store.folder(digest))
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
    for name in _wanted(run, found, heads):
        with run.step(f"measure {name}"):
            held = without_learned(
                run,
                read_held_out(run, name),
                [learned],
                refuse=run.settings.text.evaluation.leakage == "refuse",
            )
            content["heads"][name] = _measured(run, found, found.heads[name], held)
            _tell(run, name, content["heads"][name])
    prints = [each["data"]["fingerprint"] for each in content["heads"].values()]
    store.record_evaluation(digest, short_digest("".join(prints).encode()), content)
    return Evaluated(content)


def embed_held_out(run: Run, model: TextModel, texts: list[str]) -> Floats:
    """float32 [n, dimension] by the model's encoder; NaN rows for texts it cannot embed."""
    from behavior_spark.model.encoder.encoder import (
        cached_encoder,  # torch: others spare its seconds
    )

    device = None if run.settings.text.device == "auto" else run.settings.text.device
    encoder = cached_encoder(model.encoder_source, model.options, device)
    parts = []
    for start in range(0, len(texts), CHUNK):
        parts.append(encoder.embed(texts[start : start + CHUNK]).embeddings)
        if len(texts) > CHUNK:
            run.say(f"{min(start + CHUNK, len(texts)):,} of {len(texts):,} texts embedded")
    if not parts:
        return np.empty((0, encoder.dimension), dtype=np.float32)
    return np.concatenate(parts)


def answer_held_out(head: Head, vectors: Floats, held: HeldOut) -> Answers:
    """The head's answers; a text that could not be embedded counts as given no label.

    Raises:
        ModelError: The head gives one label and a text has several, or none could be embedded.
    """
    good = np.asarray(np.isfinite(vectors).all(axis=1))
    if not good.any():
        raise ModelError(f"no held-out text of {held.name} could be embedded")
    filled = np.where(good[:, None], vectors, 0.0).astype(np.float32)
    answers = answers_of(head, filled, held.labels)
    answers.said[~good] = False
    answers.probabilities[~good] = 0.0
    return answers


def _wanted(run: Run, model: TextModel, heads: Sequence[str]) -> list[str]:
    there = [name for name in model.heads if name in run.settings.text.heads]
    unknown = sorted(set(heads) - set(there))
    if unknown or not there:
        raise ConfigError(
            f"no labelled texts for the head {unknown[0]!r}" if unknown else "nothing to measure",
            found=f"the model has {', '.join(model.heads)}; text.heads has "
            f"{', '.join(run.settings.text.heads) or 'none'}",
            fix="name the labelled table of each head under text.heads",
        )
    return list(heads) or there


def _measured(run: Run, model: TextModel, head: Head, held: HeldOut) -> dict[str, Any]:
    vectors = embed_held_out(run, model, held.texts)
    answers = answer_held_out(head, vectors, held)
    draws, seed = run.settings.text.evaluation.resamples, run.settings.training.seed
    unknown = [label for label in answers.labels if label not in head.labels]
    if unknown:
        run.note(f"{head.name}: {len(unknown)} labels of the held-out texts are new to the head")
    found = {
        "digest": head.digest,
        "data": {
            "origin": held.origin,
            "texts": len(held),
            "dropped": held.dropped,
            "fingerprint": held.fingerprint,
        },
        "multi_label": not head.rules.exclusive,
        "temperature": float(head.temperature),
        "unknown_labels": unknown,
        "figures": estimate(answers, resamples=draws, seed=seed),
        "per_class": per_class(answers),
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
    return cast(dict[str, Any], as_plain(found))


def _scope(run: Run, model: TextModel, head: Head, vectors: Floats) -> dict[str, Any] | None:
    """How the head abstains; None for one that always answers and no text outside to show it."""
    outside = read_out_of_scope(run, head.name)
    if head.scope is None and not outside:
        return None
    found = embed_held_out(run, model, outside)
    figures = asdict(measure_scope(head, _finite(vectors), _finite(found)))
    return figures | {"threshold": None if head.scope is None else head.scope.threshold}


def _finite(vectors: Floats) -> Floats:
    return vectors[np.asarray(np.isfinite(vectors).all(axis=1))]


def _tell(run: Run, name: str, found: dict[str, Any]) -> None:
    shown = []
    for figure in FIGURES:
        value = found["figures"][figure]["value"]
        if value is not None:
            shown.append(f"{figure} {value:.3f}")
    data = found["data"]
    run.say(f"{name}, {data['texts']:,} texts ({data['origin']}): {', '.join(shown)}")
    if leaked := data["dropped"].get("learned_from"):
        run.note(f"{name}: {leaked:,} held-out texts were learned from and are left out")
    if data["origin"] != "test":
        run.note(
            f"{name} has no test table: these texts ({data['origin']}) chose its temperature and "
            "thresholds, so its figures are a little too good"
        )
