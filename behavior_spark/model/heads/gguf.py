"""Convert a causal language model in GGUF (llama.cpp's format) to Hugging Face's, for ``annotate``.

    python -m behavior_spark.model.heads.gguf MODEL.gguf FOLDER

Weights are unpacked to float32, four bytes each, and the tokenizer is rebuilt from the file: look
at what it makes of a few texts. Needs the extra ``gguf``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from behavior_spark.errors import BehaviorError, ModelError
from behavior_spark.model.encoder.loading import quiet_transformers


def convert_gguf(file: Path, folder: Path) -> None:
    """Write config, safetensors and tokenizer of a GGUF file to a new folder.

    Raises:
        ModelError: There is no such file, the folder exists, or transformers cannot read the file.
    """
    if not file.is_file():
        raise ModelError(f"there is no file {file}", fix="give the path of a .gguf file")
    if folder.exists():
        raise ModelError(f"{folder} is there already", fix="give a new folder")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        with quiet_transformers():
            packed = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(**place)
    except Exception as error:
        raise ModelError(
            f"transformers cannot read {file}",
            found=f"{type(error).__name__}: {error}",
            fix="in the checkout: pip install '.[gguf]'; otherwise take the folder that it was "
            "made from (config.json, safetensors)",
        ) from error
    # A model that was loaded from GGUF refuses to be saved, even unpacked: its weights are taken
    # over by a plain one.
    packed.config.__dict__.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(packed.config, dtype=torch.float32)
    plain.load_state_dict(packed.state_dict())
    if len(tokenizer) > plain.get_input_embeddings().num_embeddings:
        # The tokenizer's class adds special tokens that the model has never seen.
        plain.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> int:
    """Run as a program; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, metavar="MODEL.gguf")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    try:
        convert_gguf(options.file, options.folder)
    except BehaviorError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"wrote {options.folder}: name it in annotate.<task>.model\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
