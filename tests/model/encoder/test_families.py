"""Every common encoder family loads, embeds and learns; a hub's is pinned or refused."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel as Auto
from transformers import (
    BertConfig,
    CanineConfig,
    CLIPConfig,
    ConvBertConfig,
    DebertaV2Config,
    DistilBertConfig,
    FNetConfig,
    Gemma3TextConfig,
    MistralConfig,
    MobileBertConfig,
    ModernBertConfig,
    NystromformerConfig,
    PerceiverConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    RobertaConfig,
    SiglipConfig,
    ViTConfig,
    Wav2Vec2Config,
    XLMRobertaConfig,
)

from behavior_spark.config import Pretraining, Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.encoder.hub import parse_hub_source
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.pretraining.masked_words import MaskedWords
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.finetune import LabelledTexts, finetune

OPTIONS = EncoderOptions(max_length=16)
WORDS = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "<mask>",
    "red",
    "blue",
    "lamp",
    "mug",
    "tea",
    "café",
    "灯",
]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "vocab_size": len(WORDS), "pad_token_id": 1}  # fmt: skip
FAMILIES = {
    "bert": BertConfig(**SIZES, max_position_embeddings=20),
    "roberta": RobertaConfig(**SIZES, max_position_embeddings=20),
    "xlm-roberta": XLMRobertaConfig(**SIZES, max_position_embeddings=20),
    "distilbert": DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=1,
                                   vocab_size=len(WORDS), max_position_embeddings=20),
    "deberta-v2": DebertaV2Config(**SIZES, max_position_embeddings=20, relative_attention=True,
                                  pos_att_type=["p2c", "c2p"], position_buckets=8),
    "modernbert": ModernBertConfig(**SIZES, max_position_embeddings=20, local_attention=4,
                                   global_attn_every_n_layers=2, bos_token_id=0, eos_token_id=2,
                                   cls_token_id=0, sep_token_id=2),
}  # fmt: skip
TEXTS = ["red lamp", "blue mug tea", "灯 café", "red", "tea tea tea tea tea"]


@pytest.fixture(params=sorted(FAMILIES))
def family(request, tmp_path):
    """A folder of one family with random weights and a tokenizer of twelve words."""
    return save_family(FAMILIES[request.param], tmp_path / request.param)


def save_family(config, folder, *, spread=None, **tokenizer):
    """Random weights (matrices of this standard deviation) and a tokenizer of twelve words."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Auto.from_config(config)
        with torch.no_grad():
            for weight in model.parameters():
                if spread and weight.dim() > 1:
                    weight.normal_(std=spread)
        model.save_pretrained(folder)
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    plain.normalizer = normalizers.NFKC()
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", mask_token="<mask>", cls_token="<s>", sep_token="</s>", **tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_family_embeds_the_same_alone_and_in_a_batch(family):
    encoder = Encoder.load(str(family), OPTIONS, device="cpu")
    together = encoder.embed(TEXTS)
    assert together.errors == [None] * len(TEXTS) and together.embeddings.shape == (5, 16)
    alone = np.concatenate([encoder.embed([text]).embeddings for text in TEXTS])
    assert np.abs(together.embeddings - alone).max() < 1e-5


# Padding changes what these read: they mix neighbouring tokens or all of a row.
NO_MASK = {
    "fnet": FNetConfig(hidden_size=16, num_hidden_layers=2, intermediate_size=32, pad_token_id=1,
                       vocab_size=len(WORDS), max_position_embeddings=20),
    "nystromformer": NystromformerConfig(**SIZES, max_position_embeddings=20, num_landmarks=4,
                                         segment_means_seq_len=4),
    "convbert": ConvBertConfig(**SIZES, embedding_size=16, max_position_embeddings=20),
    "mobilebert": MobileBertConfig(**SIZES, embedding_size=8, intra_bottleneck_size=16,
                                   max_position_embeddings=20),
}  # fmt: skip


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("name", NO_MASK)
def test_where_padding_would_change_a_vector_only_texts_of_one_length_run_together(
    tmp_path, name, trainable
):
    folder = save_family(NO_MASK[name], tmp_path / name, spread=0.3)
    encoder = Encoder.load(str(folder), OPTIONS, device="cpu", trainable=trainable)
    together = encoder.embed(TEXTS)
    alone = np.concatenate([encoder.embed([text]).embeddings for text in TEXTS])
    assert together.errors == [None] * len(TEXTS)
    assert np.abs(together.embeddings - alone).max() < 1e-5
    assert together.tokens_run == together.token_counts.sum()


SIZES_OF_DECODERS = {**SIZES, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 2,
                     "max_position_embeddings": 20}  # fmt: skip
DECODERS = {
    "qwen3": Qwen3Config(**SIZES_OF_DECODERS, head_dim=8),
    "mistral": MistralConfig(**SIZES_OF_DECODERS, sliding_window=3),
    "gemma3": Gemma3TextConfig(**SIZES_OF_DECODERS, head_dim=8, use_bidirectional_attention=True),
}


