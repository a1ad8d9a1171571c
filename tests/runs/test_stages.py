"""Commands and stages: what is declared is what runs, and all that is made from it agrees."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from behavior_spark import pipelines
from behavior_spark.cli.declared import declared_app
from behavior_spark.config import load_settings
from behavior_spark.errors import ConfigError
from behavior_spark.pipelines.planning import Planned
from behavior_spark.runs import run as run_module
from behavior_spark.runs.commands import COMMANDS
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import Run, running
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import TABLES, USER_PROPENSITY
from tests.added_package import blocks_under

ROOT = Path(__file__).resolve().parents[2]
DAILY = ["ingest", "score-texts", "build-features", "train-propensity", "predict",
         "predict-items", "profile", "audiences", "alerts", "service"]  # fmt: skip


@dataclass(frozen=True)
class Greeted(StageResult):
    name: str


@dataclass(frozen=True)
class Counted(StageResult):
    count: int

    @property
    def figures(self) -> dict[str, float]:
        return {"count": self.count}


@stage("greet", does="say hello")
def greet(run: Run, name: str) -> Greeted:
    return Greeted(name)


@stage("count", does="count letters")
def count(run: Run, greeted: Greeted) -> Counted:
    return Counted(len(greeted.name))


def run_of(declared: tuple[str, ...] | None) -> Run:
    nothing: dict[str, object] = dict.fromkeys(("settings", "spark", "warehouse", "console"))
    return Run("test", as_of=dt.date(2024, 5, 1), declared=declared, **nothing)  # type: ignore[arg-type]


def test_a_stage_keeps_its_typed_result_in_the_run() -> None:
    run = run_of(("greet", "count"))
    assert count(run, greet(run, "Ada")).count == 3
    assert run.results == [Greeted("Ada"), Counted(3)]
    result = Result("test", run.as_of, results=tuple(run.results))
    assert result.of(Greeted).name == "Ada" and result.figures == {"count": 3}
    with pytest.raises(KeyError, match="gave no Decided; it gave Greeted, Counted"):
        result.of(type("Decided", (StageResult,), {}))


@pytest.mark.parametrize("declared", [("count",), ("count", "greet"), ()])
def test_a_run_refuses_a_stage_that_its_command_has_not_declared_there(
    declared: tuple[str, ...],
) -> None:
    run = run_of(declared)
    with pytest.raises(RuntimeError, match="has not declared the stage"):
        count(run, greet(run, "Ada"))


def test_a_night_is_the_daily_commands_stages_in_their_order() -> None:
    night = [s.name for s in COMMANDS["nightly"].stages]
    alone = ("open", "find-models")  # what a command reads that no stage before it left
    daily = [s.name for name in DAILY for s in COMMANDS[name].stages if s.name not in alone]
    beside = ("compare", "foresee", "shadow", "register")
    assert set(night) - set(beside) == set(daily)
    for name in DAILY:
        own = [s.name for s in COMMANDS[name].stages if s.name not in alone]
        assert own == [name for name in night if name in own]


def test_no_stage_of_a_night_reads_a_table_that_only_a_later_one_writes() -> None:
    night = COMMANDS["nightly"].stages
    written: set[str] = set()
    for place, declared in enumerate(night):
        written |= {table.name for table in declared.writes}
        later = {table.name for other in night[place + 1 :] for table in other.writes}
        assert not {table.name for table in declared.reads} & (later - written), declared.name
    assert USER_PROPENSITY.name in written and written <= set(TABLES)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_function_a_cli_command_and_a_job_of_its_name(name: str) -> None:
    declared = COMMANDS[name]
    assert getattr(pipelines, name.replace("-", "_")) is declared.function
    assert declared.help and not any(word in declared.help for word in ("Args:", "Raises:"))
    stem = {"profile": "profile_users"}.get(name, name.replace("-", "_"))
    if name not in ("check", "plan", "sql", "views"):
        job = (ROOT / "jobs" / f"{stem}.py").read_text(encoding="utf-8")
        assert f'run_job("{name}")' in job
    known = {option.name for option in declared.parameters}
    by_ending = {name for options in declared.by_ending.values() for name in options}
    own = {"settings", "place", *declared.fixed, *by_ending}
    left = set(inspect.signature(declared.function).parameters) - known - own
    assert left <= {"retrain"}, f"{name}: no Option for {left}"


def test_the_command_line_has_what_is_declared_and_nothing_else() -> None:
    names = [info.name for info in declared_app().registered_commands]
    assert names == list(COMMANDS)


def test_a_session_prepares_its_workers_to_embed_only_for_a_command_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, ...]] = []

    class StopError(Exception):
        """Ends the run before there is a session."""

    def refuse(*_: object, models: tuple[str, ...], **__: object) -> None:
        asked.append(models)
        raise StopError

    monkeypatch.setattr(run_module, "spark_session", refuse)
    task = "{model: writer, labels: [good, bad], prompts: ['{text} {label}']}"
    settings = load_settings(["demo.yaml"], overrides=[f"annotate.mood={task}"])
    for name in ("ingest", "predict", "score-texts", "nightly", "annotate"):
        with pytest.raises(StopError), running(name, settings):
            pass
    encoder = settings.text.encoder
    assert asked == [(), (), (encoder,), (encoder,), (encoder, "writer")]


def test_every_stage_gives_a_dataclass_of_its_own() -> None:
    for declared in COMMANDS.values():
        for own in declared.stages:
            result = get_type_hints(own.function)["return"]
            assert issubclass(result, StageResult) and fields(result), own.name


def test_options_are_typed_from_the_command_line_to_the_stage() -> None:
    retrain = COMMANDS["nightly"].parameters[0]
    assert (retrain.name, retrain.type, retrain.default) == ("retrain", bool, False)


def test_a_plan_names_stages_and_places_and_reads_nothing(tmp_path: Path) -> None:
    settings = load_settings(["demo.yaml"], overrides=[f"warehouse={tmp_path / 'w'}"])
    planned = pipelines.plan(settings, "nightly").of(Planned)
    assert [s.name for s in planned.stages] == [s.name for s in COMMANDS["nightly"].stages]
    assert planned.tables["events"] == str(tmp_path / "w" / "events")
    assert "models" not in planned.tables and planned.models_folder
    assert not (tmp_path / "w").exists()
    with pytest.raises(ConfigError, match="there is no command 'nigthly'"):
        pipelines.plan(settings, "nigthly")


def test_a_command_is_added_as_contributing_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = blocks_under("Add a command: 2 files")[0]
    (tmp_path / "added_command.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(COMMANDS)
    try:
        importlib.import_module("added_command")
        added = [COMMANDS[name] for name in COMMANDS if name not in before]
        assert [declared.name for declared in added] == ["places"]
        typer.main.get_command(declared_app()).main(
            ["places", "--config", "demo.yaml", "--only", "runs"], standalone_mode=False
        )
        assert capsys.readouterr().out.strip().endswith("/runs")
        planned = pipelines.plan(load_settings(["demo.yaml"]), "places").of(Planned)
        assert [s.name for s in planned.stages] == ["places"]
    finally:
        COMMANDS.clear()
        COMMANDS.update(before)
