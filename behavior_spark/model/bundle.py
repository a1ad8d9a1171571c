"""A text model as one immutable folder, and the store that finds it by digest or alias.

Layout: ``manifest.json``, ``heads/<name>/``, and ``encoder/`` where the encoder was itself
fine-tuned; else the manifest names where the encoder comes from.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.model.heads import Head
from behavior_spark.model.model_folder import (
    EncoderOptions,
    backbone_digest,
    effective_options,
    read_json,
    resolve_model_folder,
    short_digest,
)

FORMAT = 1
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RESTORE = "restore the folder, or publish the model again"


@dataclass(frozen=True, eq=False)
class TextModel:
    """One encoder and the heads that read its embeddings.

    Attributes:
        encoder_source: Folder or ``package:`` name, ready for ``cached_encoder``.
        options: How texts become vectors.
        heads: By name; every head reads embeddings of this encoder.
        digest: 16 hex characters over the encoder's and the heads' digests.
        metadata: What the maker wrote down (mode, seed, ...); no part of the digest.
    """

    encoder_source: str
    options: EncoderOptions
    heads: dict[str, Head]
    digest: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def backbone_digest(self) -> str:
        """Digest of the encoder: the key under which its embeddings are stored."""
        return backbone_digest(self.encoder_source, self.options)


def text_model_digest(encoder_digest: str, heads: Mapping[str, Head]) -> str:
    """16 hex characters over the encoder's digest and each head's."""
    content = [encoder_digest, sorted((name, head.digest) for name, head in heads.items())]
    return short_digest(json.dumps(content).encode())


def save_text_model(
    folder: Path,
    *,
    encoder_source: str,
    options: EncoderOptions,
    heads: Mapping[str, Head],
    copy_encoder: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> TextModel:
    """Write a text model to ``folder``, which appears whole or not at all.

    Args:
        folder: A path at which nothing is yet.
        encoder_source: Folder or ``package:`` name of the encoder.
        options: Encoder options; ``max_length`` is stored as capped by the model.
        heads: By name; each trained on this encoder's embeddings.
        copy_encoder: Put the encoder's files into the bundle (for a fine-tuned encoder).
        metadata: JSON values to keep with the model.

    Raises:
        ModelError: The folder is taken, or a head belongs to another encoder.
    """
    source_folder = resolve_model_folder(encoder_source)
    options = effective_options(source_folder, options)
    encoder_digest = backbone_digest(encoder_source, options)
    _check_heads(heads, encoder_digest)
    if copy_encoder:
        entry = "encoder"
    elif encoder_source.startswith("package:"):
        entry = encoder_source
    else:
        entry = str(source_folder)
    manifest = {
        "format": FORMAT,
        "encoder": entry,
        "encoder_digest": encoder_digest,
        "options": asdict(options),
        "heads": {name: heads[name].digest for name in sorted(heads)},
        "digest": text_model_digest(encoder_digest, heads),
        "metadata": dict(metadata or {}),
    }
    with staged_folder(folder) as staging:
        if copy_encoder:
            shutil.copytree(source_folder, staging / "encoder")
        for name, head in heads.items():
            head.save(staging / "heads" / name)
        _write_json(staging / "manifest.json", manifest)
    return load_text_model(folder)


def load_text_model(folder: Path) -> TextModel:
    """Read and verify a text model; the encoder's weights are hashed, not loaded.

    Raises:
        ModelError: A part is missing, damaged, or another than the manifest recorded.
    """
    manifest = read_json(folder / "manifest.json")
    try:
        if manifest["format"] != FORMAT:
            raise ModelError(
                f"the text model in {folder} has another format",
                found=str(manifest["format"]),
                fix=f"this version reads format {FORMAT}",
            )
        source = _encoder_source(folder, manifest["encoder"])
        options = EncoderOptions(**manifest["options"])
        recorded, encoder_digest = manifest["digest"], manifest["encoder_digest"]
        head_digests = dict(manifest["heads"])
        metadata = dict(manifest["metadata"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the manifest of {folder} is not complete", found=type(error).__name__, fix=_RESTORE
        ) from error
    _check_digest(
        f"the encoder of {folder}", found=backbone_digest(source, options), recorded=encoder_digest
    )
    heads = {name: Head.load(folder / "heads" / name) for name in head_digests}
    for name, head in heads.items():
        _check_digest(
            f"the head {name!r} of {folder}", found=head.digest, recorded=head_digests[name]
        )
    _check_heads(heads, encoder_digest)
    _check_digest(
        f"the text model in {folder}",
        found=text_model_digest(encoder_digest, heads),
        recorded=recorded,
    )
    return TextModel(source, options, heads, recorded, metadata)


class ModelStore:
    """Published text models under ``root/text/<digest>/``, and aliases that point at them.

    Publishing is safe beside other writers. ``set_alias`` replaces the alias file in one step;
    of two writers at the same moment the last one's file stands.
    """

    def __init__(self, root: Path) -> None:
        self._folder = Path(root) / "text"

    def publish_text_model(self, model: Path | Callable[[Path], object]) -> Path:
        """Verify a model and place it at ``<root>/text/<digest>/``; done before is done.

        Args:
            model: A saved model's folder, or a function that writes one at the path it is given.

        Raises:
            ModelError: The model does not pass :func:`load_text_model`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        staging = self._folder / f".staging-{uuid.uuid4().hex}"
        try:
            if callable(model):
                model(staging)
            else:
                load_text_model(model)
                shutil.copytree(model, staging)
            digest = load_text_model(staging).digest
            target = self._folder / digest
            try:
                staging.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
            load_text_model(target)
            return target
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def folder(self, digest: str) -> Path:
        """Folder of a published model.

        Raises:
            ModelError: No model with this digest is published.
        """
        found = self._folder / digest
        if not re.fullmatch("[0-9a-f]{16}", digest) or not (found / "manifest.json").is_file():
            raise ModelError(
                f"no text model {digest!r} in {self._folder}",
                found=", ".join(self.digests()) or "no models",
                fix="publish the model first",
            )
        return found

    def digests(self) -> list[str]:
        """Digests of all published models, sorted."""
        found = self._folder.glob("*/manifest.json")
        return sorted(path.parent.name for path in found if not path.parent.name.startswith("."))

    def set_alias(self, name: str, digest: str) -> None:
        """Let ``name`` (such as ``champion``) stand for a published model.

        Raises:
            ModelError: The model is not published, or the name is not a plain lower-case word.
        """
        if not _ALIAS.fullmatch(name):
            raise ModelError("an alias is a lower-case word", found=name, fix="such as champion")
        self.folder(digest)
        self._replace_json("aliases.json", self.aliases() | {name: digest})

    def alias(self, name: str) -> str | None:
        """Digest that ``name`` stands for, None where it was never set."""
        return self.aliases().get(name)

    def precision(self, encoder_digest: str) -> str | None:
        """The precision recorded for an encoder used as it is; None where none was chosen."""
        found = self._precisions().get(encoder_digest)
        return None if found is None else str(found["precision"])

    def record_precision(self, encoder_digest: str, check: Mapping[str, Any]) -> None:
        """Keep a self-check's outcome; one that is there stays, since scores rest on it.

        Args:
            encoder_digest: Digest of the encoder in fp32.
            check: JSON values, ``precision`` among them.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._replace_json("precision.json", {encoder_digest: dict(check)} | self._precisions())

    def _precisions(self) -> dict[str, Any]:
        path = self._folder / "precision.json"
        return read_json(path) if path.exists() else {}

    def _replace_json(self, name: str, content: dict[str, Any]) -> None:
        temporary = self._folder / f".{name}-{uuid.uuid4().hex}"
        try:
            _write_json(temporary, dict(sorted(content.items())))
            temporary.replace(self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)

    def aliases(self) -> dict[str, str]:
        """All aliases and the digests they stand for."""
        path = self._folder / "aliases.json"
        if not path.exists():
            return {}
        return {name: str(digest) for name, digest in read_json(path).items()}


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """A new sibling folder that becomes ``folder`` on success and vanishes on failure."""
    if folder.exists():
        raise ModelError(
            f"{folder} exists already, and a saved model is never changed",
            fix="save to a new folder",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        yield staging
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _encoder_source(folder: Path, entry: str) -> str:
    if entry.startswith("package:") or Path(entry).is_absolute():
        return entry
    inside = (folder / entry).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise ModelError(
            f"the manifest of {folder} names an encoder outside it", found=entry, fix=_RESTORE
        )
    return str(inside)


def _check_heads(heads: Mapping[str, Head], encoder_digest: str) -> None:
    if not heads:
        raise ModelError("a text model needs at least one head")
    for name, head in heads.items():
        if head.name != name or head.backbone_digest != encoder_digest:
            raise ModelError(
                f"the head {name!r} does not belong to this encoder",
                found=f"head {head.name!r} of encoder {head.backbone_digest}, not {encoder_digest}",
                fix="train the head on this encoder's embeddings",
            )


def _check_digest(what: str, *, found: str, recorded: str) -> None:
    if found != recorded:
        raise ModelError(
            f"{what} is not the one the manifest recorded",
            found=f"digest {found}, recorded {recorded}",
            fix=_RESTORE,
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