@pytest.mark.parametrize("name", DECODERS)
def test_an_embedder_made_of_a_decoder_is_read_as_its_author_reads_it(tmp_path, name):
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    from sentence_transformers import SentenceTransformer

    save_family(DECODERS[name], tmp_path / name, spread=0.3, padding_side="left")
    parts = [modules.Transformer(str(tmp_path / name)), modules.Pooling(16, "lasttoken")]
    author = SentenceTransformer(modules=parts, device="cpu")
    author.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    theirs = author.encode(TEXTS, normalize_embeddings=True)
    ours = Encoder.load(str(tmp_path / "saved"), EncoderOptions(), device="cpu").embed(TEXTS)
    assert (ours.embeddings * theirs).sum(axis=1).min() > 0.99999


@pytest.mark.parametrize("mode", ["few", "full"])
def test_a_family_learns_and_its_model_loads(family, tmp_path, mode):
    rng = np.random.default_rng(0)
    texts = [f"{c} {' '.join(rng.choice(['lamp', 'mug', 'tea'], 3))}" for c in ["red", "blue"] * 30]
    task = LabelledTexts("colour", texts, [text.split()[0] for text in texts])
    tuning = Tuning(epochs=2, contrast_epochs=2, learning_rate=3e-3)
    result = finetune(
        str(family), OPTIONS, [task], tmp_path / "out", mode=mode, tuning=tuning, device="cpu"
    )
    model = load_text_model(result.folder)
    encoder = Encoder.load(model.encoder_source, model.options, device="cpu")
    assert encoder.digest == model.backbone_digest
    assert np.isfinite(encoder.embed(TEXTS).embeddings).all()


def test_a_family_guesses_masked_words_of_packed_or_padded_texts(family):
    encoder = Encoder.load(str(family), OPTIONS, device="cpu", trainable=True)
    words = MaskedWords(encoder, str(family), Pretraining(batch_tokens=64, precision="fp32"))
    (part, *_) = words.batches([(text,) for text in TEXTS], epoch=0, buffer=0)
    loss = words.loss(part, done=10**6)
    loss.backward()
    gradient = encoder.model.get_input_embeddings().weight.grad
    assert np.isfinite(float(loss.detach())) and gradient.abs().sum() > 0


def test_a_model_that_wants_its_own_code_is_refused(tiny_folder):
    config = json.loads((tiny_folder / "config.json").read_text())
    config |= {"model_type": "made_up", "auto_map": {"AutoModel": "code.Model"}}
    (tiny_folder / "config.json").write_text(json.dumps(config))
    (tiny_folder / "code.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(ModelError, match="its own code"):
        Encoder.load(str(tiny_folder), OPTIONS, device="cpu")


@pytest.mark.parametrize(
    "source", ["hub:org/name", "hub:org/name@main", "hub:org/name@v1.0", "hub:org/name@" + "g" * 40]
)
def test_a_hub_encoder_without_a_commit_is_refused(source):
    with pytest.raises(ModelError, match="pinned"):
        resolve_model_folder(source)


@given(st.text(max_size=30))
def test_any_name_is_a_pinned_source_or_one_clear_error(text):
    try:
        name, revision = parse_hub_source("hub:" + text)
    except ModelError as error:
        assert len(str(error).splitlines()) <= 3
    else:
        assert f"hub:{name}@{revision}" == "hub:" + text and len(revision) == 40


def test_a_hub_out_of_reach_is_said_in_three_lines(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="cannot get org/name") as error:
        resolve_model_folder("hub:org/name@" + "0" * 40)
    assert len(str(error.value).splitlines()) <= 3


PARTS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 32}  # fmt: skip
PICTURES = PARTS | {"image_size": 32, "patch_size": 16}
NO_READERS = {
    "clip": CLIPConfig(text_config=SIZES, vision_config=PICTURES, projection_dim=8),
    "siglip": SiglipConfig(text_config=SIZES, vision_config=PICTURES),
    "vit": ViTConfig(**PICTURES),
    "canine": CanineConfig(**PARTS),
    "perceiver": PerceiverConfig(
        num_latents=8, d_latents=32, d_model=32, num_blocks=1, num_self_attends_per_block=1,
        num_self_attention_heads=2, num_cross_attention_heads=2,
    ),
    "wav2vec2": Wav2Vec2Config(
        **PARTS, conv_dim=(32, 32), conv_stride=(5, 2), conv_kernel=(10, 3), vocab_size=32,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_READERS)
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_model_of_pictures_sound_or_characters_is_refused_by_its_kind(
    tmp_path, kind, with_tokenizer
):
    save_family(NO_READERS[kind], tmp_path)
    if not with_tokenizer:
        for path in tmp_path.glob("*token*"):
            path.unlink()
    with pytest.raises(ModelError) as error:
        Encoder.load(str(tmp_path), OPTIONS, device="cpu")
    assert len(str(error.value).splitlines()) <= 3
    assert f"model_type {kind}" in str(error.value) or "whole vocabulary" in str(error.value)
