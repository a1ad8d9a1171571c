"""The command line ``behavior-spark``."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from behavior_spark import __version__
from behavior_spark.cli.features import features_app
from behavior_spark.cli.lazy import LazyGroup
from behavior_spark.cli.options import Json
from behavior_spark.errors import BehaviorError

_EXTRA_OF = {
    "pyspark": "spark", "delta": "spark", "torch": "model", "transformers": "model",
    "safetensors": "model", "xgboost": "model", "sklearn": "model", "scipy": "model",
    "threadpoolctl": "model", "grpc": "connect", "altair": "report", "vl_convert": "report",
    "jinja2": "report", "openpyxl": "xlsx",
}  # fmt: skip

app = typer.Typer(
    name="behavior-spark",
    cls=LazyGroup,
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
    """Entry point. Exit codes: 0 done, 2 an error in input, config, model or setup, 1 any other."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command, show its error in at most three lines, and return the exit code."""
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
            f"  fix: in the checkout: pip install '.[{extra}]'", markup=False, style="red",
        )  # fmt: skip
        return 2
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()  # a usage error; the classes of Typer's bundled Click are private
            return 2
        # A stack trace may contain rows, so it is shown only on request.
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
    """Write a commented config from what your tables hold."""
    from behavior_spark.pipelines.logs.starting import write_config

    written = write_config(events=events, texts=texts, items=items, output=output, force=force)
    config = shlex.quote(str(output))
    typer.echo(f"wrote {output}\nnext: read it, then")
    typer.echo(f"  behavior-spark check --config {config}")
    if written.as_of is not None:
        typer.echo(f"  behavior-spark nightly --config {config} --as-of {written.as_of}")


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
def doctor() -> None:
    """Say what this machine has for the job: JDK, Spark, Delta, models, cores, GPU."""
    from behavior_spark.cli.diagnosis import diagnose

    raise typer.Exit(diagnose(Console()))
