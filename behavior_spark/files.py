"""Atomic writes of folders and JSON files, and digests of content.

A folder of models may be read while it is written, and a writer may be killed at any moment. So a
folder or file is first written under a hidden name in the same parent folder, and then renamed to
its final name in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError


def short_digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of ``content``.

    >>> short_digest(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()[:16]


def digest_of(content: object) -> str:
    """``short_digest`` of plain data as JSON; the order of keys in a mapping does not matter.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return short_digest(json.dumps(content, sort_keys=True).encode())


@contextmanager
def staging_path(root: Path) -> Iterator[Path]:
    """Yield a hidden path under ``root`` at which to create a folder.

    Publish the folder with ``publish_folder`` inside the block. If it is still there at the end of
    the block, it is deleted.
    """
    root.mkdir(parents=True, exist_ok=True)
    staging = root / f".staging-{uuid.uuid4().hex}"
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def staged_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes ``folder`` if the block succeeds, else is deleted.

    Args:
        folder: Final path; missing parent folders are created.
        replace: Whether to replace a folder that exists.

    Raises:
        ModelError: The folder exists and ``replace`` is not set.
    """
    if folder.exists() and not replace:
        raise ModelError(
            f"{folder} exists already, and a saved model is never changed",
            fix="save to a new folder",
        )
    with staging_path(folder.parent) as staging, staging_path(folder.parent) as retired:
        staging.mkdir()
        yield staging
        if replace and folder.exists():
            folder.rename(retired)
        staging.rename(folder)


def publish_folder(staging: Path, folder: Path) -> None:
    """Rename a finished folder to its final path; a folder that exists there is kept.

    Only for folders named by a digest of their content: one that exists has the same content.
    """
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON object atomically, and wait until it is on disk (fsync).

    Args:
        path: File to write; its folder must exist.
        content: Plain data.
        indent: Spaces per level; None: everything on one line.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder.

    Raises:
        ModelError: The file is missing, is not JSON, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read {path}",
            found=type(error).__name__,
            fix="restore the model folder, or publish the model again",
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object", found=type(content).__name__)
    return content


def cache_folder() -> Path:
    """Where this machine keeps copies and facts that can be made again."""
    if given := os.environ.get("BEHAVIOR_SPARK_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "behavior_spark"
