"""Log runs, model versions and aliases to MLflow if MLFLOW_TRACKING_URI is set.

The job reads only its own registry in the models folder. MLflow gets a copy, for people and for
other tools. A failure here never fails a run: the functions return a note instead.
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
    """Log a training run with the model's files, and register them as a version of the model.

    Args:
        name: Name of the job. The experiment is ``behavior-spark/<name>``, the registered model
            ``<name>-text``.
        digest: Digest of the model.
        folder: Folder of the model. Its record, card and heads are logged; the encoder is not.
        parameters: Parameters of the training; those that are None are left out.
        figures: Measured figures by name.

    Returns:
        A note for people if MLflow could not be used; None on success, or if MLflow is not
        configured.
    """

    def log(mlflow: Any) -> None:
        mlflow.set_experiment(f"behavior-spark/{name}")
        with mlflow.start_run(run_name=digest, tags={_TAG: digest}) as mlflow_run:
            mlflow.log_params({key: v for key, v in parameters.items() if v is not None})
            mlflow.log_metrics({_metric(key): float(value) for key, value in figures.items()})
            for path in sorted(folder.glob("*.*")):
                if path.is_file():
                    mlflow.log_artifact(str(path))
            if (folder / "heads").is_dir():
                mlflow.log_artifacts(str(folder / "heads"), artifact_path="heads")
            source, run_id = mlflow.get_artifact_uri(), mlflow_run.info.run_id
        client = mlflow.MlflowClient()
        if _version(client, name, digest) is None:
            if not client.search_registered_models(f"name = '{_registered(name)}'"):
                client.create_registered_model(_registered(name))
            client.create_model_version(
                _registered(name), source=source, run_id=run_id, tags={_TAG: digest}
            )

    return _logged(log)


def tracked_alias(name: str, *, digest: str, alias: str) -> str | None:
    """Point ``alias`` of the registered model to the version with this digest.

    A version made before MLflow was configured is not registered; then nothing happens.

    Returns:
        As :func:`tracked_version`.
    """

    def log(mlflow: Any) -> None:
        client = mlflow.MlflowClient()
        version = _version(client, name, digest)
        if version is not None:  # None: made before MLflow was configured
            client.set_registered_model_alias(_registered(name), alias, version)

    return _logged(log)


def tracked_figures(name: str, *, digest: str, figures: Mapping[str, float]) -> str | None:
    """Log the figures of an evaluation as a separate run.

    Returns:
        As :func:`tracked_version`.
    """

    def log(mlflow: Any) -> None:
        mlflow.set_experiment(f"behavior-spark/{name}")
        with mlflow.start_run(run_name=f"evaluate {digest}", tags={_TAG: digest}):
            mlflow.log_metrics({_metric(key): float(value) for key, value in figures.items()})

    return _logged(log)


def _logged(log: Callable[[Any], None]) -> str | None:
    """Call ``log`` with the mlflow module; a note if that was not possible."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    try:
        import mlflow
    except ImportError:
        return (
            "MLFLOW_TRACKING_URI is set, but MLflow is not installed: "
            "in the checkout: pip install '.[mlflow]'"
        )
    try:
        log(mlflow)
    except Exception as error:
        return f"MLflow was not told ({type(error).__name__}); our own registry has it"
    return None


def _registered(name: str) -> str:
    return f"{name}-text"


def _version(client: Any, name: str, digest: str) -> str | None:
    """The registered version with this digest; None if there is none."""
    for version in client.search_model_versions(f"name = '{_registered(name)}'"):
        if version.tags.get(_TAG) == digest:
            return str(version.version)
    return None


def _metric(name: str) -> str:
    """The name with characters that MLflow does not allow in metric names replaced by ``_``."""
    return "".join(char if char.isalnum() or char in "_-./ " else "_" for char in name)
