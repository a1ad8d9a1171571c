import copy
import logging
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers as t
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from behavior_spark.model.encoder import linear, packed
from behavior_spark.model.encoder.devices import _cpu_flags
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.encoder.inference import Inference
from behavior_spark.model.encoder.linear import PackedLinear, can_pack, pack_linears
from behavior_spark.model.encoder.packed import Layout, attend

SMALL = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 640,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 3, "cls_token_id": 3}
SPECIAL["sep_token_id"] = 3
# What each is built from, and whether its texts are packed without padding.
ARCHITECTURES = {
    "bert": (lambda: t.BertConfig(**SMALL), True),
    "bert with another gelu": (lambda: t.BertConfig(**SMALL, hidden_act="gelu_new"), True),
    "roberta": (lambda: t.RobertaConfig(**SMALL, pad_token_id=1), True),
    "xlm-roberta": (lambda: t.XLMRobertaConfig(**SMALL, pad_token_id=1), True),
    "distilbert": (
        lambda: t.DistilBertConfig(**SMALL, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
        True,
    ),
    "electra": (lambda: t.ElectraConfig(**SMALL, embedding_size=16), True),
    "albert": (lambda: t.AlbertConfig(**SMALL, embedding_size=16), True),
    "modernbert without windows": (
        lambda: t.ModernBertConfig(**SMALL, **SPECIAL, global_attn_every_n_layers=1),
        True,
    ),
    "modernbert": (lambda: t.ModernBertConfig(**SMALL, **SPECIAL, local_attention=16), False),
    "mpnet": (lambda: t.MPNetConfig(**SMALL, pad_token_id=1), False),
    "deberta-v2": (
        lambda: t.DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"]),
        False,
    ),
    "bert as a decoder": (lambda: t.BertConfig(**SMALL, is_decoder=True), False),
}
# The trial's longest is 160; together they are more than the positions of the model.
LENGTHS = np.array([300, 257, 256, 200, 161, 160, 100, 40, 40, 40, 17, 9, 3, 3, 2, 1])


def tiny(name="bert", *, dtype=torch.float32):
    """A model of random weights, large enough that texts which mix have other vectors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = t.AutoModel.from_config(ARCHITECTURES[name][0]()).eval()
        with torch.no_grad():
            for part, values in model.named_parameters():
                if values.ndim > 1 or part.endswith("bias"):
                    values.normal_(0, 0.15)
    return model.to(dtype)


def inference(model, *, fast=True, **options):
    options = EncoderOptions(**{"max_length": 600, **options})
    return Inference(model, options, pad_id=model.config.pad_token_id or 0, fast=fast)


def random_ids(lengths, seed=0):
    return np.random.default_rng(seed).integers(5, 120, int(np.sum(lengths)))


def run(way, ids, lengths):
    with torch.inference_mode():
        return way.pooled(ids, np.asarray(lengths))


def largest(difference):
    return float(difference.abs().max())


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_vectors_are_those_of_the_plain_padded_way(name, pooling):
    model, ids = tiny(name), random_ids(LENGTHS)
    plain = inference(copy.deepcopy(model), fast=False, pooling=pooling)
    fast = inference(model, pooling=pooling)
    expected = run(plain, ids, LENGTHS)
    assert largest(run(fast, ids, LENGTHS) - expected) < 1e-4
    alone = [run(plain, own, [len(own)]) for own in np.split(ids, np.cumsum(LENGTHS)[:-1])]
    assert largest(expected - torch.cat(alone)) < 1e-4
    assert expected.std(dim=0).mean() > 0.01  # else a mix of texts could look right


@pytest.fixture
def said_by_transformers():
    """What transformers logs: it would stand in the job's log for every worker."""
    handler, found = logging.Handler(), []
    handler.emit = lambda record: found.append(record.getMessage())
    logging.getLogger("transformers").addHandler(handler)
    yield found
    logging.getLogger("transformers").removeHandler(handler)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize(("name", "packs"), [(name, row[1]) for name, row in ARCHITECTURES.items()])
def test_plain_attention_is_packed_and_any_other_falls_back_to_padding_in_silence(
    name, packs, pooling, said_by_transformers
):
    model = tiny(name)
    before = model.config._attn_implementation
    said_by_transformers.clear()
    way = inference(model, pooling=pooling)
    assert way.packs is packs
    assert model.config._attn_implementation == (packed.NAME if packs else before)
    lengths = np.array([5, 3])
    assert way.tokens_run(lengths) == (8 if packs else 10)
    assert said_by_transformers == []


@pytest.mark.parametrize("name", ["mpnet", "deberta-v2"])
def test_a_model_that_keeps_its_own_attention_is_not_packed_even_where_no_trial_tells(
    name, monkeypatch
):
    expected = run(inference(tiny(name), fast=False), random_ids(LENGTHS), LENGTHS)
    monkeypatch.setattr(Inference, "_agrees", lambda *_, **__: True)
    way = inference(tiny(name))
    assert not way.packs
    assert largest(run(way, random_ids(LENGTHS), LENGTHS) - expected) < 1e-4


class Shapes(TorchDispatchMode):
    """Shapes of the products that oneDNN compiles and keeps."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
        name = function._schema.name
        if any(word in name for word in ("bmm", "addmm", "linear", "matmul")):
            shapes = [tuple(a.shape) for a in arguments if isinstance(a, torch.Tensor)]
            self.found.add((name, *shapes))
        return function(*arguments, **(kwargs or {}))


def test_texts_of_all_lengths_give_onednn_few_shapes_to_keep_memory_for():
    way = inference(tiny(dtype=torch.bfloat16))
    rng = np.random.default_rng(3)
    with torch.inference_mode(), Shapes() as shapes:
        seen = []
        for lengths in (np.sort(rng.integers(3, 257, 60))[::-1] for _ in range(30)):
            for start, stop in way.cut(lengths, 1024):
                way.pooled(random_ids(lengths[start:stop]), lengths[start:stop])
            seen.append(len(shapes.found))
    # Two products for each of 7 lengths and 5 numbers of texts; 4 layers of 32 numbers of tokens.
    assert 40 < seen[-1] <= 2 * 7 * 5 + 4 * 32
    assert seen[-1] < 1.5 * seen[14]


def test_a_bf16_text_longer_than_the_batched_products_has_the_plain_vector():
    lengths = [600, packed.LONGEST_PRODUCT + 1, packed.LONGEST_PRODUCT, 20]
    model, ids = tiny("roberta", dtype=torch.bfloat16), random_ids(lengths)
    plain = run(inference(copy.deepcopy(model), fast=False), ids, lengths)
    fast = inference(model)
    assert fast.packs
    assert torch.cosine_similarity(run(fast, ids, lengths), plain).min() > 0.999


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_text_that_spells_out_the_padding_token_has_the_plain_vector(name):
    model = tiny(name)
    pad, lengths = model.config.pad_token_id, [9, 9, 4]
    ids = random_ids(lengths)
    ids[[3, 4, 12, 21]] = pad
    expected = run(inference(copy.deepcopy(model), fast=False), ids, lengths)
    assert largest(run(inference(model), ids, lengths) - expected) < 1e-4


@pytest.fixture(scope="module")
def two_ways():
    """The packed and the padded way of one tiny BERT."""
    return inference(tiny()), inference(tiny(), fast=False)


EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
some_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=14).map(
    lambda found: np.array(sorted(found, reverse=True))
)


@EXAMPLES
@given(lengths=some_lengths, budget=st.integers(1, 300))
def test_batches_hold_every_piece_once_and_are_as_full_as_the_budget_lets_them(
    two_ways, lengths, budget
):
    for way in two_ways:
        batches = way.cut(lengths, budget)
        assert [i for start, stop in batches for i in range(start, stop)] == [*range(len(lengths))]
        for start, stop in batches:
            assert stop == start + 1 or way.tokens_run(lengths[start:stop]) <= budget
            if stop < len(lengths):
                assert way.tokens_run(lengths[start : stop + 1]) > budget


@EXAMPLES
@given(lengths=some_lengths, budget=st.integers(1, 300))
def test_a_packed_vector_does_not_depend_on_the_token_budget(two_ways, lengths, budget):
    way, edges = two_ways[0], np.concatenate([[0], np.cumsum(lengths)])
    assert way.packs
    ids = random_ids(lengths)
    parts = [
        run(way, ids[edges[start] : edges[stop]], lengths[start:stop])
        for start, stop in way.cut(lengths, budget)
    ]
    assert largest(torch.cat(parts) - run(way, ids, lengths)) < 1e-5


def test_no_pieces_need_no_batch(two_ways):
    assert [way.cut(np.zeros(0, dtype=np.int64), 64) for way in two_ways] == [[], []]


@pytest.fixture(scope="module")
def real_bf16(real_source) -> Encoder:
    return Encoder.load(real_source, EncoderOptions(precision="bf16"), device="cpu")


def test_a_bf16_vector_does_not_depend_on_its_batch_mates(real_bf16):
    rng = np.random.default_rng(0)
    words = ["I", "still", "have", "not", "got", "my", "red", "mug", "where", "is", "the", "lamp"]
    texts = [" ".join(rng.choice(words, n)) for n in [1, 1, 2, 3, 5, 5, 8, 8, 8, 13, 30, 60, 120]]
    assert real_bf16.inference.packs
    alone = np.concatenate([real_bf16.embed([text]).embeddings for text in texts])
    for budget in (64, 128, 256, 512, 1024, 4096):
        found = real_bf16.embed(texts, token_budget=budget).embeddings
        assert (found * alone).sum(axis=1).min() > 0.9999
        # Measured bit for bit on AVX-512 and on emulation; AMX, which works on tiles, was not.
        if "amx_bf16" not in _cpu_flags():
            assert np.array_equal(found, alone)


def kinds(model):
    return {name: type(module) for name, module in model.named_modules()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_onednn_layers_are_used_where_this_processor_has_them(dtype):
    model = tiny(dtype=dtype)
    linears = [name for name, kind in kinds(model).items() if kind is torch.nn.Linear]
    way = inference(model)
    assert way.onednn is can_pack(dtype) and len(linears) > 12
    wanted = PackedLinear if way.onednn else torch.nn.Linear
    assert {kinds(model)[name] for name in linears} == {wanted}


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_a_onednn_layer_equals_the_plain_one(dtype, near, bias, gelu):
    if not can_pack(dtype):
        pytest.skip(f"this processor has no oneDNN layer for {dtype}")
    torch.manual_seed(1)
    plain = torch.nn.Linear(48, 80, bias=bias, dtype=dtype)
    ours = PackedLinear(plain, gelu=gelu)
    with torch.inference_mode():
        for shape in ((1, 1, 48), (1, 7, 48), (1, 1500, 48), (3, 48)):
            values = torch.randn(shape, dtype=dtype)
            expected = plain(values)
            expected = torch.nn.functional.gelu(expected) if gelu else expected
            assert torch.allclose(ours(values), expected, atol=near, rtol=near)


def test_undo_brings_the_plain_layers_back():
    model, lengths = tiny(), [7, 3]
    ids = random_ids(lengths)
    plain = inference(model, fast=False)
    before, modules = run(plain, ids, lengths), dict(model.named_modules())
    undo = pack_linears(model)
    assert PackedLinear in kinds(model).values()
    assert largest(run(plain, ids, lengths) - before) < 1e-4
    undo()
    assert dict(model.named_modules()) == modules
    assert torch.equal(run(plain, ids, lengths), before)


def refuse(*_, **__):
    raise RuntimeError("not here")


@pytest.mark.parametrize(
    ("owner", "name", "found"),
    [
        (Inference, "_agrees", lambda *_, **__: False),
        (Inference, "_packed", refuse),
        (packed, "_equal_length", lambda query, key, value, scale, dropout: value),
        (packed, "enable", refuse),
    ],
)
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "mpnet"])
def test_where_the_trial_disagrees_the_model_is_as_it_was(
    monkeypatch, architecture, owner, name, found
):
    model, ids = tiny(architecture), random_ids(LENGTHS)
    before, implementation = kinds(model), model.config._attn_implementation
    expected = run(inference(copy.deepcopy(model), fast=False), ids, LENGTHS)
    monkeypatch.setattr(linear.torch.backends.mkldnn, "is_available", lambda: name == "_agrees")
    monkeypatch.setattr(owner, name, found)
    monkeypatch.setattr(Inference, "_try_padding", lambda _: None)  # another trial
    way = inference(model)
    assert not way.packs and not way.onednn
    assert kinds(model) == before and model.config._attn_implementation == implementation
    assert torch.equal(run(way, ids, LENGTHS), expected)


def test_a_onednn_layer_that_computes_something_else_is_not_used(monkeypatch):
    if not can_pack(torch.float32):
        pytest.skip("this processor has no oneDNN layer")
    forward = PackedLinear.forward
    model, ids = tiny(), random_ids(LENGTHS)
    before = kinds(model)
    monkeypatch.setattr(PackedLinear, "forward", lambda self, x: forward(self, x) * 1.1)
    monkeypatch.setattr("behavior_spark.model.encoder.inference.can_pack", lambda dtype: True)
    way = inference(model)
    assert way.packs and not way.onednn and kinds(model) == before
    expected = run(inference(tiny(), fast=False), ids, LENGTHS)
    assert largest(run(way, ids, LENGTHS) - expected) < 1e-4


def test_a_model_on_which_the_trial_fails_is_left_alone_and_fails_on_real_texts(
    monkeypatch, caplog
):
    model = tiny()
    before = kinds(model)
    monkeypatch.setattr(model, "forward", refuse)
    with caplog.at_level(logging.WARNING):
        way = inference(model)
    assert "the trial batch failed (RuntimeError)" in caplog.text
    assert not way.packs and not way.onednn and kinds(model) == before
    with pytest.raises(RuntimeError, match="not here"):
        run(way, random_ids([3]), [3])


def test_a_model_of_few_tokens_and_few_words_is_tried_too():
    for most in (3, 4, 10):
        model = tiny()
        model.resize_token_embeddings(7)
        way = inference(model, max_length=most)
        assert way.packs and way.onednn is can_pack(torch.float32)


def test_loading_an_encoder_leaves_the_callers_random_numbers_alone(tiny_folder):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        Encoder.load(str(tiny_folder), EncoderOptions(), device="cpu")
        assert torch.equal(torch.rand(4), expected)


def test_a_trainable_encoder_keeps_plain_layers_and_lets_gradients_through(tiny_folder):
    source, options = str(tiny_folder), EncoderOptions()
    encoder = Encoder.load(source, options, device="cpu", trainable=True)
    assert not encoder.inference.packs and not encoder.inference.onednn
    assert PackedLinear not in kinds(encoder.model).values()
    assert encoder.model.config._attn_implementation != packed.NAME
    vectors = encoder.forward(encoder.tokenize(["red mug", "a much longer text, please"]))
    (vectors**3).sum().backward()
    for name, values in encoder.model.named_parameters():
        if name.startswith("pooler"):
            continue
        assert values.grad is not None and values.grad.isfinite().all(), name
        # A key's bias moves all scores of a row alike, which softmax does not see.
        assert "key.bias" in name or values.grad.abs().sum() > 0, name
    frozen = Encoder.load(source, options, device="cpu").embed(["red mug"]).embeddings
    assert np.abs(frozen - vectors[:1].detach().numpy()).max() < 1e-5


# Attention itself


def plain_attention(query, key, value, edges, scale):
    """[tokens, heads, dimension] of three such, one text after the other."""
    out = torch.empty_like(query)
    for start, stop in pairwise(edges):
        q, k, v = (part[start:stop].transpose(0, 1) for part in (query, key, value))
        weights = torch.softmax(q @ k.transpose(1, 2) * scale, dim=-1)
        out[start:stop] = (weights @ v).transpose(0, 1)
    return out


def attended(lengths, *, laid_out=True, module=None, **changes):
    """What ``attend`` says to random tokens [1, heads, tokens, dimension]; and the tokens."""
    generator = torch.Generator().manual_seed(2)
    three = [torch.randn(1, 2, sum(lengths), 8, generator=generator) for _ in range(3)]
    arguments = {"attention_mask": None} | changes
    three[1] = arguments.pop("key", three[1])
    module = module or torch.nn.Module()
    if not laid_out:
        return attend(module, *three, **arguments), three
    with packed._laid_out(Layout.of(np.array(lengths), torch.device("cpu"))):
        return attend(module, *three, **arguments), three


@pytest.mark.parametrize("scaling", [None, 0.7])
def test_attention_stays_within_each_text_whatever_their_order(scaling):
    lengths = [4, 4, 1, 6, 1, 4]
    (found, weights), three = attended(lengths, scaling=scaling)
    rows = [part[0].transpose(0, 1) for part in three]
    edges = [0, *np.cumsum(lengths).tolist()]
    expected = plain_attention(*rows, edges, 8**-0.5 if scaling is None else scaling)
    assert weights is None and found.shape == (1, 20, 2, 8)
    assert largest(found[0] - expected) < 1e-5


class Causal(torch.nn.Module):
    is_causal = True


@pytest.mark.parametrize(
    "change",
    [
        {"laid_out": False},
        {"attention_mask": torch.zeros(1, 1, 5, 5)},
        {"sliding_window": 128},
        {"module": Causal()},
        {"key": torch.zeros(1, 1, 5, 8)},
    ],
)
def test_attention_that_is_more_than_plain_is_refused(change):
    with pytest.raises(ValueError, match="cannot be packed"):
        attended([3, 2], **change)


def test_a_layout_lasts_for_its_forward_pass_alone():
    with (
        pytest.raises(RuntimeError),
        packed._laid_out(Layout.of(np.array([3]), torch.device("cpu"))),
    ):
        refuse()
    with pytest.raises(ValueError, match="cannot be packed"):
        attended([3, 2], laid_out=False)


def test_a_layout_finds_runs_of_equal_lengths_and_means_of_each_text():
    lengths = np.array([5, 3, 3, 3, 1, 3])
    layout = Layout.of(lengths, torch.device("cpu"))
    assert layout.groups == [(0, 1, 5), (5, 3, 3), (14, 1, 1), (15, 1, 3)]
    assert layout.edges.tolist() == [0, 5, 8, 11, 14, 15, 18] and layout.longest == 5
    assert layout.edges.dtype == torch.int32
    hidden = torch.randn(18, 4)
    expected = [part.mean(dim=0) for part in hidden.split(lengths.tolist())]
    assert torch.allclose(layout.means(hidden), torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("scale", [16**-0.5, 0.4, 1.0])
def test_variable_length_attention_is_told_where_texts_end_and_how_scores_are_scaled(
    monkeypatch, scale
):
    asked = []

    def reference(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k):
        asked.append((cu_seq_q.tolist(), cu_seq_k.tolist(), max_q, max_k, cu_seq_q.dtype))
        return plain_attention(query, key, value, cu_seq_q.tolist(), query.shape[-1] ** -0.5)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", reference)
    lengths = np.array([7, 4, 4, 1])
    layout = Layout.of(lengths, torch.device("cpu"))
    rows = [torch.randn(16, 2, 16) for _ in range(3)]
    given = [row.clone() for row in rows]
    found = packed._variable_length(rows, layout, scale)
    edges = [0, 7, 11, 15, 16]
    assert asked == [(edges, edges, 7, 7, torch.int32)]
    assert largest(found - plain_attention(*given, edges, scale)) < 1e-5
    assert all(torch.equal(row, before) for row, before in zip(rows, given, strict=True))


def test_a_layout_on_a_gpu_names_its_groups_too(monkeypatch):
    """Training packs there in fp32 first, where attention goes group by group."""
    monkeypatch.setattr(packed, "on_device", lambda array, _: torch.from_numpy(array))
    layout = Layout.of(np.array([3, 3, 2]), torch.device("cuda"))
    assert layout.groups == [(0, 2, 3), (6, 1, 2)]
