"""MLflow, where MLFLOW_TRACKING_URI is set: runs, versions and aliases beside our own registry.

The registry in the models folder is what the job reads; MLflow is told the same, for people and
for what else is built on it. Nothing here fails a run: what could not be told is said in a note.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_TAG = "behavior_spark.digest"


def tracked_version(
    name: str,
    *,
    digest: str,
    folder: Path,
    parameters: Mapping[str, Any],
    figures: Mapping[str, float],
) -> str | None:
    """Log a trained model's run with its files, and register them as a version.

    Args:
        name: Of the job: the experiment ``behavior-spark/<name>`` and the registered model
            ``<name>-text`` bear it.
        digest: Of the model.
        folder: Its folder; its record, card and heads are logged, the encoder is not copied.
        parameters: What training was given.
        figures: What was measured.

    Returns:
        A note for people where it could not be done; None where it was, or is not asked for.
    """

    def log(mlflow: Any) -> None:
        mlflow.set_experiment(f"behavior-spark/{name}")
        with mlflow.start_run(run_name=digest, tags={_TAG: digest}) as started:
            given = {key: value for key, value in parameters.items() if value is not None}
            mlflow.log_params(given)
            mlflow.log_metrics({_metric(key): float(value) for key, value in figures.items()})
            for path in sorted(folder.glob("*.*")):
                if path.is_file():
                    mlflow.log_artifact(str(path))
            if (folder / "heads").is_dir():
                mlflow.log_artifacts(str(folder / "heads"), artifact_path="heads")
            source, run_id = mlflow.get_artifact_uri(), started.info.run_id
        client = mlflow.MlflowClient()
        if _version(client, name, digest) is None:
            if not client.search_registered_models(f"name = '{_registered(name)}'"):
                client.create_registered_model(_registered(name))
            client.create_model_version(
                _registered(name), source=source, run_id=run_id, tags={_TAG: digest}
            )

    return _told(log)


def tracked_alias(name: str, *, digest: str, alias: str) -> str | None:
    """Let ``alias`` of the registered model stand for a version, as in our own registry.

    Returns:
        As :func:`tracked_version`.
    """

    def log(mlflow: Any) -> None:
        client = mlflow.MlflowClient()
        version = _version(client, name, digest)
        if version is not None:  # one made before MLflow was in use is not there
            client.set_registered_model_alias(_registered(name), alias, version)

    return _told(log)


def tracked_figures(name: str, *, digest: str, figures: Mapping[str, float]) -> str | None:
    """Log what an evaluation measured, as a run of its own.

    Returns:
        As :func:`tracked_version`.
    """

    def log(mlflow: Any) -> None:
        mlflow.set_experiment(f"behavior-spark/{name}")
        with mlflow.start_run(run_name=f"evaluate {digest}", tags={_TAG: digest}):
            mlflow.log_metrics({_metric(key): float(value) for key, value in figures.items()})

    return _told(log)


def _told(log: Callable[[Any], None]) -> str | None:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    try:
        import mlflow
    except ImportError:
        return (
            "MLFLOW_TRACKING_URI is set, but MLflow is not installed: "
            "pip install 'behavior-spark[mlflow]'"
        )
    try:
        log(mlflow)
    except Exception as error:
        return f"MLflow was not told ({type(error).__name__}); our own registry has it"
    return None


def _registered(name: str) -> str:
    return f"{name}-text"


def _version(client: Any, name: str, digest: str) -> str | None:
    """The registered version of a digest; None where there is none."""
    for found in client.search_model_versions(f"name = '{_registered(name)}'"):
        if found.tags.get(_TAG) == digest:
            return str(found.version)
    return None


def _metric(name: str) -> str:
    """MLflow's metric names: letters, digits and a few signs."""
    return "".join(each if each.isalnum() or each in "_-./ " else "_" for each in name)
