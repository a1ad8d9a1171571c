"""A sentence-transformers folder gives the vectors that its author's library gives."""

# ruff: noqa: E501, RUF001

import json
import shutil
import unicodedata

import numpy as np
import pytest
import sentence_transformers as sbert
import torch
from safetensors.torch import save_file
from sentence_transformers.sentence_transformer import modules as sbert_modules
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from behavior_spark.cleaning.text import clean_text
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import (
    Encoder,
    EncoderOptions,
    backbone_digest,
    resolve_model_folder,
)
from behavior_spark.model.encoder.model_folder import effective_options, unused_prompts
from behavior_spark.model.encoder.pooling import pool_packed, pool_padded
from behavior_spark.model.encoder.saving import save_encoder
from behavior_spark.model.encoder.sentence_modules import POOLINGS, read_sentence_modules

TEXTS = ["red lamp", "blue mug and a warm tea?", "hello", "order card money " * 9, "Cold BAG é 灯"]
PLAIN = EncoderOptions()
TANH, GELU = torch.nn.Tanh(), torch.nn.GELU()


@pytest.fixture
def author(tiny_folder, tmp_path):
    """The author's model of the tiny encoder with these modules, and the folder it saved."""

    def make(*after, name="sbert", length=24, reading=None, **more):
        torch.manual_seed(5)
        transformer = sbert_modules.Transformer(str(tiny_folder), max_seq_length=length)
        after = [part() if isinstance(part, type) else part for part in after]
        model = sbert.SentenceTransformer(modules=[transformer, *after], device="cpu", **more)
        model.save_pretrained(str(tmp_path / name), create_model_card=False)
        change(tmp_path / name / "sentence_bert_config.json", **(reading or {}))
        model = sbert.SentenceTransformer(str(tmp_path / name), device="cpu", local_files_only=True)
        return model, tmp_path / name

    return make


def pooling(ways="mean", **more):
    return sbert_modules.Pooling(32, pooling_mode=ways, **more)


def change(path, **keys):
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def cosines(model, folder, options=PLAIN, texts=TEXTS, **more):
    """Of our vectors with the author's, text by text; also packed and padded."""
    theirs = model.encode(texts, convert_to_numpy=True, normalize_embeddings=True, **more)
    encoder = Encoder.load(str(folder), options, device="cpu")
    assert encoder.inference.packs and encoder.dimension == theirs.shape[1]
    packed = encoder.embed(texts).embeddings
    plain = Encoder.load(str(folder), options, device="cpu", trainable=True)
    assert not plain.inference.packs
    padded = plain.embed(texts).embeddings
    assert np.abs(packed - padded).max() < 1e-5
    return (packed * theirs).sum(axis=1)


def dense(width, out, activation=TANH, **more):
    return sbert_modules.Dense(width, out, activation_function=activation, **more)


AFTER = {
    **{way: lambda way=way: [pooling(way)] for way in POOLINGS},
    "cls and normalize": lambda: [pooling("cls"), sbert_modules.Normalize()],
    "two poolings": lambda: [pooling(("mean", "max"))],
    "dense": lambda: [pooling("cls"), dense(32, 16), sbert_modules.Normalize()],
    "dense twice": lambda: [pooling(), dense(32, 48, GELU), dense(48, 8, torch.nn.Identity(), bias=False)],
    "dense with a residual": lambda: [pooling(), dense(32, 12, use_residual=True)],
    "norms between": lambda: [
        pooling("max"), sbert_modules.LayerNorm(32), sbert_modules.Normalize(), dense(32, 5)
    ],
    "dropout": lambda: [pooling(), sbert_modules.Dropout(0.5), sbert_modules.Normalize()],
}  # fmt: skip


@pytest.mark.parametrize("kind", AFTER)
def test_vectors_are_the_authors(author, kind):
    model, folder = author(*AFTER[kind]())
    assert cosines(model, folder).min() > 0.99999


