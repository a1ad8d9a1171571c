"""Commands of a text model's life: evaluate, promote, rollback, models, annotate."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from behavior_spark.cli.options import AsOf, Config, Json, Output, Set, settings_from
from behavior_spark.cli.running import run_command, write_page

NONE: list[str] = []

Reason = Annotated[str, typer.Option("--reason", help="Why, for the log of promotions.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (evaluate, promote, rollback, models, annotate):
        app.command()(command)


def evaluate(
    config: Config,
    set_: Set = NONE,
    as_of: AsOf = None,
    model: Annotated[
        str, typer.Option("--model", help="champion, challenger, or a digest from `models`.")
    ] = "champion",
    heads: Annotated[
        list[str], typer.Option("--head", help="Measure this head alone. May be repeated.")
    ] = NONE,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Measure a text model on labelled texts it has not learned from.

    Reads text.heads.NAME.test; where there is no such table, the texts that training held out,
    which makes the figures a little too good. Texts that the model has learned from are left
    out and counted (text.evaluation.leakage=refuse: an error). Accuracy, precision, recall, F1
    and AUC with 95 % intervals, calibration, confusions, slices by length, day and what
    text.heads.NAME.slices says, and, with out_of_scope, how well it abstains.
    """
    result = run_command("evaluate", config, set_, as_of, as_json, model=model, heads=heads)
    write_page(result, output)
    if output:
        typer.echo(f"wrote {output}", err=True)


def promote(
    config: Config,
    set_: Set = NONE,
    as_of: AsOf = None,
    model: Annotated[
        str, typer.Option("--model", help="challenger, or a digest from `models`.")
    ] = "challenger",
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the gate says; needs --reason.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make a model the champion if it passes the gate (text.gate).

    Challenger and champion answer the same held-out texts, which neither has learned from. The
    challenger passes where it is better, or not worse within the interval of a paired
    bootstrap, and loses no more than slice_margin in any slice. Exit code 2 if it is refused.
    """
    run_command("promote", config, set_, as_of, as_json, model=model, force=force, reason=reason)


def rollback(
    config: Config,
    set_: Set = NONE,
    as_of: AsOf = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Digest of an earlier champion; by default the last one."),
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make an earlier champion the champion again.

    Its embeddings and scores are in the store still: the next night reads them, and runs the
    model on texts that came since then alone.
    """
    run_command("rollback", config, set_, as_of, as_json, to=to, reason=reason)


def models(config: Config, set_: Set = NONE, as_json: Json = False) -> None:
    """List the text models of the registry, and who replaced whom."""
    settings = settings_from(config, set_)
    from behavior_spark import pipelines
    from behavior_spark.cli.showing import print_json, rows_table

    result, console = pipelines.models(settings), Console()
    found = [
        {
            "model": each["model"],
            "alias": ", ".join(each["aliases"]),
            "made": str(each["created_at"])[:16].replace("T", " "),
            "trained through": each["trained_through"],
            **each["figures"],
        }
        for each in result.details["models"]
    ]
    names = list(dict.fromkeys(name for row in found for name in row))
    console.print(rows_table([{name: row.get(name) for name in names} for row in found],
                             title="text models"))  # fmt: skip
    console.print(
        rows_table(
            [
                {"at": each["at"][:16].replace("T", " "), "event": each["event"],
                 "model": each["model"], "replaced": each["replaced"], "by": each["by"],
                 "reason": each["reason"]}
                for each in result.details["promotions"]
            ],
            title="promotions",
        )
    )  # fmt: skip
    if as_json:
        print_json(result)


def annotate(
    config: Config,
    set_: Set = NONE,
    as_of: AsOf = None,
    tasks: Annotated[
        list[str], typer.Option("--task", help="This task of `annotate` alone. May be repeated.")
    ] = NONE,
    as_json: Json = False,
) -> None:
    """Label texts with a language model, for a head to learn from.

    Each task under `annotate` names a causal language model, labels and prompts. The model says
    how likely each label's words are after a prompt, so that the answer is always a label;
    confidence is the share of prompts that agree. Labels go to the table `annotations`; a text
    is annotated once by each model and set of prompts. To distil them into a head:
    text.heads.NAME: {annotated: TASK, min_confidence: 0.67}.
    """
    run_command("annotate", config, set_, as_of, as_json, tasks=tasks)
