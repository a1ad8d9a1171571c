"""Save a trained encoder with a tokenizer that gives the same token ids as before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.folder_files import deciding_files
from behavior_spark.model.encoder.loading import load_tokenizer, quiet_transformers
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.encoder.sentence_modules import sidecar_files
from behavior_spark.model.encoder.token_sample import token_ids

_OF_THE_MODEL = ("config.json", ".safetensors", ".safetensors.index.json")


def save_encoder(encoder: Encoder, source: str, folder: Path) -> Path:
    """Write the trained weights, the tokenizer, and the files of sentence-transformers.

    The tokenizer is saved by transformers and loaded again. If it gives other token ids for a
    sample of texts, the tokenizer files of ``source`` are copied instead.

    Args:
        encoder: The trained encoder.
        source: Folder or ``package:`` name of the encoder from which training started.
        folder: Folder to write to; it must exist.

    Returns:
        ``folder``.

    Raises:
        ModelError: The saved tokenizer and the copied one both give other token ids.
    """
    model: Any = encoder.model
    origin = resolve_model_folder(source)
    with quiet_transformers():
        model.save_pretrained(folder)
    expected = token_ids(encoder.tokenizer)
    before = set(folder.iterdir())
    with quiet_transformers():
        encoder.tokenizer.save_pretrained(folder)
    if not _reads_as(folder, expected):
        for path in set(folder.iterdir()) - before:
            path.unlink()
        for name, path in deciding_files(origin):
            if not name.endswith(_OF_THE_MODEL):
                shutil.copyfile(path, folder / name)
        if not _reads_as(folder, expected):
            raise ModelError(
                f"the tokenizer of {source} cannot be saved: read back it gives other token ids",
                fix="save its tokenizer.json with transformers, and start from that folder",
            )
    for name in sidecar_files(origin):
        if (origin / name).is_dir():
            shutil.copytree(origin / name, folder / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(origin / name, folder / name)
    return folder


def _reads_as(folder: Path, expected: list[list[int]]) -> bool:
    try:
        return token_ids(load_tokenizer(folder)) == expected
    except ModelError:
        return False
