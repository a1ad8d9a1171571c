"""Load a model and its tokenizer with transformers: local, safetensors, no code of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.model_folder import EncoderOptions


def load_parts(folder: Path, options: EncoderOptions) -> tuple[torch.nn.Module, Any]:
    """The model in the options' precision, on the CPU, and its fast tokenizer.

    Raises:
        ModelError: transformers cannot load them, or a tensor is missing.
    """
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # an unused pooler missing from the weights is made at random
            model, report = AutoModel.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **local)
    except Exception as error:
        raise ModelError(
            f"transformers cannot load the model in {folder}",
            found=type(error).__name__,
            fix="give a Hugging Face folder saved with safetensors and a fast tokenizer",
        ) from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    missing += sorted(str(key) for key in report["mismatched_keys"])
    if missing or not tokenizer.is_fast:
        raise ModelError(
            f"the model in {folder} is not complete",
            found=f"{len(missing)} tensors missing or misshapen, such as {missing[0]}"
            if missing
            else "a slow tokenizer",
            fix="save the whole model and its fast tokenizer (tokenizer.json) again",
        )
    return model, tokenizer


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep progress bars and load reports out of the job's log, and put the settings back."""
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
