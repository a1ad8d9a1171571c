"""Encoders from a model hub, pinned to a commit, without files that could run code."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from behavior_spark.errors import ModelError

PREFIX = "hub:"
_NAME = re.compile(r"hub:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Configs, tokenizers and safetensors: never Python, never a pickle.
FILES = ("*.json", "*.txt", "*.safetensors", "*.model")


def parse_hub_source(source: str) -> tuple[str, str]:
    """Name and revision of ``hub:org/name@<commit>``.

    A branch or a tag is refused: it can point at other weights tomorrow, and embeddings of two
    models must never mix.

    Raises:
        ModelError: The name is not valid, or the revision is not 40 hex digits.

    >>> parse_hub_source("hub:org/name@" + "0" * 40)[0]
    'org/name'
    """
    match = _NAME.fullmatch(source)
    if match is None:
        raise ModelError(
            "an encoder of a hub is named hub:org/name@<commit>",
            found=ascii(source),
            fix="such as hub:intfloat/multilingual-e5-small@ and the 40 hex digits of a commit",
        )
    revision = match["revision"]
    if revision is None or not _COMMIT.fullmatch(revision):
        raise ModelError(
            f"the revision of {match['name']} is not pinned",
            found=ascii(f"@{revision}") if revision else "no revision",
            fix="add @ and the 40 hex digits of the commit, from the model's history on the hub",
        )
    return match["name"], revision


@lru_cache(maxsize=32)
def hub_folder(source: str) -> Path:
    """Folder of an encoder from a hub, in the local cache; what is missing there is downloaded.

    Other programs cache a part of a model: its weights without ``modules.json``, say, with which
    the vectors would be others. So the cache alone is used only if it lists the commit's files and
    has them all; the hub is not asked then. Each worker has its own cache (``HF_HOME``). On a
    cluster without access to the hub, download the encoder once and use the path of its folder.

    Raises:
        ModelError: The source is not pinned, or the encoder cannot be downloaded and is not whole
            in the cache.
    """
    name, revision = parse_hub_source(source)
    try:
        folder, missing = _snapshot(name, revision)
    except Exception as error:
        raise _not_whole(name, revision, found=type(error).__name__) from error
    if missing:
        raise _not_whole(name, revision, found=f"no {', '.join(missing[:3])} in the cache")
    return folder


def _snapshot(name: str, revision: str) -> tuple[Path, list[str]]:
    """The folder, downloaded where it can be, and the names of files that it lacks."""
    import huggingface_hub as hub

    # Without the hub it gives what there is, whole or not.
    folder = Path(hub.snapshot_download(name, revision=revision, allow_patterns=[*FILES]))
    try:
        files = [file.path for file in hub.get_cached_repo_tree(name, revision=revision)]
    except Exception:  # no list is cached, or an older huggingface_hub caches none: ask the hub
        files = hub.HfApi().list_repo_files(name, revision=revision)
    wanted = [file for file in files if any(fnmatch(file, pattern) for pattern in FILES)]
    return folder, [file for file in wanted if not (folder / file).exists()]


def _not_whole(name: str, revision: str, *, found: str) -> ModelError:
    return ModelError(
        f"cannot get {name} at {revision[:12]} from the hub, nor whole from the cache",
        found=found,
        fix="check name, commit and network; or give the path of a folder that holds all its files",
    )
