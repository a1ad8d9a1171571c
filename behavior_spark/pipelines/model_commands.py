"""Commands for text models: pretrain, finetune, evaluate, promote and so on.

As in ``commands``, each takes settings, its own options and ``Place``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Unpack

from behavior_spark.config import Settings
from behavior_spark.errors import ModelError
from behavior_spark.io.tracking import tracked_figures
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.pipelines.text_models.annotation import annotate_stage
from behavior_spark.pipelines.text_models.evaluation import evaluate_stage, text_store
from behavior_spark.pipelines.text_models.finetuning import finetune_stage
from behavior_spark.pipelines.text_models.label_check import check_labels_stage
from behavior_spark.pipelines.text_models.models_listed import models_in
from behavior_spark.pipelines.text_models.pretraining import pretrain_stage
from behavior_spark.pipelines.text_models.promotion import gate_stage, rollback_stage
from behavior_spark.pipelines.text_models.words import explain_texts, read_lines, stored_texts_stage
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running, utc_today

_REASON = Option("Why, for the log of promotions.")


@command(stages=(pretrain_stage,))
def pretrain(settings: Settings, **place: Unpack[Place]) -> Result:
    """Train the encoder further on your own texts, without labels; needs ingested tables.

    --set pretrain.method=mlm learns to predict masked words; simcse, to embed a text alike
    under different dropout; behaviour, to embed texts of one session alike, such as titles
    bought together. The result is a new encoder under models/encoders: name it in text.encoder,
    then finetune and compare. It has learned from the texts before --as-of, so no earlier night
    may use it. Start a killed run again: it continues from its checkpoint.
    """
    with running("pretrain", settings, **place) as run:
        pretrain_stage(run)
        return Result.of_run(run)


@command(stages=(check_labels_stage,))
def check_labels(
    settings: Settings,
    *,
    heads: Annotated[
        tuple[str, ...],
        Option("Labels of this head alone. May be repeated.", flags=("--head",)),
    ] = (),
    output: Annotated[
        Path | None,
        Option(
            "List them in this file: .csv, .xlsx or .parquet.",
            flags=("--output", "-o"),
            metavar="FILE",
        ),
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """Find labels of text.heads that contradict each other or are likely wrong; trains nothing.

    Two findings. conflict: equal texts have different labels. likely_wrong: a head that has not
    learned from the text is surer of another label (confident learning); only where each text has
    one label, and for labels with eight texts or more. All parts are read, test too. Hard texts
    look like wrong labels: read before you change one. Texts in the file are cleaned, with
    personal data masked. Vectors are kept for finetune.
    """
    with running("check-labels", settings, record=False, **place) as run:
        check_labels_stage(run, heads, output=output)
        return Result.of_run(run)


@command(stages=(finetune_stage, gate_stage))
def finetune(settings: Settings, **place: Unpack[Place]) -> Result:
    """Train the heads of text.heads on labelled tables, and the encoder too where asked.

    text.finetune=heads reads stored embeddings and takes seconds; few fine-tunes the encoder by
    contrast from 8 to 64 labels a class; full trains all weights; auto chooses heads or few.
    Rates and epochs are under text.tuning. Start a killed run again: it continues from its
    checkpoint. Ready-made tasks: --config mine.yaml --config tasks/intent.yaml.

    The result is the challenger. With text.promote=auto the gate then compares it with the
    champion on held-out texts, and it becomes the champion if it is not worse; with manual,
    `promote` does that.
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

    Reads text.heads.NAME.test; without such a table, the texts that training held out, which
    makes the figures a little too good. Texts that the model has learned from are left out and
    counted (with text.evaluation.leakage=refuse they are an error). Shows accuracy, precision,
    recall, F1 and AUC with 95 % intervals; calibration; confusions; slices by length, month and
    text.heads.NAME.slices; and, with out_of_scope, how well the head abstains.
    """
    with running("evaluate", settings, **place) as run:
        evaluated = evaluate_stage(run, model=model, heads=heads)
        note = tracked_figures(
            settings.name, digest=str(evaluated.content["model"]), figures=evaluated.figures
        )
        if note:
            run.note(note)
        return Result.of_run(run)


@command(stages=(gate_stage,))
def promote(
    settings: Settings,
    *,
    model: Annotated[str, Option("challenger, or a digest from `models`.")] = CHALLENGER,
    force: Annotated[bool, Option("Promote without asking the gate; needs --reason.")] = False,
    reason: Annotated[str, _REASON] = "",
    **place: Unpack[Place],
) -> Result:
    """Make a model the champion if it passes the gate (text.gate).

    Challenger and champion label the same held-out texts, which neither has learned from. The
    challenger passes if it is better, or not worse within the interval of a paired bootstrap,
    and loses at most slice_margin in each slice. Exit code 2 if it is refused.

    Raises:
        ModelError: The gate refused it; the refusal is logged too.
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

    Its embeddings and scores are still in the store: the next night reads them, and runs the
    model only on texts that came since then.
    """
    with running("rollback", settings, **place) as run:
        rollback_stage(run, to=to, reason=reason)
        return Result.of_run(run)


@command(dated=False, answers=True)
def models(settings: Settings, **place: Unpack[Place]) -> Result:
    """List the text models of the registry, and who replaced whom. Starts no Spark."""
    listed = models_in(ModelStore(settings.models_path))
    return Result("models", place.get("as_of") or utc_today(), results=(listed,))


@command(stages=(stored_texts_stage,), dated=False, answers=True)
def words(
    settings: Settings,
    head: Annotated[str, Option("The head that labels them.", argument=True)],
    *,
    texts: Annotated[
        tuple[str, ...], Option("A text. May be repeated.", flags=("--text",), metavar="TEXT")
    ] = (),
    file: Annotated[Path | None, Option("A file of texts, one a line.", metavar="FILE")] = None,
    where: Annotated[
        str | None, Option("Stored texts: a condition on the table texts.", metavar="SQL")
    ] = None,
    limit: Annotated[int, Option("Most stored texts, the newest first.", least=1)] = 20,
    label: Annotated[
        str | None, Option("The label to explain; by default of each text its most probable one.")
    ] = None,
    top: Annotated[int, Option("Most words shown in each direction.", least=1)] = 3,
    **place: Unpack[Place],
) -> Result:
    """Show which words of texts raise and lower a head's label.

    Texts are cleaned as in a night. Each word is left out in turn, for all texts together; its
    effect is how far the log-odds of the label fall without it. --json gives every word. It says
    what the head goes by, and not why somebody wrote it. Only --where starts Spark.
    """
    given = [*texts, *(read_lines(file) if file else [])]
    stored: Mapping[str, str] = {}
    notes: list[str] = []
    if where is not None:
        with running("words", settings, record=False, **place) as run:
            stored = stored_texts_stage(run, where, limit).by_id
            notes = run.notes
    explained, about = explain_texts(settings, head, given, label=label, top=top, stored=stored)
    day = place.get("as_of") or utc_today()
    return Result("words", day, results=(explained,), notes=(*notes, *about))


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

    Each task under `annotate` names a causal language model, labels and prompts. The model
    computes how likely each label's words are after a prompt, so that the answer is always a
    label; confidence is the share of prompts that agree. Labels are written to the table
    `annotations`; each model and set of prompts annotates a text once. To distil them into a
    head: text.heads.NAME: {annotated: TASK, min_confidence: 0.67}.
    """
    with running("annotate", settings, **place) as run:
        annotate_stage(run, tasks=tasks)
        return Result.of_run(run)
