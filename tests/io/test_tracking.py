"""MLflow is told what the registry knows, and its absence is no failure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from behavior_spark.io.tracking import tracked_alias, tracked_figures, tracked_version


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    found = pytest.importorskip("mlflow", reason="pip install 'behavior-spark[mlflow]'")
    uri = f"file:{tmp_path}/tracked"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # no server in a test
    found.set_tracking_uri(uri)
    found.set_registry_uri(uri)
    return found


def model_folder(root: Path, digest: str) -> Path:
    folder = root / digest
    (folder / "heads" / "intent").mkdir(parents=True)
    (folder / "encoder").mkdir()
    for name in ("record.json", "card.md", "heads/intent/head.json", "encoder/config.json"):
        (folder / name).write_text("{}")
    return folder


def test_a_model_is_a_run_a_version_and_an_alias_in_mlflow(mlflow: Any, tmp_path: Path) -> None:
    one, two = "1" * 16, "2" * 16
    for digest in (one, two, two):  # the same model again is no new version
        folder = tmp_path / digest
        folder = folder if folder.exists() else model_folder(tmp_path, digest)
        assert tracked_version(
            "shop", digest=digest, folder=folder,
            parameters={"mode": "heads", "trained_through": None}, figures={"intent_f1": 0.75},
        ) is None  # fmt: skip
    client = mlflow.MlflowClient()
    for digest in (one, two, one):
        assert tracked_alias("shop", digest=digest, alias="champion") is None
    champion = client.get_model_version_by_alias("shop-text", "champion")
    assert champion.tags["behavior_spark.digest"] == one
    assert len(client.search_model_versions("name = 'shop-text'")) == 2
    run = client.get_run(champion.run_id)
    assert run.data.params == {"mode": "heads"} and run.data.metrics == {"intent_f1": 0.75}
    names = {each.path for each in client.list_artifacts(champion.run_id)}
    assert names == {"record.json", "card.md", "heads"}  # the encoder is not copied
    assert tracked_figures("shop", digest=one, figures={"f1 at 10%": 0.5}) is None


def test_a_server_that_does_not_answer_is_a_note_and_no_failure(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(mlflow, "set_experiment", unreachable)
    note = tracked_figures("shop", digest="1" * 16, figures={"f1": 0.5})
    assert note is not None and "ConnectionError" in note and "no route" not in note


def test_without_the_address_nothing_is_told_and_without_the_package_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracked_alias("shop", digest="1" * 16, alias="champion") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    note = tracked_alias("shop", digest="1" * 16, alias="champion")
    assert note is not None and "pip install '.[mlflow]'" in note
