"""The registry: published text models by digest, their aliases and their evaluations.

Layout under ``<root>/text/``::

    <digest>/            a model: manifest.json, heads/, encoder/, record.json, card.md
    aliases/<name>       the digest that a name such as champion stands for
    promotions/*.jsonl   the log of promotions, a file of one line for each
    evaluations/<digest>/<data>.json    figures of a model on one state of held-out data
    precision.json       precisions chosen for encoders that were not fine-tuned, and for annotators

``root`` is a folder or the address of one in an object store (``shared_folder``). A file is written
under a temporary name and then renamed, or put into the store in one step; none is appended to,
because object stores do not support it. A published model is never changed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import publish_folder, read_json, staging_path, write_json
from behavior_spark.model.registry.text_model import TextModel, load_text_model
from behavior_spark.shared_folder import SharedFolder

CHAMPION, CHALLENGER = "champion", "challenger"

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{16}")


class ModelStore:
    """Published text models and their aliases.

    Several processes may publish at the same time. An alias is replaced in one step; if two
    processes replace it at the same time, the last one wins.
    """

    def __init__(self, root: Path | str) -> None:
        self.shared = SharedFolder(root) / "text"

    @property
    def root(self) -> Path:
        """The folder on this machine: itself, or the copy of one in an object store."""
        return self.shared.path

    def publish_text_model(self, model: Path | Callable[[Path], object]) -> Path:
        """Verify a model and copy it to ``<root>/text/<digest>/``; nothing if it is published.

        Args:
            model: Folder of a saved model, or a function that saves one at the given path.

        Returns:
            Folder of the published model.

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
            self.shared.publish(digest)
            return target

    def load(self, digest: str) -> TextModel:
        """A published model, verified. Its encoder is named so that every worker finds it.

        Raises:
            ModelError: No model with this digest is published, or it is damaged.
        """
        folder = self.folder(digest)
        model = load_text_model(folder)
        own = folder.resolve() / "encoder"
        if self.shared.is_remote and Path(model.encoder_source) == own:
            return replace(model, encoder_source=f"{self.shared.location}/{digest}/encoder")
        return model

    def folder(self, digest: str) -> Path:
        """Folder of a published model on this machine.

        Raises:
            ModelError: No model with this digest is published.
        """
        path = self.shared.fetch(digest) if _DIGEST.fullmatch(digest) else Path()
        if not (path / "manifest.json").is_file():
            raise ModelError(
                f"no text model {digest!r} in {self.shared.location}",
                found=", ".join(self.digests()) or "no models",
                fix="publish the model first",
            )
        return path

    def digests(self) -> list[str]:
        """Digests of all published models, sorted."""
        return self.shared.folders_with("manifest.json")

    def set_alias(self, name: str, digest: str) -> None:
        """Point the alias ``name`` (such as ``champion``) at a published model.

        Raises:
            ModelError: The model is not published, or the name is not a lower-case word.
        """
        if not _ALIAS.fullmatch(name):
            raise ModelError("an alias is a lower-case word", found=name, fix="such as champion")
        self.folder(digest)
        self.write(f"aliases/{name}", {"digest": digest})

    def drop_alias(self, name: str) -> None:
        """Remove the alias ``name`` if it exists."""
        if _ALIAS.fullmatch(name):
            self.shared.remove(f"aliases/{name}")

    def alias(self, name: str) -> str | None:
        """Digest of the model that the alias points at; None if there is no such alias."""
        return self.aliases().get(name)

    def aliases(self) -> dict[str, str]:
        """Digest of the model that each alias points at, by alias."""
        paths = sorted(self.shared.fetch("aliases").glob("[a-z]*"))
        digests = {path.name: read_json(path).get("digest") for path in paths}
        return {name: str(digest) for name, digest in digests.items() if digest}

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
        """Store the evaluation of a model on one state of held-out data; replaces an earlier one.

        Args:
            digest: Digest of the model.
            data: Fingerprint of the held-out data, letters and digits.
            content: JSON values.

        Returns:
            Path of the file.
        """
        self.folder(digest)
        return self.write(f"evaluations/{digest}/{data}.json", content)

    def evaluations(self, digest: str) -> list[dict[str, Any]]:
        """All evaluations of a model, the latest last."""
        paths = self.shared.fetch(f"evaluations/{digest}").glob("*.json")
        evaluations = [read_json(path) for path in paths]
        return sorted(evaluations, key=lambda content: str(content.get("measured_at", "")))

    def precision(self, encoder_digest: str) -> str | None:
        """The precision recorded for an encoder or annotator (digest in fp32); None: none yet."""
        check = self._precisions().get(encoder_digest)
        return None if check is None else str(check["precision"])

    def record_precision(self, encoder_digest: str, check: Mapping[str, Any]) -> None:
        """Store the result of a self-check of precision, unless the encoder has one.

        An earlier result is never replaced, because stored scores depend on it.

        Args:
            encoder_digest: Digest of the encoder or annotator in fp32.
            check: JSON values with at least ``precision``.
        """
        self.write("precision.json", {encoder_digest: dict(check)} | self._precisions())

    def write(
        self, name: str, content: Mapping[str, Any], *, indent: int | None = 2, sort: bool = True
    ) -> Path:
        """Replace the JSON file ``name`` in one step, for everybody; gives its path here."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(sorted(content.items())) if sort else content, indent=indent)
        self.shared.publish(name)
        return path

    def _precisions(self) -> dict[str, Any]:
        path = self.shared.fetch("precision.json")
        return read_json(path) if path.exists() else {}