@pytest.mark.parametrize("length", [3, 7, 24])
def test_as_much_is_read_as_the_folder_says_unless_the_options_do(author, length):
    for name, way in (
        ("new", {"length": length}),
        ("old", {"reading": {"max_seq_length": length}}),
    ):
        model, folder = author(pooling(), name=name, **{"length": 38, **way})
        assert Encoder.load(str(folder), PLAIN, device="cpu").options.max_length == length
        assert cosines(model, folder).min() > 0.99999
    longer = Encoder.load(str(folder), EncoderOptions(max_length=30), device="cpu")
    assert longer.options.max_length == 30


def test_without_a_length_of_its_own_a_folder_is_read_as_far_as_the_model_can(author):
    _, folder = author(pooling(), length=10**6)
    assert effective_options(folder, PLAIN).max_length == 40


def test_texts_are_lowercased_where_the_folder_says_so(author, tiny_folder):
    change(tiny_folder / "tokenizer_config.json", do_lower_case=False)
    upper = ["RED LAMP", "Blue MUG", "É"]
    for lower_case in (False, True):
        reading = {"do_lower_case": lower_case}
        model, folder = author(pooling(), name=f"lower-{lower_case}", reading=reading)
        assert cosines(model, folder, texts=upper).min() > 0.99999
        encoder = Encoder.load(str(folder), PLAIN, device="cpu")
        assert (encoder.tokenize(["RED"]) == encoder.tokenize(["red"])) is lower_case


PROMPTS = {"query": "order: ", "passage": "card and money "}


@pytest.mark.parametrize("default", [None, "query", "passage"])
def test_the_default_prompt_is_put_before_texts_and_another_by_choice(author, default):
    model, folder = author(pooling(), prompts=PROMPTS, default_prompt_name=default)
    assert cosines(model, folder).min() > 0.99999
    by_name = EncoderOptions(prompt_name="passage")
    assert cosines(model, folder, by_name, prompt_name="passage").min() > 0.99999
    by_words = EncoderOptions(prompt="hello ")
    assert cosines(model, folder, by_words, prompt="hello ").min() > 0.99999
    none = EncoderOptions(prompt="")
    assert cosines(model, folder, none, prompt="").min() > 0.99999
    expected = [] if default else ["passage", "query"]
    assert unused_prompts(str(folder), PLAIN) == expected
    digests = {backbone_digest(str(folder), each) for each in (by_name, by_words, none)}
    assert len(digests) == 3
    assert backbone_digest(str(folder), PLAIN) == backbone_digest(
        str(folder), EncoderOptions(prompt=PROMPTS[default] if default else "")
    )
    with pytest.raises(ModelError, match="no prompt 'title'"):
        Encoder.load(str(folder), EncoderOptions(prompt_name="title"), device="cpu")


def test_an_empty_prompt_has_its_name_too(author):
    model, folder = author(pooling(), prompts={**PROMPTS, "document": ""})
    named = EncoderOptions(prompt_name="document")
    assert cosines(model, folder, named, prompt_name="document").min() > 0.99999
    assert unused_prompts(str(folder), PLAIN) == ["passage", "query"]
    assert unused_prompts(str(folder), named) == []


def test_many_texts_get_the_prompt_of_one_and_a_long_text_gets_it_once(author):
    _, folder = author(pooling(), prompts=PROMPTS, default_prompt_name="query")
    encoder = Encoder.load(str(folder), EncoderOptions(long_texts="pool"), device="cpu")
    many = encoder.prepare([*TEXTS * 20, None, " "])
    alone = encoder.prepare([*TEXTS, None, " "])
    assert many.errors[-2:] == alone.errors[-2:] == ["null_text", "empty_text"]
    assert many.token_counts[: len(TEXTS)].tolist() == alone.token_counts[: len(TEXTS)].tolist()
    prompt = encoder.tokenize([""])[0]
    assert len(prompt) > 2 and encoder.tokenize(["tea"])[0][: len(prompt) - 1] == prompt[:-1]
    long = encoder.prepare(["tea " * 60])
    starts = [int(long.ids[start + 1]) for start in long.starts[:-1]]
    assert starts.count(prompt[1]) == 1 and len(starts) > 2


