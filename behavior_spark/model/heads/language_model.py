"""Load a causal language model, and refuse what is none, is not whole, or cannot compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json
from behavior_spark.model.encoder.loading import (
    check_layers,
    check_vocabulary_size,
    load_tokenizer,
    load_weights,
    quiet_transformers,
)
from behavior_spark.model.encoder.model_folder import refuse_own_code, resolve_model_folder
from behavior_spark.model.encoder.options import Precision

# A smaller difference of scores, as a share of the largest, is no reading ahead.
_LEAST_DIFFERENCE = 1e-3
_USE = "give a causal language model of a family such as GPT-2, Llama or Qwen, with safetensors"


def language_model_folder(source: str) -> Path:
    """The folder of a language model, as ``resolve_model_folder`` finds it.

    Raises:
        ModelError: There is none, or it is in GGUF (llama.cpp's format): its weights are quantised
            and its tokenizer is rebuilt by rules that differ by model, so that it is converted
            once (:mod:`.gguf`) and looked at.
    """
    place = Path(source)
    files = [place.name] if place.suffix.lower() == ".gguf" else []
    if place.is_dir() and not any(place.glob("*.safetensors")):
        files = sorted(path.name for path in place.iterdir() if path.suffix.lower() == ".gguf")
    if files:
        file = place if place.name == files[0] else place / files[0]
        raise ModelError(
            "a language model in GGUF is not read",
            found=f"{source}: {files[0]}",
            fix="give the folder it was made from (config.json, safetensors), or convert it once: "
            f"python -m behavior_spark.model.heads.gguf {file} FOLDER",
        )
    return resolve_model_folder(source)


def load_language_model(
    folder: Path, device: str | None, precision: Precision = "fp32"
) -> tuple[Any, Any]:
    """The model on a device, in a precision, and its fast tokenizer.

    Raises:
        ModelError: The folder holds no causal language model in Hugging Face format with
            safetensors and a fast tokenizer, parts of it are missing or do not fit each other, or
            its scores are not finite.
    """
    config = read_json(folder / "config.json")
    refuse_own_code(folder)
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"the model in {folder} is an encoder with a decoder, not a causal language model",
            found=f"model_type {config.get('model_type')}",
            fix=_USE,
        )
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        with quiet_transformers():
            model, report = load_weights(AutoModelForCausalLM, folder, dtype)
    except Exception as error:
        raise ModelError(
            f"transformers cannot load a causal language model from {folder}",
            found=f"{type(error).__name__}, model_type {config.get('model_type')}",
            fix=_USE,
        ) from error
    try:
        check_layers(folder, model, report)
    except ModelError as error:
        raise ModelError(
            f"the folder {folder} has no whole causal language model", found=error.found, fix=_USE
        ) from error
    tokenizer = load_tokenizer(folder)
    check_vocabulary_size(folder, model, tokenizer)
    model = model.to(target).eval()
    _check_scores(folder, model)
    return model, tokenizer


def _check_scores(folder: Path, model: Any) -> None:
    """Two texts that differ in the last token alone have the same finite scores before it.

    Each is read by itself: passes of one shape are computed alike, to the last bit on most devices.
    In one batch bf16 would round two rows apart, by as much as what a small model reads ahead.
    """
    tokens = int(model.get_input_embeddings().weight.shape[0])

    def scores(last: int) -> torch.Tensor:
        ids = torch.tensor([[1, 2, last]], device=model.device) % tokens
        with torch.inference_mode():
            all_scores: torch.Tensor = model(input_ids=ids).logits.float()
        return all_scores

    one, same, other = scores(3), scores(3), scores(4)
    if not bool(torch.isfinite(torch.cat([one, other])).all()):
        raise not_finite(folder)
    rounding = (one - same).abs().max()
    difference = (one - other)[0, :2].abs().max()
    if difference > torch.maximum(4 * rounding, _LEAST_DIFFERENCE * one.abs().max()):
        raise ModelError(
            f"the model in {folder} is no causal language model: it reads what comes after a word",
            found=f"model_type {model.config.model_type}",
            fix=_USE,
        )


def not_finite(what: object) -> ModelError:
    """The error of a model whose scores are no numbers."""
    return ModelError(
        f"the language model {what} gives scores that are not finite numbers",
        found="weights that are not finite, or overflow",
        fix="check its weights, or use another model; none of its labels was stored",
    )
