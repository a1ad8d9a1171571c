"""A text model as one immutable folder, safetensors and JSON alone.

Layout: ``manifest.json``, ``heads/<name>/``, and ``encoder/`` where the encoder was itself
fine-tuned; else the manifest names where the encoder comes from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json, short_digest, staged_folder, write_json
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    effective_options,
    resolve_model_folder,
)
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.head import Head
from behavior_spark.shared_folder import is_address

FORMAT = 2
_RESTORE = "restore the folder, or publish the model again"


@dataclass(frozen=True, eq=False)
class TextModel:
    """One encoder and the heads that read its embeddings.

    Attributes:
        encoder_source: Folder or ``package:`` name, ready for ``cached_encoder``.
        options: How texts become vectors.
        heads: By name; every head reads embeddings of this encoder.
        digest: See :func:`text_model_digest`.
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
    """16 hex characters over the encoder's digest, each head's, and the last day it learned from.

    That day decides no score, but which nights may use them: with another one it is another model.
    """
    content = [
        encoder_digest,
        sorted(
            (name, head.digest, *([head.trained_through] if head.trained_through else []))
            for name, head in heads.items()
        ),
    ]
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
    elif encoder_source.startswith(("package:", "hub:")) or is_address(encoder_source):
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
        write_json(staging / "manifest.json", manifest)
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
                fix=f"this version reads format {FORMAT}: run `behavior-spark finetune` again",
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


def _encoder_source(folder: Path, entry: str) -> str:
    named = entry.startswith(("package:", "hub:")) or is_address(entry)
    if named or Path(entry).is_absolute():
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
