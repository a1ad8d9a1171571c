"""A language model in GGUF, converted once, is the model it was made from, with its token ids."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.gguf import convert_gguf, main
from behavior_spark.model.heads.language_model import language_model_folder, load_language_model

HEADS, LAYERS = 4, 2
TEXTS = ["where is my parcel", "I want a refund, please", "délivrée à 10h"]
# llama.cpp's names of the tensors of a layer, by those of Hugging Face's model.
OF_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def byte_pairs() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    return tokenizer


def write_gguf(
    file: Path, model: LlamaForCausalLM, tokenizer: Tokenizer, kind: gguf.GGMLQuantizationType
) -> None:
    config, parts = model.config, json.loads(tokenizer.to_str())["model"]
    names = sorted(parts["vocab"], key=parts["vocab"].get)
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(names)
    writer.add_token_merges([" ".join(merge) for merge in parts["merges"]])
    writer.add_token_types([3] * 3 + [1] * (len(names) - 3))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    given = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for layer in range(LAYERS):
        given |= {f"model.layers.{layer}.{a}": f"blk.{layer}.{b}" for a, b in OF_LAYER.items()}
    for name, tensor in model.state_dict().items():
        weight = tensor.numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # pairs of rotated rows lie together
            weight = weight.reshape(HEADS, 2, -1, weight.shape[1]).swapaxes(1, 2)
            weight = weight.reshape(tensor.shape)
        packed = kind if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
        stored = gguf.quants.quantize(np.ascontiguousarray(weight), packed)
        writer.add_tensor(given[name.removesuffix(".weight")] + ".weight", stored, raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(("kind", "most"), [("F32", 1e-5), ("Q8_0", 0.02)])
def test_a_converted_model_has_the_scores_and_token_ids_of_the_one_it_was_made_from(
    kind: str,
    most: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    tokenizer = byte_pairs()
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, max_position_embeddings=64,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    original = LlamaForCausalLM(config).eval()
    file, folder = tmp_path / "tiny.gguf", tmp_path / "converted"
    write_gguf(file, original, tokenizer, gguf.GGMLQuantizationType[kind])

    monkeypatch.setattr("sys.argv", ["gguf", str(file), str(folder)])
    assert main() == 0 and str(folder) in capsys.readouterr().err

    model, rebuilt = load_language_model(language_model_folder(str(folder)), "cpu")
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        assert rebuilt(text, add_special_tokens=False)["input_ids"] == ids
        with torch.no_grad():
            expected = original(torch.tensor([ids])).logits
            scores = model(torch.tensor([ids])).logits.float()[..., : expected.shape[-1]]
        assert torch.allclose(scores, expected, atol=most if model.dtype == torch.float32 else 0.05)
    assert main() == 2 and "is there already" in capsys.readouterr().err


def test_what_is_no_gguf_is_refused_in_three_lines(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        convert_gguf(tmp_path / "none.gguf", tmp_path / "out")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="cannot read") as error:
        convert_gguf(tmp_path / "cut.gguf", tmp_path / "out")
    assert len(str(error.value).splitlines()) == 3 and not (tmp_path / "out").exists()
