"""The command line: help that teaches, exit codes, JSON, jobs that raise."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from behavior_spark.cli.job import run_job
from behavior_spark.cli.main import run
from behavior_spark.errors import ConfigError
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.report.tables import FittedRows

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def demo_options(demo_night: DemoResult, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DEMO_ROOT", str(Path(demo_night.layout.root).parent))
    return ["--config", "conf/demo.yaml"]


def test_help_names_every_command_that_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("init", "check", "demo", "ingest", "finetune", "score-texts", "clean-scores",
                    "build-features", "features", "train-propensity", "predict", "profile",
                    "nightly", "report", "sql", "doctor", "pretrain", "evaluate", "promote",
                    "rollback", "models", "annotate", "funnel", "check-leakage",
                    "predict-items", "words"):  # fmt: skip
        assert command in shown
    assert "forget" not in shown


def test_a_command_that_runs_no_model_does_not_wait_for_torch() -> None:
    code = (
        "import sys; import behavior_spark.pipelines; "
        "print(*[m for m in ('torch', 'transformers', 'xgboost') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nightly", "--config", "no-such-file.yaml"],
        ["nightly", "--config", "conf/demo.yaml", "--set", "targts.x=1"],
        ["nightly", "--config", "conf/demo.yaml", "--as-of", "yesterday"],
        ["nightly"],
        ["no-such-command"],
    ],
)
def test_bad_config_exits_with_2_and_says_so_in_few_lines(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.strip() and "Traceback" not in shown


def test_a_job_has_the_exit_codes_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    monkeypatch.setattr(sys, "argv", ["nightly.py", "--config", "no-such-file.yaml"])
    with pytest.raises(SystemExit) as ended:
        run_job("nightly")
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and "Traceback" not in shown
    monkeypatch.setattr(sys, "argv", ["nightly.py", "--help"])
    run_job("nightly")


def test_a_job_raises_where_its_process_is_another_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    monkeypatch.setattr(sys, "argv", ["nightly.py", "--config", "no-such-file.yaml"])
    with pytest.raises(ConfigError):
        run_job("nightly")


def test_jobs_are_fifteen_lines_at_most_and_name_a_command() -> None:
    jobs = sorted((ROOT / "jobs").glob("*.py"))
    assert len(jobs) >= 9
    for job in jobs:
        text = job.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 15
        # jobs/ is first on a job's path: `profile.py` there would hide Python's own module.
        assert job.stem not in sys.stdlib_module_names
        command = job.stem.removesuffix("_users").replace("_", "-")
        assert f'run_job("{command}")' in text


def test_json_is_the_last_line_and_holds_the_rows(
    spark: object, demo_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT target, count(*) AS users FROM user_propensity GROUP BY target"
    assert run(["sql", query, *demo_options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {row["target"] for row in result["details"]["rows"]} == {
        "purchase_30d", "cancel_30d", "kitchen_30d"
    }  # fmt: skip


def test_a_faulty_query_is_one_clear_error(
    spark: object, demo_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sql", "SELECT no_such FROM user_propensity", *demo_options]) == 2
    shown = capsys.readouterr().err
    assert "no_such" in shown and "Traceback" not in shown and len(shown.splitlines()) <= 4


def test_check_prints_mapped_rows_and_speaks_of_no_row_that_is_in_order(
    spark: object, demo_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", *demo_options, "--json"]) == 0
    shown = capsys.readouterr().out
    assert "event_type" in shown and "items" in shown
    # The shop's log has faulty rows on purpose; of them alone it speaks.
    notes = json.loads(shown.strip().splitlines()[-1])["notes"]
    assert notes and all("would be refused" in n or "usable time" in n for n in notes)


def test_report_is_written_as_markdown(
    spark: object, demo_night: DemoResult, demo_options: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "report.md"
    as_of = demo_night.layout.as_of.isoformat()
    assert run(["report", *demo_options, "--as-of", as_of, "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "## purchase_30d" in text and "AUC of recency alone" in text


def test_what_init_writes_loads_and_maps_what_it_recognises(
    spark: object, demo_night: DemoResult, tmp_path: Path
) -> None:
    from behavior_spark.config import load_settings

    page = tmp_path / "mine.yaml"
    arguments = ["init", "--events", demo_night.layout.events, "--texts", demo_night.layout.texts,
                 "--items", demo_night.layout.catalogue, "-o", str(page)]  # fmt: skip
    assert run(arguments) == 0
    settings = load_settings([page])
    assert settings.sources.texts[0].format == "delta"
    assert settings.sources.items[0].format == "csv"
    assert settings.sources.events[0].columns["user_id"] == "uid"
    assert settings.sources.events[0].columns["arrived_at"] == "received"
    assert run(arguments) == 2  # never over a file that is there


@pytest.mark.parametrize("width", [60, 200])
def test_what_people_write_in_brackets_is_shown_as_it_is(width):
    console = Console(width=width, record=True, file=io.StringIO())
    row = dict.fromkeys(("[a]", "b", "c", "d", "e"), "order [urgent] please [/quote]")
    console.print(FittedRows([row]))
    shown = " ".join(console.export_text().split())
    assert "[a]" in shown and "[urgent]" in shown and "[/quote]" in shown
