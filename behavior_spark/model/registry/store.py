"""The registry: published text models by digest, aliases that point at them, what was measured.

Layout under ``<root>/text/``::

    <digest>/            a model: manifest.json, heads/, encoder/, record.json, card.md
    aliases/<name>       the digest that a name such as champion stands for
    promotions/*.jsonl   who replaced whom, a line and a file for each
    evaluations/<digest>/<data>.json    figures of a model on one state of held-out data
    precision.json       precisions chosen for encoders used as they are

A file is written whole under another name and then renamed, and none is appended to: volumes
over object stores can do that. What is published is never changed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import publish_folder, read_json, staging_path, write_json
from behavior_spark.model.registry.text_model import load_text_model

CHAMPION, CHALLENGER = "champion", "challenger"

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{16}")


class ModelStore:
    """Published text models and their aliases.

    Publishing is safe beside other writers. An alias is replaced in one step; of two writers
    at the same moment the last one's stands.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root) / "text"

    def publish_text_model(self, model: Path | Callable[[Path], object]) -> Path:
        """Verify a model and place it at ``<root>/text/<digest>/``; done before is done.

        Args:
            model: A saved model's folder, or a function that writes one at the path it is given.

        Raises:
            ModelError: The model does not pass :func:`load_text_model`.
        """
        with staging_path(self.root) as staging:
            if callable(model):
                model(staging)
            else:
                load_text_model(model)
                shutil.copytree(model, staging)
            digest = load_text_model(staging).digest
            target = self.root / digest
            publish_folder(staging, target)
            load_text_model(target)
            return target

    def folder(self, digest: str) -> Path:
        """Folder of a published model.

        Raises:
            ModelError: No model with this digest is published.
        """
        found = self.root / digest
        if not _DIGEST.fullmatch(digest) or not (found / "manifest.json").is_file():
            raise ModelError(
                f"no text model {digest!r} in {self.root}",
                found=", ".join(self.digests()) or "no models",
                fix="publish the model first",
            )
        return found

    def digests(self) -> list[str]:
        """Digests of all published models, sorted."""
        found = self.root.glob("*/manifest.json")
        return sorted(path.parent.name for path in found if not path.parent.name.startswith("."))

    def set_alias(self, name: str, digest: str) -> None:
        """Let ``name`` (such as ``champion``) stand for a published model.

        Raises:
            ModelError: The model is not published, or the name is not a plain lower-case word.
        """
        if not _ALIAS.fullmatch(name):
            raise ModelError("an alias is a lower-case word", found=name, fix="such as champion")
        self.folder(digest)
        self._replace(Path("aliases") / name, {"digest": digest})

    def drop_alias(self, name: str) -> None:
        """Let ``name`` stand for nothing; so it may already."""
        if _ALIAS.fullmatch(name):
            (self.root / "aliases" / name).unlink(missing_ok=True)

    def alias(self, name: str) -> str | None:
        """Digest that ``name`` stands for, None where it stands for nothing."""
        return self.aliases().get(name)

    def aliases(self) -> dict[str, str]:
        """All aliases and the digests they stand for."""
        names = sorted(path.name for path in (self.root / "aliases").glob("[a-z]*"))
        found = {name: self._read(Path("aliases") / name).get("digest") for name in names}
        return {name: str(digest) for name, digest in found.items() if digest}

    def resolve(self, name: str) -> str:
        """The digest of a published model named by an alias or by its digest.

        Raises:
            ModelError: There is no such alias or model.
        """
        digest = self.alias(name)
        if digest is None and not _DIGEST.fullmatch(name):
            raise ModelError(
                f"no model is called {name!r}",
                found=", ".join(f"{a} ({d})" for a, d in self.aliases().items()) or "no alias",
                fix="give an alias or a digest; `behavior-spark models` lists both",
            )
        return self.folder(digest or name).name

    def record_evaluation(self, digest: str, data: str, content: Mapping[str, Any]) -> Path:
        """Keep what was measured of a model on one state of held-out data; the latest stands.

        Args:
            digest: The model's.
            data: Fingerprint of the held-out data, letters and digits.
            content: JSON values.
        """
        self.folder(digest)
        return self._replace(Path("evaluations") / digest / f"{data}.json", dict(content))

    def evaluations(self, digest: str) -> list[dict[str, Any]]:
        """All that was measured of a model, the latest last."""
        found = [read_json(path) for path in (self.root / "evaluations" / digest).glob("*.json")]
        return sorted(found, key=lambda each: str(each.get("measured_at", "")))

    def precision(self, encoder_digest: str) -> str | None:
        """The precision recorded for an encoder used as it is; None where none was chosen."""
        found = self._read(Path("precision.json")).get(encoder_digest)
        return None if found is None else str(found["precision"])

    def record_precision(self, encoder_digest: str, check: Mapping[str, Any]) -> None:
        """Keep a self-check's outcome; one that is there stays, since scores rest on it.

        Args:
            encoder_digest: Digest of the encoder in fp32.
            check: JSON values, ``precision`` among them.
        """
        name = Path("precision.json")
        self._replace(name, {encoder_digest: dict(check)} | self._read(name))

    def _read(self, name: Path) -> dict[str, Any]:
        path = self.root / name
        return read_json(path) if path.exists() else {}

    def _replace(self, name: Path, content: dict[str, Any]) -> Path:
        """Write a file whole, in one step."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(sorted(content.items())))
        return path
