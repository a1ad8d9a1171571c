"""The demo: generate a shop's logs, fine-tune, run a night on them, and report on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import LocalSpark, Settings, load_settings
from behavior_spark.demo.generate import DemoLayout, generate_demo
from behavior_spark.io.session import spark_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import audience_commands, commands, model_commands, report_commands
from behavior_spark.pipelines.uses.abuse_truth import AbuseMeasured, measure_abuse
from behavior_spark.pipelines.uses.alert_truth import AlertsMeasured, measure_alerts
from behavior_spark.pipelines.uses.service_truth import ServiceMeasured, measure_service
from behavior_spark.report.page import page_packages_missing
from behavior_spark.runs.commands import Place
from behavior_spark.runs.result import Result


@dataclass(frozen=True)
class DemoResult:
    """What the demo did.

    Attributes:
        layout: Paths and days of the generated logs.
        settings: Settings of ``conf/demo.yaml`` for the demo's folder.
        steps: Result of each command, in order: finetune, nightly, ingest, audiences (measured),
            report.
        alerts: Alerts against what was planted; None without alerts in the settings.
        abuse: Alerts about texts against the spam that was planted; None without either.
        service: The service queue against what texts mean; None without it in the settings.
    """

    layout: DemoLayout
    settings: Settings
    steps: dict[str, Result]
    alerts: AlertsMeasured | None = None
    abuse: AbuseMeasured | None = None
    service: ServiceMeasured | None = None


def demo_settings(output: Path, *, overrides: list[str] | None = None) -> Settings:
    """Settings of ``conf/demo.yaml`` for a demo folder."""
    environment = {**os.environ, "DEMO_ROOT": str(output)}
    return load_settings(["demo.yaml"], overrides=overrides or [], environment=environment)


def demo(
    output: Path,
    *,
    users: int = 400,
    days: int = 150,
    seed: int = 7,
    generate_only: bool = False,
    overrides: list[str] | None = None,
    spark: SparkSession | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Generate the logs, fine-tune on their labels, run a night, and report on its predictions.

    Args:
        output: Folder for data and tables.
        users: Number of users.
        days: Days of the log; the night is 30 days before its end.
        seed: The same seed generates the same logs.
        generate_only: Stop after the raw logs.
        overrides: ``key=value`` settings over ``conf/demo.yaml``.
        spark: Session; the platform's or a local one by default.
        console: For progress; standard error by default.
    """
    console = console or Console(stderr=True)
    settings = demo_settings(output, overrides=overrides)
    steps: dict[str, Result] = {}
    has_page = page_packages_missing() is None
    models = () if generate_only else settings.worker_models(language=False)
    local = settings.spark or LocalSpark()
    with spark_session(local, name="demo", given=spark, models=models) as session:
        console.print(f"[bold]generating[/] {users:,} users over {days} days")
        layout = generate_demo(
            session, str((output / "data").absolute()), users=users, days=days, seed=seed,
            progress=lambda line: console.print(f"  {line}", markup=False),
            incidents=settings.alerts is not None, meanings=settings.service is not None,
        )  # fmt: skip
        if generate_only:
            return DemoResult(layout, settings, steps)
        place: Place = {"spark": session, "console": console, "as_of": layout.as_of}
        later: Place = {"spark": session, "console": console, "as_of": layout.end}
        plan: list[tuple[str, str, Callable[[], Result]]] = [
            ("finetune", "fine-tuning on labelled texts",
             lambda: model_commands.finetune(settings, **place)),
            ("nightly", f"the night of {layout.as_of}",
             lambda: commands.nightly(settings, **place)),
            ("ingest", f"thirty days later: what arrived until {layout.end}",
             lambda: commands.ingest(settings, **later)),
            ("audiences", "what became of the audiences",
             lambda: audience_commands.audiences(settings, measure_only=True, **later)),
            ("report", "predictions against what happened",
             lambda: report_commands.report(settings, html=has_page, **place)),
        ]  # fmt: skip
        for name, title, step in plan:
            console.print(f"[bold]{title}[/]")
            steps[name] = step()
        measured = abuse = served = None
        warehouse = Warehouse(session, settings.warehouse)
        if settings.service is not None:
            served = measure_service(warehouse, layout, settings.service)
        if settings.alerts is not None:
            measured = measure_alerts(warehouse, layout, days=settings.alerts.days)
            if settings.sources.texts:
                abuse = measure_abuse(warehouse, layout, settings.alerts)
    return DemoResult(layout, settings, steps, measured, abuse, served)
