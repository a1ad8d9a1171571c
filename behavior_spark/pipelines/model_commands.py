"""Commands that make, measure and choose text models: pretrain, finetune, evaluate and so on.

As in ``commands``, each takes settings, its own options and ``Place``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Unpack

from behavior_spark.config import Settings
from behavior_spark.errors import ModelError
from behavior_spark.io.tracking import tracked_figures
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.pipelines.text_models.annotation import annotate_stage
from behavior_spark.pipelines.text_models.evaluation import evaluate_stage, text_store
from behavior_spark.pipelines.text_models.finetuning import finetune_stage
from behavior_spark.pipelines.text_models.pretraining import pretrain_stage
from behavior_spark.pipelines.text_models.promotion import gate_stage, models_in, rollback_stage
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running, utc_today

_REASON = Option("Why, for the log of promotions.")


@command(stages=(pretrain_stage,))
def pretrain(settings: Settings, **place: Unpack[Place]) -> Result:
    """Train the encoder further on your own texts, without labels; needs ingested tables.

    --set pretrain.method=mlm guesses masked words, simcse holds a text near itself, behaviour
    holds texts of one session near each other, such as titles bought together. The result is a
    new encoder under models/encoders: name it in text.encoder, then finetune and compare. It
    has seen the texts before --as-of, so no earlier night may use it. A killed run goes on
    where it was when it is started again.
    """
    with running("pretrain", settings, **place) as run:
        pretrain_stage(run)
        return Result.of_run(run)


@command(stages=(finetune_stage, gate_stage))
def finetune(settings: Settings, **place: Unpack[Place]) -> Result:
    """Train the heads of text.heads on labelled tables, and the encoder too where asked.

    text.finetune=heads reads stored embeddings and takes seconds; few teaches the encoder by
    contrast from 8 to 64 labels a class; full trains all weights; auto chooses heads or few.
    Rates and epochs are under text.tuning. A killed run goes on where it was when it is
    started again. Ready-made tasks: --config mine.yaml --config tasks/intent.yaml.

    What comes out is the challenger. With text.promote=auto it is then judged at the gate, on
    held-out texts, and becomes the champion if it is not worse; with manual, `promote` does that.
    """
    with running("finetune", settings, **place) as run:
        trained = finetune_stage(run)
        if trained.goes_to_gate:
            gate_stage(run, trained.digest)
        return Result.of_run(run)


@command(stages=(evaluate_stage,), page=True)
def evaluate(
    settings: Settings,
    *,
    model: Annotated[str, Option("champion, challenger, or a digest from `models`.")] = CHAMPION,
    heads: Annotated[
        tuple[str, ...],
        Option("Measure this head alone. May be repeated.", flags=("--head",)),
    ] = (),
    **place: Unpack[Place],
) -> Result:
    """Measure a text model on labelled texts it has not learned from.

    Reads text.heads.NAME.test; where there is no such table, the texts that training held out,
    which makes the figures a little too good. Texts that the model has learned from are left
    out and counted (text.evaluation.leakage=refuse: an error). Accuracy, precision, recall, F1
    and AUC with 95 % intervals, calibration, confusions, slices by length, day and what
    text.heads.NAME.slices says, and, with out_of_scope, how well it abstains.
    """
    with running("evaluate", settings, **place) as run:
        found = evaluate_stage(run, model=model, heads=heads)
        note = tracked_figures(
            settings.name, digest=str(found.content["model"]), figures=found.figures
        )
        if note:
            run.note(note)
        return Result.of_run(run)


@command(stages=(gate_stage,))
def promote(
    settings: Settings,
    *,
    model: Annotated[str, Option("challenger, or a digest from `models`.")] = CHALLENGER,
    force: Annotated[bool, Option("Whatever the gate says; needs --reason.")] = False,
    reason: Annotated[str, _REASON] = "",
    **place: Unpack[Place],
) -> Result:
    """Make a model the champion if it passes the gate (text.gate).

    Challenger and champion answer the same held-out texts, which neither has learned from. The
    challenger passes where it is better, or not worse within the interval of a paired
    bootstrap, and loses no more than slice_margin in any slice. Exit code 2 if it is refused.

    Raises:
        ModelError: The gate refused it; the log says so too.
    """
    with running("promote", settings, **place) as run:
        decision = gate_stage(run, text_store(run).resolve(model), force=force, reason=reason)
        if decision.event == "refused":
            raise ModelError(
                f"the gate refused {decision.model}: the champion stays",
                found=decision.reason,
                fix="train a better one; or --force --reason 'why', which the log keeps",
            )
        return Result.of_run(run)


@command(stages=(rollback_stage,))
def rollback(
    settings: Settings,
    *,
    to: Annotated[
        str | None, Option("Digest of an earlier champion; by default the last one.")
    ] = None,
    reason: Annotated[str, _REASON] = "",
    **place: Unpack[Place],
) -> Result:
    """Make an earlier champion the champion again.

    Its embeddings and scores are in the store still: the next night reads them, and runs the
    model on texts that came since then alone.
    """
    with running("rollback", settings, **place) as run:
        rollback_stage(run, to=to, reason=reason)
        return Result.of_run(run)


@command(dated=False, answers=True)
def models(settings: Settings, **place: Unpack[Place]) -> Result:
    """List the text models of the registry, and who replaced whom. Starts no Spark."""
    found = models_in(ModelStore(Path(settings.models_path)))
    return Result("models", place.get("as_of") or utc_today(), results=(found,))


@command(stages=(annotate_stage,))
def annotate(
    settings: Settings,
    *,
    tasks: Annotated[
        tuple[str, ...],
        Option("This task of `annotate` alone. May be repeated.", flags=("--task",)),
    ] = (),
    **place: Unpack[Place],
) -> Result:
    """Label texts with a language model, for a head to learn from.

    Each task under `annotate` names a causal language model, labels and prompts. The model says
    how likely each label's words are after a prompt, so that the answer is always a label;
    confidence is the share of prompts that agree. Labels go to the table `annotations`; a text
    is annotated once by each model and set of prompts. To distil them into a head:
    text.heads.NAME: {annotated: TASK, min_confidence: 0.67}.
    """
    with running("annotate", settings, **place) as run:
        annotate_stage(run, tasks=tasks)
        return Result.of_run(run)