def test_options_in_effect_stay_what_they_are(author):
    _, folder = author(pooling("cls"), prompts={"a": "b", "b": "c"}, default_prompt_name="a")
    once = effective_options(folder, PLAIN)
    assert (once.pooling, once.prompt, once.max_length) == ("cls", "b", 24)
    assert effective_options(folder, once) == once


def test_an_option_goes_before_the_folder(author):
    _, folder = author(pooling("cls"))
    chosen = Encoder.load(str(folder), EncoderOptions(pooling="mean"), device="cpu")
    plain_folder, _ = author(pooling("mean"), name="mean")
    expected = plain_folder.encode(TEXTS, convert_to_numpy=True, normalize_embeddings=True)
    assert np.abs(chosen.embed(TEXTS).embeddings - expected).max() < 1e-5


def test_another_sidecar_is_another_digest_and_the_readme_is_not(author):
    digests = set()
    for number, after in enumerate(([pooling()], [pooling("cls")], [pooling(), dense(32, 32)])):
        _, folder = author(*after, name=str(number))
        digests.add(backbone_digest(str(folder), PLAIN))
        # Even where the options name the pooling: the dense layer remains.
        digests.add(backbone_digest(str(folder), EncoderOptions(pooling="mean")) + " mean")
    assert len(digests) == 6
    (folder / "README.md").write_text("a model")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"0")
    assert backbone_digest(str(folder), PLAIN) in digests
    weights = folder / read_sentence_modules(folder).subfolders[-1] / "model.safetensors"
    save_file({"linear.weight": torch.ones(32, 32), "linear.bias": torch.ones(32)}, weights)
    assert backbone_digest(str(folder), PLAIN) not in digests


def test_a_taught_encoder_keeps_its_modules(author, tmp_path):
    model, folder = author(pooling("cls"), dense(32, 16), prompts=PROMPTS,
                           default_prompt_name="query", length=9)  # fmt: skip
    encoder = Encoder.load(str(folder), PLAIN, device="cpu", trainable=True)
    saved = save_encoder(encoder, str(folder), tmp_path / "saved")
    again = Encoder.load(str(saved), PLAIN, device="cpu")
    assert again.options == encoder.options
    expected = model.encode(TEXTS, convert_to_numpy=True, normalize_embeddings=True)
    assert np.abs(again.embed(TEXTS).embeddings - expected).max() < 1e-5
    vectors = encoder.forward(encoder.tokenize(TEXTS))
    assert vectors.requires_grad and vectors.shape == (5, 16)


REFUSED = {
    "WordEmbeddings": ("modules.json", lambda m: [{**m[0], "type": "sentence_transformers.models.CNN"}, *m[1:]]),
    "own_code.Pooling": ("modules.json", lambda m: [m[0], {**m[1], "type": "own_code.Pooling"}]),
    "0_Transformer": ("modules.json", lambda m: [{**m[0], "path": "0_Transformer"}, *m[1:]]),
    "outside": ("modules.json", lambda m: [m[0], {**m[1], "path": "../1_Pooling"}]),
    "Transformer": ("modules.json", lambda m: m[:1]),
    "arguments": ("modules.json", lambda m: [{**m[0], "kwargs": ["task"]}, *m[1:]]),
    "attention": ("1_Pooling/config.json", lambda c: {**c, "pooling_mode": "attention"}),
    "pooling_mode_new": ("1_Pooling/config.json", lambda c: {"pooling_mode_new": True}),
    "fill-mask": ("sentence_bert_config.json", lambda c: {**c, "transformer_task": "fill-mask"}),
    "message": ("sentence_bert_config.json", lambda c: {**c, "modality_config": {"message": {}}}),
    "SparseEncoder": ("config_sentence_transformers.json", lambda c: {**c, "model_type": "SparseEncoder"}),
    "16": ("config_sentence_transformers.json", lambda c: {**c, "truncate_dim": 16}),
    "title": ("config_sentence_transformers.json", lambda c: {**c, "default_prompt_name": "title"}),
    "JSON": ("modules.json", lambda m: "x"),
}  # fmt: skip


