"""A propensity model as it is stored: its description as JSON, and the bytes of its learner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from behavior_spark.errors import ModelError
from behavior_spark.files import short_digest, staged_folder, write_json
from behavior_spark.model.propensity.learner import DEFAULT_LEARNER, find_learner
from behavior_spark.model.propensity.target_kind import DEFAULT_KIND

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class StoredModel:
    """What is written of a model; what is read is not checked until :meth:`checked`.

    Attributes:
        text: The description with its digest, JSON.
        learned: Bytes of the fitted learner.
        origin: Where it was read, for errors.
    """

    text: bytes
    learned: bytes = field(repr=False)
    origin: str = "bytes"

    @classmethod
    def of(cls, description: Mapping[str, Any], learned: bytes) -> Self:
        """A model to be written."""
        whole = {**description, "digest": digest_of(description, learned)}
        return cls(json.dumps(whole).encode(), learned)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What :meth:`to_bytes` gave."""
        end = 8 + int.from_bytes(data[:8], "big")
        return cls(data[8:end], data[end:])

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote.

        Raises:
            ModelError: There is no model in the folder.
        """
        try:
            text = (folder / MODEL_FILE).read_bytes()
            learner = find_learner(cls(text, b"").learner)
            return cls(text, (folder / learner.file).read_bytes(), str(folder))
        except OSError as error:
            raise ModelError(
                f"no propensity model at {folder}",
                found=error.strerror,
                fix="run train-propensity, or correct the path",
            ) from error

    def to_bytes(self) -> bytes:
        """All of it as bytes."""
        return len(self.text).to_bytes(8, "big") + self.text + self.learned

    def write(self, folder: Path) -> None:
        """Write the learner's file and `model.json`, completely or not at all."""
        with staged_folder(folder, replace=True) as staging:
            (staging / find_learner(self.learner).file).write_bytes(self.learned)
            write_json(staging / MODEL_FILE, json.loads(self.text))

    @property
    def kind(self) -> str:
        """Name of the target's kind."""
        return self._named("kind", DEFAULT_KIND)

    @property
    def learner(self) -> str:
        """Name of the learner."""
        return self._named("learner", DEFAULT_LEARNER)

    def checked(self) -> dict[str, Any]:
        """The description, without its digest.

        Raises:
            ModelError: It is damaged or was changed.
        """
        try:
            description: dict[str, Any] = json.loads(self.text)
            recorded = description.pop("digest")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self.damaged(type(error).__name__) from error
        if recorded != digest_of(description, self.learned):
            raise self.damaged("its digest does not match")
        return description

    def damaged(self, found: str) -> ModelError:
        """The error of a model that is not as it was written."""
        return ModelError(
            f"the propensity model from {self.origin} is damaged or was changed",
            found=found,
            fix="train it again",
        )

    def _named(self, key: str, default: str) -> str:
        """The name under a key. A damaged description gives the default; ``checked`` raises."""
        try:
            return str(json.loads(self.text).get(key, default))
        except (ValueError, AttributeError):
            return default


def digest_of(description: Mapping[str, Any], learned: bytes) -> str:
    """Digest of a description without digest and of what was learned, 16 hex characters."""
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return short_digest(canonical.encode() + b"\0" + learned)
