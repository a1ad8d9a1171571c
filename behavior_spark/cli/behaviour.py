"""Commands about behaviour: funnels, and the check that features are blind to the future."""

from __future__ import annotations

from typing import Annotated

import typer

from behavior_spark.cli.options import AsOf, Config, Json, Output, Set
from behavior_spark.cli.running import run_command, write_page

NO_OVERRIDES: list[str] = []


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(funnel)
    app.command("check-leakage")(check_leakage)


def funnel(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, help="Days before --as-of. Default: the longest window."),
    ] = None,
    as_json: Json = False,
) -> None:
    """How many users and sessions come to each step of features.funnels.

    A step counts when it follows the step before it, in one session or within days, as the
    config says. Reads the sessions that build-features wrote, as they were known at --as-of.
    """
    run_command("funnel", config, set_, as_of, as_json, days=days)


def check_leakage(
    config: Config,
    set_: Set = NO_OVERRIDES,
    as_of: AsOf = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show that no feature sees the future, and that no model predicts noise.

    Builds the features of --as-of twice: on the tables as they are, and on a copy in which
    all that became known from that day on is deleted, changed and added to (never in what is
    stored). Every value must be the same. Then trains on shuffled labels, whose AUC must be
    0.5 but for chance, and names features that rank a target suspiciously well alone
    (leakage.suspicious_auc). Ends with exit code 1 where something leaks. Run ingest and
    build-features for --as-of before; a day with some weeks of events after it tells most.
    """
    result = run_command("check_leakage", config, set_, as_of, as_json, strict=False)
    write_page(result, output)
    from behavior_spark.pipelines.users.leakage import raise_on_leak

    raise_on_leak(result.details["leakage"])
