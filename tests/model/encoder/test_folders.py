"""Files that are not whole or not of one model are refused; a saved encoder reads as before."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentencepiece import sentencepiece_model_pb2
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    RobertaConfig,
    T5Config,
    T5Model,
    XLMRobertaConfig,
)

from behavior_spark.config import Pretraining, Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder import token_sample
from behavior_spark.model.encoder.bert import Bert
from behavior_spark.model.encoder.encoder import (
    Encoder,
    EncoderOptions,
    backbone_digest,
    unknown_share,
)
from behavior_spark.model.encoder.loading import load_parts, load_tokenizer
from behavior_spark.model.encoder.saving import save_encoder
from behavior_spark.model.pretraining.pretrain import pretrain
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.finetune import LabelledTexts, finetune

OPTIONS = EncoderOptions(max_length=16)
WORDS = ["▁red", "▁lamp", "▁blue", "▁mug", "▁", "r", "e", "d", "l", "a", "m", "p", "é", "灯"]
TEXTS = ["red lamp", "blue mug", "red mug lamp", "lamp é 灯"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 24}  # fmt: skip


def sentencepieces(specials):
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = 1
    model.normalizer_spec.name = "nmt_nfkc"
    kinds = {"<unk>": 2, "[UNK]": 2}
    for number, piece in enumerate([*specials, *WORDS]):
        added = model.pieces.add()
        added.piece, added.score = piece, -float(number)
        added.type = kinds.get(piece, 3) if number < len(specials) else 1
    model.trainer_spec.unk_id = next(i for i, piece in enumerate(specials) if piece in kinds)
    return model.SerializeToString()


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "lamp", "blue", "mug", "##s", "é"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"redlampbu", "Ġ", "re", "red", "la", "Ġla"]
VOCABULARIES = {
    "bert": ("BertTokenizer", {"vocab.txt": "\n".join(BERT).encode()}),
    "roberta": ("RobertaTokenizer", {
        "vocab.json": json.dumps({w: i for i, w in enumerate(dict.fromkeys(ROBERTA))}).encode(),
        "merges.txt": "#version: 0.2\nr e\nre d\nl a\nĠ la\n".encode(),
    }),
    "xlm-roberta": ("XLMRobertaTokenizer", {
        "sentencepiece.bpe.model": sentencepieces(["<unk>", "<s>", "</s>"]),
    }),
    "deberta-v2": ("DebertaV2Tokenizer", {
        "spm.model": sentencepieces(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]),
    }),
}  # fmt: skip
CONFIGS = {
    "bert": BertConfig, "roberta": RobertaConfig, "xlm-roberta": XLMRobertaConfig,
    "deberta-v2": DebertaV2Config,
}  # fmt: skip


@pytest.fixture(params=sorted(VOCABULARIES))
def family(request, tmp_path):
    """A folder with the family's own vocabulary files and no tokenizer.json."""
    folder = tmp_path / request.param
    folder.mkdir()
    kind, files = VOCABULARIES[request.param]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    (folder / "config.json").write_text(json.dumps({"model_type": request.param}))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(1)
    config = CONFIGS[request.param](
        **SIZES, vocab_size=len(tokenizer) + 3, pad_token_id=tokenizer.pad_token_id
    )
    AutoModel.from_config(config).save_pretrained(folder)
    return folder, list(files)


def test_a_folder_without_a_file_of_its_vocabulary_is_refused(family):
    folder, files = family
    Encoder.load(str(folder), OPTIONS, device="cpu")
    for name in files:
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ModelError, match=r"vocabulary|cannot load the tokenizer"):
            Encoder.load(str(folder), OPTIONS, device="cpu")
        with pytest.raises(ModelError):
            backbone_digest(str(folder), OPTIONS)
        (folder / name).write_bytes(kept)


def test_every_file_of_a_vocabulary_is_in_the_digest(family):
    folder, files = family
    before = backbone_digest(str(folder), OPTIONS)
    for name in files:
        kept = (folder / name).read_bytes()
        changed = kept.replace(b"mug", b"mgu").replace(b"0.2", b"0.3")
        (folder / name).write_bytes(kept + b"\n" if changed == kept else changed)
        assert backbone_digest(str(folder), OPTIONS) != before
        (folder / name).write_bytes(kept)
    (folder / "unknown.vocabulary").write_text("x")
    assert backbone_digest(str(folder), OPTIONS) != before


