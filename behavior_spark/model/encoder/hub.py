"""Encoders from a model hub, pinned to a commit, without files that could run code."""

from __future__ import annotations

import re
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
    """Folder of an encoder from a hub, in the local cache; downloaded if it is not cached.

    Each worker has its own cache (``HF_HOME``). On a cluster without access to the hub, download
    the encoder once and use the path of its folder.

    Raises:
        ModelError: The source is not pinned, or the encoder cannot be downloaded.
    """
    name, revision = parse_hub_source(source)
    try:
        return _snapshot(name, revision, local=True)
    except Exception:  # not in the cache: download it
        try:
            return _snapshot(name, revision, local=False)
        except Exception as error:
            raise ModelError(
                f"cannot get {name} at {revision[:12]} from the hub",
                found=type(error).__name__,
                fix="check name, commit and network; or give the path of a folder that holds it",
            ) from error


def _snapshot(name: str, revision: str, *, local: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = list(FILES)
    return Path(
        snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=local)
    )
