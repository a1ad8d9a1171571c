"""Pages that commands write: where, in which form, and what says so."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from behavior_spark.cli import demonstration
from behavior_spark.cli.main import run
from behavior_spark.cli.showing import next_queries, print_json
from behavior_spark.config import Settings
from behavior_spark.pipelines import COMMANDS
from behavior_spark.pipelines.demonstration import DemoResult, demo_settings
from behavior_spark.pipelines.report_commands import Queried
from behavior_spark.pipelines.reports.night.stage import NightReported
from behavior_spark.runs.commands import Command
from behavior_spark.runs.result import Result

AS_OF = dt.date(2024, 4, 30)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Options that ``report`` was called with; it answers with a page."""
    options: list[dict[str, Any]] = []

    def report(settings: Settings, *, html: bool = False, **given: Any) -> Result:
        options.append({"html": html, **given})
        content = "<!DOCTYPE html>" if html else ""
        return Result("report", AS_OF, results=(NightReported("shop", [], content),))

    real = COMMANDS["report"]
    fields = {name: getattr(real, name) for name in real.__dataclass_fields__}
    command = Command(**fields | {"function": report})
    monkeypatch.setitem(COMMANDS, "report", command)
    return options


@pytest.mark.parametrize(
    ("name", "html", "beginning"),
    [
        ("night.html", True, "<!DOCTYPE html>"),
        ("NIGHT.HTML", True, "<!DOCTYPE html>"),
        ("night.md", False, "# shop"),
        ("night", False, "# shop"),
    ],
)
def test_the_ending_of_the_file_says_in_which_form_it_is_written(
    asked: list[dict[str, Any]], tmp_path: Path, name: str, html: bool, beginning: str
) -> None:
    from behavior_spark.cli.declared import _runner

    target = tmp_path / "new folder" / name
    _runner(COMMANDS["report"])(
        config=["conf/demo.yaml"], set_=[], as_of="2024-04-30", output=target, as_json=False
    )
    assert [options["html"] for options in asked] == [html]
    assert target.read_text(encoding="utf-8").startswith(beginning)


def test_two_nights_are_compared_on_a_page_alone(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["report", "--config", "conf/demo.yaml", "--compare", "2024-04-01"]
    assert run([*arguments, "-o", "night.md"]) == 2
    assert "-o night.html" in capsys.readouterr().err


def test_the_demo_ends_with_a_page_and_names_it_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = NightReported("demo", [], "<!DOCTYPE html> the night")
    steps = {name: Result(name, AS_OF) for name in ("finetune", "nightly", "audiences")}
    steps["report"] = Result("report", AS_OF, results=(page,))

    def demo(output: Path, **options: Any) -> DemoResult:
        return DemoResult(None, demo_settings(output), steps)  # type: ignore[arg-type]

    monkeypatch.setattr(demonstration, "demo", demo)
    output = tmp_path / "my demo"
    output.mkdir()
    demonstration.run_demo(
        users=20, days=100, seed=1, output=output, generate_only=False, as_json=False
    )
    written = output / "report.html"
    assert written.read_text(encoding="utf-8") == "<!DOCTYPE html> the night"
    told = capsys.readouterr().out.strip().splitlines()
    assert str(written) in told[-1]
    asked_next = [shlex.split(line) for line in told if "behavior-spark sql" in line]
    assert asked_next and {words[0] for words in asked_next} == {f"DEMO_ROOT={output}"}


def test_what_to_ask_next_can_be_copied_and_shows_no_secret(tmp_path: Path) -> None:
    settings = demo_settings(tmp_path)
    overrides = ["privacy.pseudonymise_key=hush of the house", "spark.conf={my.password: hush}",
                 "population=event_type != 'bot visit'", "text.max_length=64"]  # fmt: skip
    for line in next_queries(settings, ["my config.yaml"], "2024-04-30", overrides):
        assert "hush" not in line
        words = shlex.split(line)
        given_ = [word for option, word in pairwise(words) if option in ("--config", "--set")]
        assert given_ == ["my config.yaml", "privacy.pseudonymise_key=***", "spark.conf=***",
                          *overrides[2:]]  # fmt: skip


def test_json_has_null_for_a_number_that_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row(user_id="u1", share=float("nan"), nested=Row(odds=float("-inf")))]
    print_json(Result("sql", AS_OF, results=(Queried(["user_id", "share", "nested"], rows),)))
    line = capsys.readouterr().out
    told = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["details"]["rows"] == [{"user_id": "u1", "share": None, "nested": {"odds": None}}]


def test_fields_of_one_name_are_all_in_the_json_of_a_query(spark: SparkSession) -> None:
    query = """
        SELECT 1 AS n, struct(2 AS n, array(struct(3 AS n, 4 AS n)) AS m, 5 AS n) AS s,
               map('k', struct(6 AS n, 7 AS n)) AS m
    """
    rows = Queried(["n", "s", "m"], spark.sql(query).collect()).details["rows"]
    assert rows == [
        {"n": 1, "s": {"n": 2, "m": [{"n": 3, "n_2": 4}], "n_2": 5}, "m": {"k": {"n": 6, "n_2": 7}}}
    ]