def test_a_saved_encoder_reads_and_embeds_as_before(family, tmp_path):
    folder, _ = family
    encoder = Encoder.load(str(folder), OPTIONS, device="cpu", trainable=True)
    saved = Encoder.load(
        str(save_encoder(encoder, str(folder), tmp_path / "saved")), OPTIONS, device="cpu"
    )
    many = [*TEXTS, *token_sample.SAMPLE]
    assert saved.tokenize(many) == encoder.tokenize(many)
    assert unknown_share(encoder, TEXTS) == unknown_share(saved, TEXTS) < 0.5
    ours, theirs = saved.embed(TEXTS).embeddings, encoder.embed(TEXTS).embeddings
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_tokenizer_that_transformers_saves_otherwise_is_saved_file_by_file(
    family, tmp_path, monkeypatch
):
    folder, _ = family
    encoder = Encoder.load(str(folder), OPTIONS, device="cpu", trainable=True)

    def loses_all(place):
        (place / "tokenizer.json").write_text("{}")

    monkeypatch.setattr(encoder.tokenizer, "save_pretrained", loses_all)
    saved = save_encoder(encoder, str(folder), tmp_path / "saved")
    again = Encoder.load(str(saved), OPTIONS, device="cpu")
    assert again.tokenize(TEXTS) == encoder.tokenize(TEXTS)
    shutil.copytree(folder, tmp_path / "other")
    for path in (tmp_path / "other").iterdir():
        if path.suffix in (".txt", ".model") or path.name == "vocab.json":
            path.unlink()
    with pytest.raises(ModelError, match="cannot be saved"):
        save_encoder(encoder, str(tmp_path / "other"), tmp_path / "never")


def test_a_taught_model_scores_as_it_did_while_it_learned(family, tmp_path):
    folder, _ = family
    texts = [f"{word} lamp mug"[: 8 + i % 8] for i, word in enumerate(["red", "blue"] * 20)]
    task = LabelledTexts("colour", texts, [text.split()[0] for text in texts])
    tuning = Tuning(epochs=2, contrast_epochs=2, learning_rate=3e-3)
    result = finetune(
        str(folder), OPTIONS, [task], tmp_path / "out", mode="full", tuning=tuning, device="cpu",
        validation_share=0.3,
    )  # fmt: skip
    model = load_text_model(result.folder)
    encoder = Encoder.load(model.encoder_source, model.options, device="cpu")
    head = model.heads["colour"]
    labels = head.decide(head.probabilities(encoder.embed(texts).embeddings))
    assert np.mean(np.array(labels) == np.array(task.labels)) > 0.8


def test_a_pretrained_encoder_keeps_its_vocabulary(family, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, _ = family
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    texts = [f"{text} {word} {i}" for text in TEXTS for word in WORDS for i in range(20)]
    pq.write_table(pa.table({"text": texts}), corpus / "part-0.parquet")
    settings = Pretraining(method="simcse", batch_tokens=64, epochs=1, precision="fp32")
    pretrained = pretrain(
        str(folder), OPTIONS, corpus, tmp_path / "out", settings=settings, device="cpu"
    )
    folders = (folder, pretrained.folder)
    before, after = (Encoder.load(str(path), OPTIONS, device="cpu") for path in folders)
    assert after.tokenize(TEXTS) == before.tokenize(TEXTS)
    assert after.digest == pretrained.digest != before.digest


def test_a_vocabulary_of_special_tokens_alone_is_refused(tiny_folder):
    (tiny_folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    with pytest.raises(ModelError, match="5 words"):
        load_tokenizer(tiny_folder)


def test_a_vocabulary_that_is_larger_than_the_embeddings_is_refused(tiny_folder):
    vocabulary = tiny_folder / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text() + "more\n")
    with pytest.raises(ModelError, match=r"vocabulary .* is not the model's"):
        Encoder.load(str(tiny_folder), OPTIONS, device="cpu")


def test_the_share_of_unknown_words_is_counted_without_special_tokens(tiny_folder):
    encoder = Encoder.load(str(tiny_folder), OPTIONS, device="cpu")
    assert unknown_share(encoder, ["red lamp", "灯 red"]) == 1 / 4
    assert unknown_share(encoder, []) == unknown_share(encoder, [" "]) == 0
    assert unknown_share(encoder, ["灯 火"]) == 1
    found = encoder.embed(["red lamp", "灯 red", None])
    assert (found.words_read, found.unknown) == (4, 1)


# Weights and config


def test_what_is_in_the_weights_and_not_in_the_config_is_refused_by_name(tiny_folder):
    path = tiny_folder / "config.json"
    original = json.loads(path.read_text())
    for change, match in (
        ({"num_hidden_layers": 1}, r"not in the config.*encoder\.layer\.1"),
        ({"num_hidden_layers": 3}, r"missing in the weights.*encoder\.layer\.2"),
        ({"intermediate_size": 32}, r"of another shape.*encoder\.layer"),
    ):
        path.write_text(json.dumps({**original, **change}))
        with pytest.raises(ModelError, match=rf"(?s)do not agree.*{match}"):
            load_parts(tiny_folder, OPTIONS)


def test_heads_poolers_and_stored_positions_beside_the_encoder_are_no_fault(tiny_folder):
    config = BertConfig.from_pretrained(tiny_folder)
    BertForMaskedLM(config).save_pretrained(tiny_folder)
    path = tiny_folder / "model.safetensors"
    tensors = load_file(path)
    assert any(name.startswith("cls.") for name in tensors)
    tensors["bert.embeddings.position_ids"] = torch.arange(40)[None]
    tensors["classifier.weight"] = torch.zeros(2, 32)
    save_file(tensors, path, metadata={"format": "pt"})
    assert Encoder.load(str(tiny_folder), OPTIONS, device="cpu").embed(["red"]).errors == [None]


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_model_with_its_own_code_is_refused_by_name(tiny_folder, file):
    path = tiny_folder / file
    own = {"auto_map": {"AutoModel": "modeling.Own"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    with pytest.raises(ModelError, match=rf"(?s)its own code.*auto_map in {file}: AutoModel"):
        backbone_digest(str(tiny_folder), OPTIONS)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "tokenizer.json"])
def test_a_pointer_in_place_of_a_file_is_named(tiny_folder, name):
    (tiny_folder / name).write_bytes(POINTER)
    with pytest.raises(ModelError, match=rf"{name} .* Git LFS pointer"):
        backbone_digest(str(tiny_folder), OPTIONS)


@pytest.mark.parametrize("size", [0, 3, 20, 3000, -1, -100])
def test_a_weight_file_that_is_cut_short_is_named(tiny_folder, size):
    path = tiny_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"model\.safetensors .* is damaged"):
        backbone_digest(str(tiny_folder), OPTIONS)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_json_file_that_is_cut_short_is_named(tiny_folder, name):
    load_tokenizer(tiny_folder).save_pretrained(tiny_folder)
    path = tiny_folder / name
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        backbone_digest(str(tiny_folder), OPTIONS)


