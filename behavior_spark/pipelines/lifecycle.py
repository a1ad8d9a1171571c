"""The commands of a text model's life as functions: evaluate, promote, rollback, models, annotate.

Beside its own options each takes ``as_of``, ``spark`` and ``console``, as ``running`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from behavior_spark.config import Settings
from behavior_spark.errors import ModelError
from behavior_spark.io.tracking import tracked_figures
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.pipelines.commands import Result, result_of
from behavior_spark.pipelines.text_models.annotation import annotate_stage
from behavior_spark.pipelines.text_models.evaluation import evaluate_stage, text_store
from behavior_spark.pipelines.text_models.promotion import gate_stage, models_in, rollback_stage
from behavior_spark.report.text_quality import text_quality_markdown
from behavior_spark.runs.run import running, utc_today


def evaluate(
    settings: Settings, *, model: str = CHAMPION, heads: Sequence[str] = (), **place: Any
) -> Result:
    """Measure a text model on labelled texts it has not learned from.

    Args:
        settings: The job's settings.
        model: ``champion``, ``challenger`` or a digest.
        heads: These alone; all that ``text.heads`` has labels for by default.
        place: ``as_of``, ``spark`` and ``console``.

    Returns:
        Details ``evaluation`` (JSON values) and ``markdown`` (the same as a page).
    """
    with running("evaluate", settings, **place) as run:
        content = evaluate_stage(run, model=model, heads=heads)
        note = tracked_figures(settings.name, digest=content["model"], figures=run.figures)
        if note:
            run.note(note)
        page = text_quality_markdown(content)
        return result_of(run, details={"evaluation": content, "markdown": page})


def promote(
    settings: Settings,
    *,
    model: str = CHALLENGER,
    force: bool = False,
    reason: str = "",
    **place: Any,
) -> Result:
    """Make a model the champion if it passes the gate.

    Args:
        settings: The job's settings.
        model: ``challenger`` or a digest.
        force: Whatever the gate says; it needs a reason.
        reason: For the log.
        place: ``as_of``, ``spark`` and ``console``.

    Raises:
        ModelError: The gate refused it; the log says so too.
    """
    with running("promote", settings, **place) as run:
        digest = text_store(run).resolve(model)
        found = gate_stage(run, digest, force=force, reason=reason)
        if found["event"] == "refused":
            raise ModelError(
                f"the gate refused {digest}: the champion stays",
                found=found["reason"],
                fix="train a better one; or --force --reason 'why', which the log keeps",
            )
        return result_of(run, details=found)


def rollback(
    settings: Settings, *, to: str | None = None, reason: str = "", **place: Any
) -> Result:
    """Make an earlier champion the champion again: its scores are in the store.

    Args:
        settings: The job's settings.
        to: Digest of an earlier champion; the one before the present one by default.
        reason: For the log.
        place: ``as_of``, ``spark`` and ``console``.
    """
    with running("rollback", settings, **place) as run:
        return result_of(run, details=rollback_stage(run, to=to, reason=reason))


def models(settings: Settings, **place: Any) -> Result:
    """Every text model in the registry, its aliases and figures, and who replaced whom.

    Starts no Spark.
    """
    found = models_in(ModelStore(Path(settings.models_path)))
    day = place.get("as_of") or utc_today()
    return Result("models", day, "", 0.0, {}, [], {}, {}, {}, [], details=found)


def annotate(settings: Settings, *, tasks: Sequence[str] = (), **place: Any) -> Result:
    """Label texts with a language model, for ``text.heads.<name>.annotated`` to learn from.

    Args:
        settings: The job's settings.
        tasks: Names under ``annotate``; all of them by default.
        place: ``as_of``, ``spark`` and ``console``.

    Returns:
        Details ``labels``: for each task how many texts have each label.
    """
    with running("annotate", settings, **place) as run:
        return result_of(run, details={"labels": annotate_stage(run, tasks=tasks)})


__all__ = ["annotate", "evaluate", "models", "promote", "rollback"]
