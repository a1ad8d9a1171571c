"""Hashes of the texts that a model has learned from, so that it is not measured on them.

Texts are equal if they are equal after case-folding and collapsing white space. Of each text a
model keeps the first 64 bits of a hash, keyed if the project has a key. A text can be recognised
by it but not read from it. Among a million different texts the chance that any two have the same
hash is one in forty million.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.holding_out import normalise_text

Keys = npt.NDArray[np.uint64]
FILE = "learned_from.safetensors"


def text_keys(texts: Sequence[str], *, key: str | None = None) -> Keys:
    """First 64 bits of the SHA-256 of each normalised text (HMAC with a key), uint64 [n].

    >>> bool((text_keys(["Red  MUG"]) == text_keys(["red mug"])).all())
    True
    """
    secret = None if key is None else key.encode()

    def digest(text: str) -> bytes:
        content = normalise_text(text).encode("utf-8", errors="replace")
        if secret is None:
            return hashlib.sha256(content).digest()[:8]
        return hmac.digest(secret, content, "sha256")[:8]

    joined = b"".join(digest(text) for text in texts)
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)


def key_check(key: str | None) -> str:
    """16 hex characters that identify a key without revealing it; empty without a key."""
    return "" if key is None else hmac.digest(key.encode(), b"learned_from", "sha256")[:8].hex()


@dataclass(frozen=True, eq=False)
class LearnedFrom:
    """Hashes (:func:`text_keys`) of the texts that a model has learned from.

    Attributes:
        train: Texts that the weights were fitted to, uint64 [n].
        dev: Texts by which an epoch, a temperature or a threshold was chosen, uint64 [m].
        key_check: :func:`key_check` of the hashes' key; empty without a key.
    """

    train: Keys
    dev: Keys
    key_check: str = ""

    def save(self, folder: Path) -> None:
        """Write ``learned_from.safetensors`` into a model's folder; hashes sorted, each once."""
        tensors = {"train": np.unique(self.train), "dev": np.unique(self.dev)}
        tensors = {name: keys.view(np.int64) for name, keys in tensors.items()}
        save_file(tensors, str(folder / FILE), metadata={"key_check": self.key_check})

    @classmethod
    def load(cls, folder: Path) -> LearnedFrom | None:
        """What :meth:`save` wrote; None if the folder has no such file.

        Raises:
            ModelError: The file is damaged.
        """
        from safetensors import safe_open

        path = folder / FILE
        if not path.exists():
            return None
        try:
            hashes = {name: keys.view(np.uint64) for name, keys in load_file(str(path)).items()}
            with safe_open(str(path), framework="np") as file:
                check = file.metadata()["key_check"]
            return cls(hashes["train"], hashes["dev"], check)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"cannot read which texts the model in {folder} learned from",
                found=type(error).__name__,
                fix="restore the folder, or train the model again",
            ) from error

    def shared_with(self, keys: Keys, *, dev: bool = True) -> npt.NDArray[np.bool_]:
        """Which of ``keys``, uint64 [n], are in ``train``, or in ``dev`` if asked; bool [n]."""
        shared = np.isin(keys, self.train)
        return shared | np.isin(keys, self.dev) if dev else shared