def test_a_missing_shard_is_named(tiny_folder):
    model = AutoModel.from_pretrained(tiny_folder)
    (tiny_folder / "model.safetensors").unlink()
    model.save_pretrained(tiny_folder, max_shard_size="20KB")
    shards = sorted(tiny_folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    before = backbone_digest(str(tiny_folder), OPTIONS)
    Encoder.load(str(tiny_folder), OPTIONS, device="cpu")
    shards[1].rename(tiny_folder / "elsewhere")
    with pytest.raises(ModelError, match=shards[1].name):
        backbone_digest(str(tiny_folder), OPTIONS)
    (tiny_folder / "elsewhere").rename(shards[1])
    assert backbone_digest(str(tiny_folder), OPTIONS) == before


def test_another_version_that_reads_the_sample_otherwise_is_another_digest(
    tiny_folder, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def now():
        token_sample._cached_digest.cache_clear()
        return backbone_digest(str(tiny_folder), OPTIONS)

    before = now()
    assert now() == before
    monkeypatch.setattr(token_sample, "version", lambda _: "99.0")
    assert now() == before  # another version alone changes nothing
    monkeypatch.setattr(token_sample, "version", lambda _: "100.0")
    monkeypatch.setattr(token_sample, "token_ids", lambda _: [[1, 2]])
    assert now() != before
    token_sample._cached_digest.cache_clear()


# Models that give no vector


def test_an_encoder_with_a_decoder_is_refused_by_name(tiny_folder):
    T5Model(T5Config(vocab_size=100, d_model=8, d_ff=8, d_kv=4, num_heads=2, num_layers=1,
                     decoder_start_token_id=0)).save_pretrained(tiny_folder)  # fmt: skip
    with pytest.raises(ModelError, match=r"(?s)with a decoder.*t5"):
        backbone_digest(str(tiny_folder), OPTIONS)
    path = tiny_folder / "config.json"  # a T5 saved as an encoder alone does not say so
    path.write_text(json.dumps({**json.loads(path.read_text()), "is_encoder_decoder": False}))
    with pytest.raises(ModelError, match=r"(?s)with a decoder.*t5"):
        backbone_digest(str(tiny_folder), OPTIONS)


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_with_the_cause(tiny_folder, trainable, value):
    path = tiny_folder / "model.safetensors"
    tensors = load_file(path)
    tensors["encoder.layer.1.output.dense.bias"][3] = value
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"(?s)cannot embed a text.*not finite"):
        Encoder.load(str(tiny_folder), OPTIONS, device="cpu", trainable=trainable)


def test_a_model_that_wants_more_than_ids_is_refused_with_its_own_words(tiny_folder, monkeypatch):
    def forward(*_, **__):
        raise ValueError("give pixel_values too")

    monkeypatch.setattr(Bert, "forward", forward)
    with pytest.raises(ModelError, match=r"(?s)cannot embed.*ValueError: give pixel_values too"):
        Encoder.load(str(tiny_folder), replace(OPTIONS, max_length=8), device="cpu")
