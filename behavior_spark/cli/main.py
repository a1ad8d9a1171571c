"""The command line: one command a pipeline, settings in, exit code out."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from behavior_spark import __version__
from behavior_spark.cli import adaptation, behaviour, lifecycle
from behavior_spark.cli.features import features_app
from behavior_spark.cli.options import AsOf, Config, Json, Output, Set, day_from, settings_from
from behavior_spark.cli.running import run_command, write_page
from behavior_spark.errors import BehaviorError

NO_OVERRIDES: list[str] = []
NO_MODELS: list[str] = []
_EXTRA_OF = {
    "pyspark": "spark", "delta": "spark", "torch": "model", "transformers": "model",
    "safetensors": "model", "xgboost": "model", "sklearn": "model", "scipy": "model",
    "threadpoolctl": "model", "grpc": "connect",
}  # fmt: skip

app = typer.Typer(
    name="behavior-spark",
    help="Understand and predict what users do, with transformers, on Spark.\n\n"
    "Start with `behavior-spark demo`, or `behavior-spark init` for your own tables; then "
    "`check`, then `nightly` every night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(features_app, name="features")


def main() -> None:
    """Entry point: exit code 0 done, 2 bad input or config, 1 anything else."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; errors are shown in three lines or fewer."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except BehaviorError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, style="red")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except typer.Exit as ended:
        return ended.exit_code
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"error: {error.name} is not installed\n"
            f"  fix: pip install 'behavior-spark[{extra}]'", markup=False, style="red",
        )  # fmt: skip
        return 2
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()  # a usage error: Typer brings its own Click, whose classes are private
            return 2
        # A stack trace may quote rows: it is for those who ask.
        console = Console(stderr=True, soft_wrap=True)
        if os.environ.get("BEHAVIOR_DEBUG", "") not in ("", "0"):
            console.print(traceback.format_exc(), markup=False)
        where = traceback.extract_tb(error.__traceback__)[-1]
        console.print(
            f"error: {type(error).__name__} in {Path(where.filename).name}:{where.lineno}\n"
            "  this is a fault of the program; BEHAVIOR_DEBUG=1 shows the whole trace",
            markup=False, style="red",
        )  # fmt: skip
        return 1
    return code if isinstance(code, int) else 0


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"behavior-spark {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


