"""The tour of docs/first-evening.md, command by command as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from behavior_spark.cli.main import run
from tests.docs.pages import ROOT, blocks_of, command_lines, program_arguments
from tests.first_evening.logs import write_segment

pytestmark = pytest.mark.real
PAGE = ROOT / "docs" / "first-evening.md"


def test_the_tour_leads_from_a_log_to_a_list(
    spark: SparkSession,
    compiled: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data").mkdir()
    log = write_segment(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    blocks = list(blocks_of(PAGE.read_text(encoding="utf-8"), name=PAGE.name))
    commands = [
        arguments
        for block in blocks if block.language == "sh"
        for words in command_lines(block) if (arguments := program_arguments(words))
    ]  # fmt: skip
    assert [arguments[0] for arguments in commands] == ["init", "check", "nightly", "sql"]
    shown = {}
    for arguments in commands:
        assert run(arguments) == 0, capsys.readouterr().err
        captured = capsys.readouterr()
        shown[arguments[0]] = captured.out + captured.err
    profile, verdict = [block.text for block in blocks if block.language == "text"]
    for line in profile.splitlines():
        assert line.removesuffix(", ...") in shown["init"]
    assert "behavior-spark nightly --config mine.yaml --as-of 2024-06-29" in shown["init"]
    assert verdict.strip() in shown["check"]
    assert f"{log.rows:,} in = {log.rows - log.duplicates - log.refused:,} out" in shown["nightly"]
    assert "purchase_30d" in shown["nightly"] and "churn_30d" in shown["nightly"]
    # Both have a planted signal: small as the log is, users are ranked, and the list is suggested.
    assert "Is the model better than ...?" in shown["nightly"]
    assert "nobody is ranked" not in shown["nightly"]
    assert "target = 'purchase_30d' ORDER BY score" in shown["nightly"]
    assert "u0" in shown["sql"]
