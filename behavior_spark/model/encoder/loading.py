"""Load a model and its tokenizer: local safetensors files, no remote code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json
from behavior_spark.model.encoder.bert import load_bert
from behavior_spark.model.encoder.options import EncoderOptions

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# Tensors that older versions stored although they follow from the config.
_STORED_BY_HABIT = re.compile(r".*(position_ids|token_type_ids|inv_freq|masked_bias|attn\.bias)")


def load_parts(
    folder: Path, options: EncoderOptions, *, frozen_on_cpu: bool = False
) -> tuple[torch.nn.Module, Any]:
    """The model in the options' precision, on the CPU, and its fast tokenizer.

    Args:
        folder: Folder of the model.
        options: How texts become vectors.
        frozen_on_cpu: Whether the model stays there and is not trained: a plain BERT is then
            ours (see ``bert.py``).

    Raises:
        ModelError: transformers cannot load them, or config, weights and vocabulary disagree.
    """
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    model: Any = load_bert(folder, dtype) if frozen_on_cpu else None
    if model is None:
        model = _load_model(folder, dtype)
    if not isinstance(getattr(model.config, "hidden_size", None), int):
        raise _reads_no_tokens(folder, model)
    tokenizer = load_tokenizer(folder)
    check_vocabulary_size(folder, model, tokenizer)
    return model, tokenizer


def _load_model(folder: Path, dtype: torch.dtype) -> Any:
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a pooler missing from the weights is initialised randomly
            model, report = load_weights(AutoModel, folder, dtype)
    except Exception as error:
        raise _not_loaded(folder, "model", error) from error
    check_layers(folder, model, report)
    return model


def load_weights(family: Any, folder: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """A model by one of transformers' ``Auto`` classes, and what transformers found in loading it.

    Tensors of another shape raise nothing: ``check_layers`` refuses them, by name.
    """
    model, report = family.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **_LOCAL,
    )
    return model, report


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a folder.

    Raises:
        ModelError: transformers cannot load it, or the vocabulary is incomplete.
    """
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **_LOCAL)
    except Exception as error:
        raise _not_loaded(folder, "tokenizer", error) from error
    files = dict(type(tokenizer).vocab_files_names)
    expected = [files[kind] for kind in ("vocab_file", "merges_file") if kind in files]
    present = [name for name in expected if (folder / name).exists()]
    missing = [name for name in expected if name not in present] or ["tokenizer.json"]
    if not (folder / "tokenizer.json").exists() and len(present) < max(1, len(expected)):
        raise ModelError(
            f"the tokenizer in {folder} has no whole vocabulary",
            found=f"neither tokenizer.json nor {' and '.join(missing)}",
            fix="copy all files of the tokenizer into the folder",
        )
    if not tokenizer.is_fast or len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ModelError(
            f"the tokenizer in {folder} cannot be used",
            found=f"{len(tokenizer)} words" if tokenizer.is_fast else "a slow tokenizer",
            fix="save the whole fast tokenizer (tokenizer.json) again",
        )
    return tokenizer


def check_layers(folder: Path, model: Any, report: dict[str, Any]) -> None:
    """Check that config and weights agree.

    Every tensor of the model must have weights of its shape, and every stored tensor of the
    model's parts must be in the model.

    Args:
        folder: Where they are.
        model: As transformers loaded it.
        report: What transformers found in loading it.

    Raises:
        ModelError: They do not; it names a tensor.
    """
    missing = [str(key) for key in report["missing_keys"] if not key.startswith("pooler.")]
    misshapen = [
        str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"]
    ]
    base = getattr(model, model.base_model_prefix, model)  # a language model is around another
    parts = {name for part in (model, base) for name, _ in part.named_children()} - {"pooler"}
    left_over = [
        str(key)
        for key in report["unexpected_keys"]
        if _own_part(str(key), model.base_model_prefix) in parts
        and not _STORED_BY_HABIT.fullmatch(str(key))
    ]
    for keys, problem in (
        (missing, "missing in the weights"),
        (misshapen, "of another shape in the weights"),
        (left_over, "in the weights and not in the config's model"),
    ):
        if keys:
            raise ModelError(
                f"config.json and weights in {folder} do not agree",
                found=f"{len(keys)} tensors {problem}, such as {min(keys)}",
                fix="use config.json and weights of one model, saved together",
            )


def _own_part(key: str, prefix: str) -> str:
    """The part of the model a stored tensor belongs to, by its name."""
    return key.removeprefix(f"{prefix}.").partition(".")[0]


def check_vocabulary_size(folder: Path, model: Any, tokenizer: Any) -> None:
    """Refuse a vocabulary with ids that the model has no embedding for.

    Raises:
        ModelError: It has; or the model has no embeddings of tokens at all.
    """
    try:
        rows = int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise _reads_no_tokens(folder, model) from error
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest >= rows:
        raise ModelError(
            f"the vocabulary in {folder} is not the model's",
            found=f"token ids up to {highest:,}, embeddings of {rows:,} tokens",
            fix="use tokenizer and weights of one model, saved together",
        )


def _reads_no_tokens(folder: Path, model: Any) -> ModelError:
    """The error of a model of pictures, sound, characters, or of two things together."""
    return ModelError(
        f"the model in {folder} is none that reads the tokens of a text alone",
        found=f"model_type {model.config.model_type}",
        fix="use an encoder of texts: BERT, RoBERTa, XLM-R, MPNet, DeBERTa, ModernBERT or the like",
    )


def _not_loaded(folder: Path, what: str, error: Exception) -> ModelError:
    """The error to raise; it names the damaged file if one is not JSON."""
    for path in _json_files(folder):
        try:
            read_json(path)
        except ModelError:
            return ModelError(
                f"{path.name} in {folder} is damaged: it is no JSON object",
                found=f"{path.stat().st_size} bytes",
                fix="copy or download the file again",
            )
    vocabulary = next((path.name for path in folder.glob("*.model")), None)
    if vocabulary and what == "tokenizer" and find_spec("sentencepiece") is None:
        return ModelError(
            f"the tokenizer in {folder} cannot be read without the package sentencepiece",
            found=f"{vocabulary}, and no tokenizer.json",
            fix="pip install sentencepiece on driver and workers",
        )
    return ModelError(
        f"transformers cannot load the {what} in {folder}",
        found=f"{type(error).__name__}, model_type {_model_type(folder)}",
        fix="give a Hugging Face folder saved with safetensors and a fast tokenizer",
    )


def _model_type(folder: Path) -> str:
    path = folder / "config.json"
    return str(read_json(path).get("model_type")) if path.exists() else "not known"


def _json_files(folder: Path) -> Iterable[Path]:
    names = ("config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
             "added_tokens.json", "vocab.json")  # fmt: skip
    return (folder / name for name in names if (folder / name).exists())


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Turn off transformers' progress bars and load reports within the block."""
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
