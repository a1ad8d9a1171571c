"""The command that adapts an encoder without labels."""

from __future__ import annotations

import typer

from behavior_spark.cli.options import AsOf, Config, Json, Set
from behavior_spark.cli.running import run_command

NONE: list[str] = []


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(pretrain)


def pretrain(config: Config, set_: Set = NONE, as_of: AsOf = None, as_json: Json = False) -> None:
    """Adapt the encoder to your own texts, without labels; needs ingested tables.

    --set pretrain.method=mlm guesses masked words, simcse holds a text near itself, behaviour
    holds texts of one session near each other, such as titles bought together. The result is a
    new encoder under models/encoders: name it in text.encoder, then finetune and compare. It
    has seen the texts before --as-of, so no earlier night may use it. A killed run goes on
    where it was when it is started again.
    """
    run_command("pretrain", config, set_, as_of, as_json)