@app.command()
def init(
    events: Annotated[str, typer.Option(help="Path or catalog.schema.table of your event log.")],
    texts: Annotated[str | None, typer.Option(help="Likewise, of your texts.")] = None,
    items: Annotated[str | None, typer.Option(help="Likewise, of your items.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "conf/mine.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented config from the schemas of your tables."""
    from behavior_spark.pipelines.logs.starting import write_config

    write_config(events=events, texts=texts, items=items, output=output, force=force)
    typer.echo(f"wrote {output}\nnext: read it, then behavior-spark check --config {output}")


@app.command()
def check(config: Config, set_: Set = NO_OVERRIDES, as_json: Json = False) -> None:
    """Validate a config against its tables; show five mapped rows of each. Starts no model."""
    run_command("check", config, set_, None, as_json)


@app.command()
def demo(
    users: Annotated[int, typer.Option(min=20, help="Users of the generated shop.")] = 400,
    days: Annotated[int, typer.Option(min=100, help="Days of the generated log.")] = 150,
    seed: Annotated[int, typer.Option(help="Same seed, same shop.")] = 7,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for data and tables.")] = (
        Path("build/demo")
    ),
    generate_only: Annotated[
        bool, typer.Option("--generate-only", help="Write the raw logs and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Generate a shop's logs and run everything on them: fine-tune, nightly, report."""
    from behavior_spark.cli.demonstration import run_demo

    run_demo(
        users=users, days=days, seed=seed, output=output, generate_only=generate_only,
        as_json=as_json,
    )  # fmt: skip


@app.command()
def ingest(
    config: Config, set_: Set = NO_OVERRIDES, as_of: AsOf = None, as_json: Json = False
) -> None:
    """Raw tables to clean events, texts and items; refused rows go to quarantine."""
    run_command("ingest", config, set_, as_of, as_json)


@app.command()
def finetune(
    config: Config, set_: Set = NO_OVERRIDES, as_of: AsOf = None, as_json: Json = False
) -> None:
    """Train the heads of text.heads on labelled tables, and the encoder too where asked.

    text.finetune=heads reads stored embeddings and takes seconds; few teaches the encoder by
    contrast from 8 to 64 labels a class; full trains all weights; auto chooses heads or few.
    Rates and epochs are under text.tuning. A killed run goes on where it was when it is
    started again. Ready-made tasks: --config mine.yaml --config tasks/intent.yaml.

    What comes out is the challenger. With text.promote=auto it is then judged at the gate, on
    held-out texts, and becomes the champion if it is not worse; with manual, `promote` does that.
    """
    run_command("finetune", config, set_, as_of, as_json)


@app.command("score-texts")
def score_texts(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    rescore: Annotated[
        bool,
        typer.Option("--rescore", help="Score every text again, known or not."),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try the texts whose scoring failed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Embed and classify every distinct text that was not scored before.

    A text is paid for once: its embedding is kept by the digest of the text and of the
    encoder, and heads read embeddings. A killed run loses the last commit_seconds at most;
    start it again.
    """
    again = "all" if rescore else "failed" if retry_failed else "nothing"
    run_command("score_texts", config, set_, as_of, as_json, rescore=again)


@app.command("clean-scores")
def clean_scores(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    unused_days: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Also remove scores of texts that nobody wrote or read in the N days before "
            "--as-of. A text in use, an item's title and a score younger than N days stay. "
            "Choose N longer than training looks back. With text.score_days: N in the "
            "config too, or the next score-texts scores again what tables texts and items hold.",
        ),
    ] = None,
    other_models: Annotated[
        bool,
        typer.Option(
            "--other-models",
            help="Also remove scores of every model but those in use: the night's, those that "
            "an alias names, the champion before (for `rollback`), the configured encoder. Not "
            "where another config with models of its own shares the warehouse.",
        ),
    ] = False,
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="DIGEST",
            help="Also remove scores of this encoder or head (16 characters). May be repeated.",
        ),
    ] = NO_MODELS,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="Also delete files of removed rows from the disk, when they are older than "
            "Delta's retention (7 days). Until then removed rows stay readable by time travel.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would go; write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove duplicate scores of texts, and what else you ask for; merge small files.

    Without options only copies go: of several rows of one text and model the newest stays.
    Whatever else goes must be computed again if it is ever wanted, so try --dry-run first.
    Not beside a score-texts that runs: one of the two would stop and have to be started again.
    """
    run_command(
        "clean_scores", config, set_, as_of, as_json, unused_days=unused_days,
        other_models=other_models, models=models, vacuum=vacuum, dry_run=dry_run,
    )  # fmt: skip


@app.command("build-features")
def build_features(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM-DD",
            help="Also build earlier days, back to this one, in one job; each sees what had "
            "happened and had arrived by then. A text model that learned from labels of the "
            "first day or later is left out of all of them.",
        ),
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --from: days between them.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Features of every user as of a day, blind to what came later.

    Reads what arrived since the last build and the stored tiles (activity_days) of the windows;
    all history only the first time, or after event types, conditions or targets were changed.
    """
    run_command(
        "build_features", config, set_, as_of, as_json,
        first=day_from(first, option="--from"), every=every,
    )  # fmt: skip


@app.command("train-propensity")
def train_propensity(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Train each target's model on earlier as-of days and check it on later ones."""
    run_command("train_propensity", config, set_, as_of, as_json)


@app.command()
def predict(
    config: Config, set_: Set = NO_OVERRIDES, as_of: AsOf = None, as_json: Json = False
) -> None:
    """Calibrated probability, decile and reasons for every user and target."""
    run_command("predict", config, set_, as_of, as_json)


@app.command()
def profile(
    config: Config, set_: Set = NO_OVERRIDES, as_of: AsOf = None, as_json: Json = False
) -> None:
    """One row per user for people: intent, emotion, preference, segment, next action."""
    run_command("profile", config, set_, as_of, as_json)


@app.command()
def nightly(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train even where a valid model exists.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The whole night: ingest, score-texts, build-features, train-propensity, predict, profile."""
    run_command("nightly", config, set_, as_of, as_json, retrain=retrain)


@app.command()
def report(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Predictions of a day against what happened since, with intervals and baselines."""
    result = run_command("report", config, set_, as_of, as_json)
    write_page(result, output)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="Spark SQL; every table is a view of its name.")],
    config: Config,
    set_: Set = NO_OVERRIDES,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Query the output tables with Spark SQL."""
    settings = settings_from(config, set_)
    from behavior_spark.cli.showing import print_json, show_rows
    from behavior_spark.pipelines import commands

    result = commands.sql(settings, query, limit=limit, console=Console(stderr=True, quiet=True))
    rows = [row.asDict() for row in result.details["rows"]]
    show_rows(rows, Console())
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        result.details["rows"] = rows
        print_json(result)


@app.command()
def doctor() -> None:
    """Say what this machine has for the job: JDK, Spark, Delta, models, cores, GPU."""
    from behavior_spark.cli.diagnosis import diagnose

    raise typer.Exit(diagnose(Console()))


adaptation.register(app)
behaviour.register(app)
lifecycle.register(app)
