"""``features describe``: every feature with what it means, before any table is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from behavior_spark.cli.main import run

CONFIG = """
warehouse: nowhere
sources:
  events: {path: nowhere, columns: {}}
features:
  event_types: [view, refund]
  windows_days: [7]
  taxonomy: {refund: {kind: cancel, sentiment: negative}}
  declared:
    - {on: {sentiment: negative}, op: count, group: worries, description: what went wrong}
    - {on: {type: view}, op: top_k, of: category}
targets:
  refunds: {event: event_type = 'refund'}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return str(tmp_path / "mine.yaml")


def test_describe_lists_name_type_group_meaning_source_and_window(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["features", "describe", "--config", config, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    by_name = {feature["name"]: feature for feature in listed}
    assert by_name["negative_count_7d"] == {
        "name": "negative_count_7d", "type": "bigint", "group": "worries",
        "meaning": "what went wrong", "source": "events", "window_days": 7,
    }  # fmt: skip
    assert by_name["view_top_category_7d"]["type"] == "array<string>"
    assert by_name["view_recency_days"]["window_days"] is None
    assert {"activity", "sessions", "worries", "declared"} == {f["group"] for f in listed}
    assert all(feature["meaning"] and feature["source"] for feature in listed)


def test_describe_shows_a_table_to_people(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "describe", "--config", config]) == 0
    assert "negative_count_7d" in capsys.readouterr().out


def test_describe_refuses_a_declaration_that_cannot_be_with_what_can(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "features.declared=[{op: sum, of: item_id}]"
    assert run(["features", "describe", "--config", config, "--set", wrong]) == 2
    assert "use sum of value" in capsys.readouterr().err
