"""The files of a model folder: which of them affect embeddings, their digests, and whether they
are complete. Loads no model."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json

# Written beside the weights of an encoder that `pretrain` made.
PRETRAINING_RECORD = "pretraining.json"

# Files that do not affect token ids or vectors. All others may: vocabularies have many names.
_DECIDE_NOTHING = re.compile(
    r"\..*|(?:readme|licen[cs]e|notice|usage)\b.*|pretraining\.json|generation_config\.json"
    r"|(?:trainer_state|data_config|(?:all|train|eval|test|predict)_results)\.json"
    # Weights of other libraries, code and documentation.
    r"|.*\.(?:bin|h5|msgpack|ot|onnx|onnx_data|pb|tflite|mlmodel|gguf|pt|pth|pkl|ckpt|npz|tar|gz|zip"
    r"|py|pyc|ipynb|sh|md|rst|html|pdf|png|jpe?g|gif|svg|csv|log|lock)",
    re.IGNORECASE,
)
_LFS_POINTER = b"version https://git-lfs"


def deciding_files(folder: Path, subfolders: Iterable[str] = ()) -> Iterator[tuple[str, Path]]:
    """Name and path of each file that may affect token ids or vectors, in a fixed order.

    Args:
        folder: Folder of the model.
        subfolders: Subfolders with modules of a sentence-transformers model.
    """
    for part in ("", *sorted(set(subfolders) - {""})):
        directory = folder / part
        if not directory.is_dir():
            continue
        for path in sorted(directory.iterdir()):
            if path.is_file() and not _DECIDE_NOTHING.fullmatch(path.name):
                yield (f"{part}/{path.name}" if part else path.name), path


def file_digests(folder: Path, subfolders: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 of each file of :func:`deciding_files`, by name.

    A process reads a file once for each path, modification time and size.

    Raises:
        ModelError: A file is a Git LFS pointer or cut short, or a shard is missing.
    """
    return {name: _digest(path) for name, path in deciding_files(folder, subfolders)}


def _digest(path: Path) -> str:
    status = path.stat()
    digest = _cached_digest(path, (status.st_mtime_ns, status.st_size))
    if path.name.endswith(".safetensors.index.json"):
        _check_shards(path)
    return digest


@lru_cache(maxsize=256)
def _cached_digest(path: Path, _version: tuple[int, int]) -> str:
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ModelError(
                f"{path.name} in {path.parent} is not there: it is a Git LFS pointer to it",
                found=f"{path.stat().st_size} bytes of text",
                fix="fetch the file with `git lfs pull`, or copy it",
            )
        if path.suffix == ".safetensors":
            _check_length(path)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_length(path: Path) -> None:
    """Compare the size of a safetensors file with the size in its header."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = int.from_bytes(file.read(8), "little")
        expected = 8 + header
        if size >= expected > 8:
            try:
                tensors = json.loads(file.read(header))
                ends = [t["data_offsets"][1] for n, t in tensors.items() if n != "__metadata__"]
                expected += max(ends, default=0)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError):
                expected = -1
    if size != expected:
        raise ModelError(
            f"{path.name} in {path.parent} is damaged",
            found=f"{size} bytes" + (f", its header says {expected}" if expected > 8 else ""),
            fix="copy or download the file again",
        )


def _check_shards(index: Path) -> None:
    names = read_json(index).get("weight_map", {})
    shards = sorted(set(names.values())) if isinstance(names, dict) else []
    missing = [name for name in shards if not (index.parent / str(name)).is_file()]
    if missing or not shards:
        raise ModelError(
            f"a shard of the weights in {index.parent} is missing",
            found=f"no {', '.join(map(str, missing[:3]))}"
            if missing
            else f"{index.name} names none",
            fix="copy or download the missing file",
        )
