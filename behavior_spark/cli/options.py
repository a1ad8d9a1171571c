"""Options that all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from behavior_spark.config import Settings, load_settings

Config = Annotated[
    list[str],
    typer.Option(
        "--config",
        "-c",
        help="YAML file; give it again for overlays, later ones win. "
        "Names such as online_retail.yaml find the configs that ship with the package.",
    ),
]
Set = Annotated[
    list[str],
    typer.Option("--set", help="Override one key: --set text.max_length=256. May be repeated."),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="The night, YYYY-MM-DD: only what was known before its 00:00 UTC is "
        "seen. Default: today (UTC).",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on the last line of output.")
]

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Also write it to this file.")]


def settings_from(config: list[str], overrides: list[str]) -> Settings:
    """Load and validate settings from config files and ``key=value`` overrides."""
    return load_settings(config, overrides=overrides)
