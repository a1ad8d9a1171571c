"""Encoders of a model hub: one revision, pinned by its commit, and no file that could run code."""

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
        ModelError: The name is not one, or the revision is no 40 hex digits.

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
    """The folder of a hub's encoder: from the local cache, else downloaded to it once.

    Each worker has a cache of its own (``HF_HOME``); for a cluster without a way to the hub
    download it once and name the folder.

    Raises:
        ModelError: The source is not pinned, or the hub does not answer or does not have it.
    """
    name, revision = parse_hub_source(source)
    try:
        return _snapshot(name, revision, local=True)
    except Exception:  # not in the cache: the hub is asked
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
