"""Which texts a model has learned from, kept as hashes, so that none of them is measured on.

Two texts count as one where they are equal case-folded and with white space collapsed. A model
keeps 64 bits of a hash of each, keyed where the project has a key: enough to find a text again
(two of a million differ with odds of one in forty million), and not to read it.
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
from behavior_spark.model.heads.labelled import normalise_text

Keys = npt.NDArray[np.uint64]
FILE = "learned_from.safetensors"


def text_keys(texts: Sequence[str], *, key: str | None = None) -> Keys:
    """uint64 [n]: SHA-256 of the normalised texts (HMAC with a key), the first 64 bits.

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
    """16 hex characters by which a key is known again, and not learned; empty without one."""
    return "" if key is None else hmac.digest(key.encode(), b"learned_from", "sha256")[:8].hex()


@dataclass(frozen=True, eq=False)
class LearnedFrom:
    """The texts behind a model, as :func:`text_keys`, sorted, each once.

    Attributes:
        train: Texts whose labels its weights were fitted to.
        dev: Texts that chose among weights, a temperature, a threshold.
        key_check: Of the key of the hashes; empty where they have none.
    """

    train: Keys
    dev: Keys
    key_check: str = ""

    def save(self, folder: Path) -> None:
        """Write ``learned_from.safetensors`` into a model's folder."""
        tensors = {"train": np.unique(self.train), "dev": np.unique(self.dev)}
        tensors = {name: keys.view(np.int64) for name, keys in tensors.items()}
        save_file(tensors, str(folder / FILE), metadata={"key_check": self.key_check})

    @classmethod
    def load(cls, folder: Path) -> LearnedFrom | None:
        """What :meth:`save` wrote; None where a model keeps no such record.

        Raises:
            ModelError: The file is damaged.
        """
        from safetensors import safe_open

        path = folder / FILE
        if not path.exists():
            return None
        try:
            found = {name: keys.view(np.uint64) for name, keys in load_file(str(path)).items()}
            with safe_open(str(path), framework="np") as file:
                check = file.metadata()["key_check"]
            return cls(found["train"], found["dev"], check)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"cannot read which texts the model in {folder} learned from",
                found=type(error).__name__,
                fix="restore the folder, or train the model again",
            ) from error

    def shared_with(self, keys: Keys, *, dev: bool = True) -> npt.NDArray[np.bool_]:
        """bool [n]: which of ``keys`` it has seen; without ``dev``, which its weights have."""
        found = np.isin(keys, self.train)
        return found | np.isin(keys, self.dev) if dev else found