@pytest.mark.parametrize("named", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(author, named):
    _, folder = author(pooling())
    name, edit = REFUSED[named]
    path = folder / name
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(ModelError) as caught:
        backbone_digest(str(folder), PLAIN)
    known = {
        "WordEmbeddings": "CNN",
        "arguments": "arguments",
        "outside": "outside",
        "JSON": "read",
    }
    assert known.get(named, named) in str(caught.value)


def test_a_prompt_that_is_not_pooled_is_refused_and_none_is_not(author):
    _, folder = author(pooling(include_prompt=False), prompts=PROMPTS, default_prompt_name="query")
    with pytest.raises(ModelError, match="prompt"):
        Encoder.load(str(folder), PLAIN, device="cpu")
    Encoder.load(str(folder), EncoderOptions(prompt=""), device="cpu")


def test_a_dense_layer_that_is_pickled_misshapen_or_of_no_known_kind_is_refused(author):
    _, folder = author(pooling(), dense(32, 16))
    layer = folder / "2_Dense"
    for keys, match in (
        ({"activation_function": "torch.nn.modules.made.Up"}, "activation"),
        ({"in_features": 8}, "cannot be loaded"),
        ({"module_input_name": "token_embeddings"}, "other vectors"),
    ):
        original = (layer / "config.json").read_text()
        change(layer / "config.json", **keys)
        with pytest.raises(ModelError, match=match):
            Encoder.load(str(folder), PLAIN, device="cpu")
        (layer / "config.json").write_text(original)
    with pytest.raises(ModelError, match="does not fit"):
        Encoder.load(str(folder), EncoderOptions(pooling="mean+cls"), device="cpu")
    (layer / "model.safetensors").rename(layer / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        Encoder.load(str(folder), PLAIN, device="cpu")


def test_an_older_folder_with_its_transformer_inside_is_refused_from_either_place(author, tmp_path):
    _, folder = author(pooling("cls"))
    old = tmp_path / "old"
    shutil.copytree(folder, old / "0_Transformer")
    shutil.move(old / "0_Transformer" / "1_Pooling", old / "1_Pooling")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (old / "modules.json").write_text(json.dumps(modules))
    (old / "0_Transformer" / "modules.json").unlink()
    for source in (old, old / "0_Transformer"):
        with pytest.raises(ModelError, match="folder of its own"):
            backbone_digest(str(source), PLAIN)


@pytest.mark.parametrize("ways", [*POOLINGS, "cls+weightedmean"])
def test_texts_laid_side_by_side_are_pooled_as_padded_ones(ways):
    from behavior_spark.model.encoder.packed import Layout

    lengths = np.array([5, 3, 3, 1])
    hidden = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    read = torch.arange(5) < torch.from_numpy(lengths)[:, None]
    padded = torch.full((4, 5, 4), 99.0)
    padded[read] = hidden
    layout = Layout.of(lengths, torch.device("cpu"))
    expected = pool_padded(padded, read.long(), ways)
    assert torch.allclose(pool_packed(hidden, layout, 4, ways), expected, atol=1e-6)


def test_the_packaged_encoder_is_read_as_its_author_reads_it(real_source):
    folder = resolve_model_folder(real_source)
    model = sbert.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert cosines(model, folder, texts=[*TEXTS, "word " * 400]).min() > 0.99999


SCRIPTS = {
    "arabic": "وصل الكوب مكسورًا، شكرًا", "persian": "فنجان می\u200cرسد", "armenian": "Բաժակը կոտրված եկավ",
    "bengali": "কাপটি ভাঙা এসেছে।", "burmese": "ခွက်\u200bကွဲ\u200bနေ တယ်", "cherokee": "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "cyrillic": "Чашка пришла разбитой, её", "devanagari": "कप टूटा हुआ आया। क्\u200dष", "ethiopic": "ኩባያው ተሰብሮ ደረሰ።",
    "georgian": "ფინჯანი გატეხილი", "greek": "Ποιος έσπασε την κούπα;", "gujarati": "કપ તૂટેલો આવ્યો", "gurmukhi": "ਕੱਪ ਟੁੱਟਿਆ ਆਇਆ",
    "han": "杯子到货时已经碎了。", "hangul": "컵이 깨진 채로", "jamo": "\u110f\u1165\u11b8\u110b\u1175", "hebrew": "הספל הגיע שָׁבוּר.",
    "kana": "カップが割れて届きました。 ｶﾞﾗｽ", "kannada": "ಕಪ್ ಮುರಿದಿದೆ", "khmer": "ពែង\u200bបែក\u200bហើយ", "lao": "ຈອກແຕກ ນໍ້າ ທຳ", "latin": "The mug arrived broken, naïve café",
    "decomposed": "cafe\u0301 A\u030angstro\u0308m", "malayalam": "കപ്പ് പൊട്ടി ന്\u200d", "mongolian": "ᠮᠣᠩᠭᠣᠯ", "odia": "କପ୍ ଭାଙ୍ଗି",
    "sinhala": "කෝප්පය කැඩී ශ්\u200dරී", "syriac": "ܟܣܐ", "tamil": "கோப்பை உடைந்து", "telugu": "కప్పు పగిలింది", "thaana": "ދިވެހި", "thai": "แก้วมาถึงแตก น้ำ",
    "tibetan": "དཀར་ཡོལ", "vietnamese": "Cái cốc bị vỡ rồi ạ", "yi": "ꆈꌠꉙ", "emoji": "😀👍🏽 👩\u200d👩\u200d👧 ❤️ 🇺🇦", "compatible": "10⁵ ½ ﬁne Ａ１ ™ №5",
}  # fmt: skip


@pytest.fixture
def of_all_scripts(tmp_path):
    """Random weights over a vocabulary of single characters, in NFC."""
    raw = "".join(SCRIPTS.values())
    forms = [unicodedata.normalize(form, raw) for form in ("NFC", "NFD", "NFKC")]
    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted({*raw, *"".join(forms), "▁"})]
    plain = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    plain.normalizer = normalizers.NFC()
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", model_max_length=148,
    ).save_pretrained(tmp_path)  # fmt: skip
    torch.manual_seed(2)
    config = XLMRobertaConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=150,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("encoder", ["packaged", "every character"])
def test_a_cleaned_text_has_the_vector_of_the_raw_text_in_every_script(
    encoder, real_source, of_all_scripts
):
    packaged = encoder == "packaged"
    folder = resolve_model_folder(real_source) if packaged else of_all_scripts
    raw = [f"  {text}\n\n {text}" for text in SCRIPTS.values()]
    clean = [clean_text(text, max_chars=4000, mask=False).text for text in raw]
    model = sbert.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    if not packaged:  # it would see each space
        raw = [" ".join(text.split()) for text in raw]
    theirs = model.encode(raw, convert_to_numpy=True, normalize_embeddings=True)
    ours = Encoder.load(str(folder), PLAIN, device="cpu").embed(clean).embeddings
    cosine = dict(zip(SCRIPTS, (ours * theirs).sum(axis=1).tolist(), strict=True))
    assert {name: value for name, value in cosine.items() if value < 0.999} == {}
