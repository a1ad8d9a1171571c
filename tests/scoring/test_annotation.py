"""A worker annotates with the language model that the driver named, also after it was replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.annotator import AnnotatorOptions, annotator_digest
from behavior_spark.scoring.annotation import AnnotatorRecipe
from tests.model.language_model import tiny_language_model

OPTIONS = AnnotatorOptions(
    labels=("refund", "parcel"), words=("money back", "late parcel"), prompts=("{text} : {label}",)
)


def test_a_language_model_whose_files_were_replaced_is_loaded_anew(tmp_path: Path) -> None:
    folder = tiny_language_model(tmp_path)

    def recipe() -> AnnotatorRecipe:
        digest = annotator_digest(str(folder), OPTIONS)
        return AnnotatorRecipe("ask", str(folder), OPTIONS, digest, "cpu")

    old = recipe()
    before = old.load()
    assert old.load() is before
    votes = before.votes(["where is my refund"])
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wte.weight"] *= -1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    after = recipe().load()
    assert after.digest != before.digest
    assert not np.allclose(after.votes(["where is my refund"]), votes)
    with pytest.raises(ModelError, match="not the one the driver named"):
        old.load()
