"""Embeddings of labelled texts, kept beside the models so that a text is embedded once.

Labelled texts need not be texts of the warehouse, and have no place among users' scores. Layout
under ``<root>/text/``::

    labelled_embeddings/<encoder digest>/<content>.safetensors

A file has ``hashes``, uint8 [n, 32], of the clean texts, and ``vectors``, float32 [n, dimension];
no text. What is new goes into a file of its own; none is changed. Deleting the folder costs time
alone.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from behavior_spark.model.arrays import Floats
from behavior_spark.shared_folder import SharedFolder

FOLDER = "labelled_embeddings"


class LabelledEmbeddings:
    """The embeddings of labelled texts in a registry, by encoder and hash of the text."""

    def __init__(self, registry: SharedFolder) -> None:
        self._registry = registry

    def look_up(self, encoder: str, hashes: Sequence[str]) -> dict[str, Floats]:
        """Vectors, float32 [dimension], of the hashes that are known; a damaged file is skipped.

        Args:
            encoder: Digest of the encoder.
            hashes: SHA-256 of clean texts, 64 hexadecimal digits.
        """
        wanted = {bytes.fromhex(name): name for name in hashes}
        vectors: dict[str, Floats] = {}
        if not wanted:
            return vectors
        for path in sorted(self._registry.fetch(f"{FOLDER}/{encoder}").glob("*.safetensors")):
            try:
                tensors = load_file(str(path))
                keys, values = tensors["hashes"], tensors["vectors"]
            except (OSError, SafetensorError, KeyError):
                continue
            for key, vector in zip(keys, values, strict=False):
                if name := wanted.get(key.tobytes()):
                    vectors[name] = vector
        return vectors

    def keep(self, encoder: str, hashes: Sequence[str], vectors: Floats) -> None:
        """Add embeddings, float32 [n, dimension]; rows that are not finite are left out.

        Args:
            encoder: Digest of the encoder.
            hashes: SHA-256 of clean texts, 64 hexadecimal digits.
            vectors: Their embeddings.
        """
        rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        if not len(rows):
            return
        keys = b"".join(bytes.fromhex(hashes[row]) for row in rows.tolist())
        name = f"{FOLDER}/{encoder}/{hashlib.sha256(keys).hexdigest()[:16]}.safetensors"
        path: Path = self._registry.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        tensors = {
            "hashes": np.frombuffer(keys, dtype=np.uint8).reshape(len(rows), 32),
            "vectors": np.ascontiguousarray(vectors[rows], dtype=np.float32),
        }
        try:
            save_file(tensors, str(temporary))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._registry.publish(name)
