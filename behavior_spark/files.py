"""Files that are whole or not there: atomic folders and JSON, and digests of content.

Every reader of a folder of models may run beside its writer, and a writer may be killed at any
moment. So a folder or a file is made beside its place under a hidden name, and takes its place by
one rename.
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
    """The first 16 hex characters of SHA-256.

    >>> short_digest(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()[:16]


def digest_of(content: object) -> str:
    """``short_digest`` of plain data as JSON; the order of a mapping's keys does not matter.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return short_digest(json.dumps(content, sort_keys=True).encode())


@contextmanager
def staging_path(root: Path) -> Iterator[Path]:
    """A hidden path under ``root`` to make a folder at; what still stands there at the end goes.

    Publish the folder with ``publish_folder`` inside the block.
    """
    root.mkdir(parents=True, exist_ok=True)
    staging = root / f".staging-{uuid.uuid4().hex}"
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def staged_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder that becomes ``folder`` when the block succeeds, and vanishes when it fails.

    Args:
        folder: Where it goes; its parents are made.
        replace: Whether a folder that is there gives way; else it stays.

    Raises:
        ModelError: The folder is there, and ``replace`` is not set.
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
    """Rename a finished folder to its place; one that is there already stays.

    For folders named by a digest of their content: whoever came first wrote the same.
    """
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON object, whole or not at all, and wait until the disk has it.

    Args:
        path: Its folder must exist.
        content: Plain data.
        indent: Spaces a level; None: all in one line.
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
    """The JSON object in a file of a model.

    Raises:
        ModelError: The file is missing, is not JSON, or holds no object.
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
