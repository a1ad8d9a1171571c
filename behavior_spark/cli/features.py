"""``behavior-spark features``: list the features that a config gives."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from behavior_spark.cli.options import AsOf, Config, Json, Set, settings_from
from behavior_spark.config.days import day_from

NO_OVERRIDES: list[str] = []

features_app = typer.Typer(help="Look at the features that a config gives.", no_args_is_help=True)


@features_app.callback()
def _features() -> None: ...


@features_app.command()
def describe(
    config: Config, set_: Set = NO_OVERRIDES, as_of: AsOf = None, as_json: Json = False
) -> None:
    """List every feature: name, type, group, meaning, source table and window.

    Reads no table and starts no Spark. Features of texts are those of the text model that a
    night of --as-of would use.
    """
    day, settings = day_from(as_of), settings_from(config, set_)
    from behavior_spark.pipelines.users.describing import describe_features

    described = describe_features(settings, as_of=day)
    if as_json:
        typer.echo(json.dumps([feature.described() for feature in described.features]))
        return
    table = Table(title=f"{len(described.features)} features", title_justify="left")
    for name in ("name", "type", "group", "window", "source"):
        table.add_column(name, overflow="fold", no_wrap=name in ("name", "type"))
    table.add_column("meaning", overflow="fold", ratio=1)
    for feature in described.features:
        window = f"{feature.window} days" if feature.window else "all"
        table.add_row(
            feature.name, feature.data_type.simpleString(), feature.group, window,
            feature.source, feature.comment,
        )  # fmt: skip
    console = Console()
    console.print(table)
    for note in described.notes:
        console.print(f"note: {note}", markup=False)
