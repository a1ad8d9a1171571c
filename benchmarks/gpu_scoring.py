"""Throughput on one GPU from raw texts to vectors, compared with the forward pass alone.

    python benchmarks/gpu_scoring.py [--model minilm|bert-base|FOLDER] [--texts 100000]
        [--device cuda|cpu] [--precision bf16|fp32] [--lengths short|mixed|long]
        [--lines FILE] [--token-budget N] [--sweep] [--compile] [--threads N] [--repeats 3] [--json]

Needs torch, transformers, numpy, pyarrow and this folder: no Spark, no Java, no model hub. The
named models have these shapes, random weights and a WordPiece vocabulary of invented words. They
are written to a temporary folder and loaded like any model. The texts consist of these words, or
are the lines of a file. Timed in turn, after a warm-up each:

- ``end to end``: from windows of raw texts in Arrow, tokenised in threads ahead of the model, to
  float32 vectors in numpy: the work of a Spark task between Arrow batches. The texts come in a
  different order each time, so that every window is new.
- ``bare``: the model as transformers loads it, on token ids that are on the device already, in
  batches of one length sorted over all texts: no padding, no mask, nothing copied back.
- ``padded``: the same in padded batches of 32 texts sorted by length, forward pass only.
- ``sentence-transformers``: ``encode`` of raw texts, if it is installed.
- ``bare, no cuDNN``: on a GPU, ``bare`` without cuDNN's attention.

The goal is 0.9 of ``bare`` in texts per second. ``--json`` adds a last line for programs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import cycle, groupby, islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.embedding import EmbeddingBatch
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions, use_threads
from behavior_spark.model.encoder.linear import PackedLinear, can_pack
from behavior_spark.model.encoder.loading import quiet_transformers
from behavior_spark.model.encoder.tokens import Tokens
from behavior_spark.scoring.ahead import map_ahead, one_behind

T = TypeVar("T")
Ids = list[list[int]]

WINDOW = 8192  # as in scoring/embedding.py, which needs pyspark
BUDGETS = [8192, 16384, 32768, 65536, 131072, 262144]
SWEPT = 32_768  # number of texts of the sweep
PADDED = 8_192  # number of texts for the two methods that pad
LEXICON = 200_000
SEED = 7
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}

# Dense bf16 TFLOPS as NVIDIA's data sheets give them (half of the figure "with sparsity"):
# H200 (SXM and NVL), H100 (SXM, PCIe and NVL), A100, A10, L40S, L40, L4. T4 has no bf16; its
# figure is fp16's. https://www.nvidia.com/en-us/data-center/{h200,h100,a100,l40s,l4,tesla-t4}/
PEAKS = {
    "H200 NVL": 835.5,
    "H200": 989.5,
    "H100 PCIe": 756.5,
    "H100 NVL": 835.5,
    "H100": 989.5,
    "A100": 312.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L40": 181.0,
    "L4": 121.0,
    "T4": 65.0,
}


@dataclass(frozen=True)
class Shape:
    """Size of a BERT model."""

    layers: int
    width: int
    heads: int
    inner: int


@dataclass(frozen=True)
class Lengths:
    """Log-normal lengths of texts in tokens, and the maximum that the model reads."""

    median: int
    spread: float
    longest: int


SHAPES = {"minilm": Shape(6, 384, 12, 1536), "bert-base": Shape(12, 768, 12, 3072)}
LENGTHS = {
    "short": Lengths(8, 0.6, 64),
    "mixed": Lengths(40, 0.8, 128),
    "long": Lengths(200, 0.7, 512),
}


def vocabulary(size: int) -> list[str]:
    """``size`` WordPiece entries: special tokens, characters, word endings, invented words."""
    dice = np.random.default_rng(SEED)
    open_syllables = [first + vowel for first in "bcdfghklmnprstvw" for vowel in "aeiou"]
    syllables = open_syllables + [start + last for start in open_syllables for last in "lmnrst"]
    characters = string.ascii_lowercase + string.digits
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *string.punctuation]
    entries += [f"##{end}" for end in [*characters, *syllables]]
    words = dict.fromkeys(open_syllables)
    while len(entries) + len(words) < size:
        count = int(dice.integers(2, 4))
        words["".join(dice.choice(syllables, count).tolist())] = None
    return [*entries, *words][:size]


def write_model(folder: Path, shape: Shape, *, size: int = 30_522, positions: int = 512) -> Path:
    """Write a Hugging Face folder with random weights and a fast WordPiece tokenizer."""
    from tokenizers import BertWordPieceTokenizer

    entries = vocabulary(size)
    config = BertConfig(
        vocab_size=len(entries),
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=positions,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": positions}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def make_texts(count: int, lengths: Lengths, words: Sequence[str]) -> list[str]:
    """Texts of the given lengths from a lexicon of 200,000 words, drawn by Zipf's law.

    The most frequent words are entries of the vocabulary; the others have one or two endings. This
    gives about 1.2 tokens per word, and rare words that keep appearing, as in a log.
    """
    dice = np.random.default_rng(SEED)
    whole = np.array([word for word in words if word.isascii() and word.isalpha()], dtype=object)
    suffixes = [word[2:] for word in words if re.fullmatch("##[a-z]{2,3}", word)]
    ends = np.array(suffixes or [""], dtype=object)
    drawn = dice.lognormal(np.log(lengths.median), lengths.spread, count)
    tokens = np.clip(np.rint(drawn), 4, lengths.longest)
    sizes = np.maximum(np.rint((tokens - 3) / 1.2), 1).astype(int)  # two special, a full stop
    longer = dice.integers(0, len(whole), max(0, LEXICON - len(whole)))
    endings = dice.choice(ends, len(longer)) + np.where(
        dice.random(len(longer)) < 0.25, dice.choice(ends, len(longer)), ""
    )
    lexicon = np.concatenate([whole, whole[longer] + endings])
    mass = np.cumsum(1 / (np.arange(len(lexicon)) + 2.7))
    chosen = lexicon[np.searchsorted(mass, mass[-1] * dice.random(int(sizes.sum())))]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    return [" ".join(chosen[a:b]).capitalize() + "." for a, b in pairwise(edges)]


def read_texts(file: Path, count: int) -> list[str]:
    """The first ``count`` lines that are not empty."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return list(islice((line.strip() for line in lines if line.strip()), count))


class Clock:
    """Measures actions on one device, which is idle before and after each of them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def wait(self) -> None:
        """Wait until the device has finished all work."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def time(self, action: Callable[[], T]) -> tuple[T, float]:
        """The result of one action, and its seconds."""
        self.wait()
        start = time.perf_counter()
        result = action()
        self.wait()
        return result, time.perf_counter() - start

    def rounds(
        self, actions: dict[str, Callable[[], object]], repeats: int
    ) -> dict[str, list[float]]:
        """Seconds of each call; all actions in turn, 1 + ``repeats`` times (the first: warm-up)."""
        seconds: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(1 + repeats):
            for name, action in actions.items():
                seconds[name].append(self.time(action)[1])
        return seconds


@dataclass
class EndToEnd:
    """Runs the encoder from raw texts to vectors; counts and seconds are of the last run.

    Attributes:
        seconds: Seconds of each step. Steps overlap, because tokenising runs ahead.
    """

    encoder: Encoder
    budget: int
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    tokens_run: int = 0
    errors: int = 0

    def run(self, texts: pa.Array) -> npt.NDArray[np.float32]:
        """Vectors of all texts, in order."""
        self.seconds = dict.fromkeys(
            ("tokenise, in threads", "wait for it", "begin", "finish"), 0.0
        )
        self.tokens = self.tokens_run = self.errors = 0
        vectors = np.empty((len(texts), self.encoder.dimension), dtype=np.float32)
        start = 0
        threads = self.encoder.tokenizer_threads
        ready = map_ahead(self._prepared, windows(texts), workers=threads)
        for finish in one_behind(self._begun(ready)):
            done = self._timed("finish", finish)
            vectors[start : start + len(done.errors)] = done.embeddings
            start += len(done.errors)
            self.tokens += int(done.token_counts.sum())
            self.tokens_run += done.tokens_run
            self.errors += sum(error is not None for error in done.errors)
        return vectors

    def _begun(
        self, ready: Iterator[tuple[Tokens, float]]
    ) -> Iterator[Callable[[], EmbeddingBatch]]:
        begin = partial(self.encoder.begin, token_budget=self.budget)
        while (window := self._timed("wait for it", lambda: next(ready, None))) is not None:
            tokens, took = window
            self.seconds["tokenise, in threads"] += took
            yield self._timed("begin", partial(begin, tokens))

    def _prepared(self, window: pa.Array) -> tuple[Tokens, float]:
        start = time.perf_counter()
        return self.encoder.prepare(window), time.perf_counter() - start

    def _timed(self, name: str, action: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = action()
        self.seconds[name] += time.perf_counter() - start
        return result


def windows(texts: Any) -> Iterator[Any]:
    """The texts in windows of 8,192; the encoder sorts the texts of each window by length."""
    return (texts[start : start + WINDOW] for start in range(0, len(texts), WINDOW))


def apart(encoder: Encoder, texts: Sequence[str], budget: int, clock: Clock) -> dict[str, float]:
    """Seconds of each step if steps do not overlap.

    ``queue`` is the part of ``forward`` in which the host submits work. If it is nearly all of
    ``forward``, the device waits for Python.
    """
    steps = ("tokenise", "forward", "queue", "copy back", "rest of embed_tokens")
    seconds = dict.fromkeys(steps, 0.0)
    for window in windows(texts):
        tokens, took = clock.time(partial(encoder.prepare, window))
        seconds["tokenise"] += took
        batches = encoder.inference.cut(tokens.lengths, budget)
        with torch.inference_mode():
            start = time.perf_counter()
            parts = [encoder.pooled(tokens, *batch) for batch in batches]
            seconds["queue"] += time.perf_counter() - start
            clock.wait()
            forward = time.perf_counter() - start
            _, back = clock.time(torch.cat(parts).cpu)
        embed = partial(encoder.embed_tokens, tokens, token_budget=budget)
        seconds["forward"] += forward
        seconds["copy back"] += back
        seconds["rest of embed_tokens"] += max(0.0, clock.time(embed)[1] - forward - back)
    return seconds


def equal_batches(ids: Ids, budget: int, device: torch.device) -> list[torch.Tensor]:
    """Token ids on the device in batches of one length, longest texts first."""
    batches = []
    for length, group in groupby(sorted(ids, key=len, reverse=True), key=len):
        same = torch.tensor(list(group))
        batches += [part.to(device) for part in torch.split(same, max(1, budget // length))]
    return batches


def padded_batches(
    ids: Ids, pad_id: int, device: torch.device, size: int = 32
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids and masks on the device, ``size`` texts in a batch, longest texts first."""
    ordered, batches = sorted(ids, key=len, reverse=True), []
    for start in range(0, len(ordered), size):
        rows = [torch.tensor(row) for row in ordered[start : start + size]]
        pad = torch.nn.utils.rnn.pad_sequence
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True)
        batch = pad(rows, batch_first=True, padding_value=pad_id)
        batches.append((batch.to(device), mask.to(device)))
    return batches


@torch.inference_mode()
def run_equal(model: Any, batches: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean-pooled vectors of length 1 for batches without padding: the least possible work."""
    means = [
        model(input_ids=batch, attention_mask=None).last_hidden_state.mean(1, dtype=torch.float32)
        for batch in batches
    ]
    return torch.nn.functional.normalize(torch.cat(means), dim=1)


@torch.inference_mode()
def run_padded(model: Any, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Mean-pooled vectors of length 1 for padded batches."""
    means = []
    for ids, mask in batches:
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        means.append((hidden * weights).sum(1) / weights.sum(1))
    return torch.nn.functional.normalize(torch.cat(means), dim=1)


def without_cudnn(action: Callable[[], object]) -> object:
    """The result of ``action`` while torch may not use cuDNN's attention.

    On Hopper GPUs torch prefers cuDNN's attention, which makes a new plan for each new shape.
    """
    others = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(others):
        return action()


def theirs(
    folder: Path, device: str, dtype: torch.dtype, max_length: int
) -> Callable[[list[str]], object] | None:
    """sentence-transformers' ``encode`` with usual arguments; None if it is not installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import SentenceTransformer

    with quiet_transformers():
        model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": dtype})
    model.max_seq_length = max_length
    return partial(model.encode, batch_size=32, normalize_embeddings=True, show_progress_bar=False)


def flops(model: Any, lengths: npt.NDArray[np.int64]) -> float:
    """Floating-point operations of the forward pass for texts of these lengths in tokens.

    Each token needs 2 operations per weight of the linear layers (without the unused pooler), and
    in each layer 4 x width per token of its text: queries by keys, and weights by values.
    """
    layers = (part for name, part in model.named_modules() if "pooler" not in name)
    weights = sum(part.weight.numel() for part in layers if isinstance(part, torch.nn.Linear))
    config = model.config
    attention = 4 * config.num_hidden_layers * config.hidden_size * int((lengths**2).sum())
    return float(2 * weights * int(lengths.sum()) + attention)


def listed_peak(device: torch.device, precision: str) -> float | None:
    """Peak TFLOPS of the GPU by its data sheet; None if not known."""
    if device.type != "cuda" or precision != "bf16":
        return None
    name = torch.cuda.get_device_name(device)
    return next(
        (
            peak
            for known, peak in PEAKS.items()
            if all(re.search(rf"\b{word}\b", name) for word in known.split())
        ),
        None,
    )


def product_rate(device: torch.device, dtype: torch.dtype, clock: Clock) -> float:
    """TFLOPS of a large product of random matrices; on a CPU by the faster of two libraries."""
    size, times = (8192, 20) if device.type == "cuda" else (1024, 3)
    with torch.random.fork_rng(devices=[]):
        left, right = (torch.randn(size, size, dtype=dtype).to(device) for _ in range(2))
    products: list[Callable[[], object]] = [lambda: left @ right]
    if device.type == "cpu" and can_pack(dtype):
        packed = PackedLinear(torch.nn.Linear(size, size, dtype=dtype))
        products.append(lambda: packed(left))
    best = 0.0
    with torch.inference_mode():
        for product in products:
            many = partial(_repeat, product, times)
            many()
            best = max(best, 2 * size**3 * times / clock.time(many)[1] / 1e12)
    return best


class Bench:
    """Measures one model on one set of texts; prints each figure and keeps it in ``figures``."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.figures = options, dict[str, Any]()
        lengths, self.dtype = LENGTHS[options.lengths], DTYPES[options.precision]
        self.device = torch.device(options.device)
        self.clock = Clock(self.device)
        self._folder = str(folder)
        self._settings = EncoderOptions(max_length=lengths.longest, precision=options.precision)
        self.encoder = self.load()
        with quiet_transformers():
            plain: Any = AutoModel.from_pretrained(folder, dtype=self.dtype)
            entries = AutoTokenizer.from_pretrained(folder).get_vocab()
        self.bare = plain.to(self.device).eval()
        words = sorted(entries, key=lambda word: int(entries[word]))
        plain_words = [word.lstrip("\u2581\u0120") for word in words]  # marks of a space before
        if options.lines:
            self.texts = read_texts(options.lines, options.texts)
        else:
            self.texts = make_texts(options.texts, lengths, plain_words)
        self.ids = [ids for window in windows(self.texts) for ids in self.encoder.tokenize(window)]
        self.sizes = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self.budget = options.token_budget or self.encoder.inference.token_budget

    def load(self) -> Encoder:
        """Load a new encoder of the model."""
        return Encoder.load(self._folder, self._settings, device=self.options.device)

    def describe(self) -> None:
        """Print the versions, device, model and texts."""
        gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if gpu else "cpu"
        self.note("torch, transformers", f"{torch.__version__}, {version('transformers')}")
        self.note("device", name, f"{name}, {self.options.threads} threads on the host")
        self.note("model", self.options.model, f"{self.options.model}, {self.options.precision}")
        self.note("packed without padding", self.encoder.inference.packs)
        quarters = np.percentile(self.sizes, [0, 25, 50, 75, 100]).astype(int).tolist()
        self.note("tokens of a text, quartiles", quarters)
        self.note("token budget", self.budget)

    def compare(self) -> None:
        """Measure all methods in one run, and compare their vectors."""
        whole, budget = EndToEnd(self.encoder, self.budget), self.budget
        self.print_head()
        peak_bytes = 0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            whole.run(pa.array(self.texts, type=pa.string()))
            peak_bytes = torch.cuda.max_memory_allocated(self.device)
        batches = equal_batches(self.ids, budget, self.device)
        ways: dict[str, Callable[[], object]] = {
            "end to end": self.unseen(whole, self.texts),
            "bare": partial(run_equal, self.bare, batches),
        }
        if self.device.type == "cuda":
            ways["bare, no cuDNN"] = partial(without_cudnn, ways["bare"])
        self.rates(ways, len(self.texts), self.options.repeats)
        few = min(PADDED, len(self.texts))
        pad_id = int(self.bare.config.pad_token_id or 0)
        padded = padded_batches(self.ids[:few], pad_id, self.device)
        others: dict[str, Callable[[], object]] = {"padded": partial(run_padded, self.bare, padded)}
        longest = self.encoder.options.length
        if encode := theirs(Path(self._folder), self.options.device, self.dtype, longest):
            others["sentence-transformers"] = partial(encode, self.texts[:few])
        self.rates(others, few, min(2, self.options.repeats))

        print()
        rate = {name: self.figures[name]["texts_per_s"] for name in [*ways, *others]}
        for name in [*list(ways)[1:], *others]:
            ratio, goal = rate["end to end"] / rate[name], "  (goal: 0.9)" * (name == "bare")
            self.note(f"end to end / {name}", ratio, f"{ratio:.3f}{goal}")
        self.note("least cosine to bare", self._likeness())
        if self.encoder.inference.replays is not None:
            self.note("least cosine, recorded to plain", self._recorded_likeness())
        self.note("texts with an error", whole.errors)
        padding = 1 - whole.tokens / max(1, whole.tokens_run)
        self.note("padding", padding, f"{padding:.1%} of the tokens run")
        if peak_bytes:
            self.note("peak device memory", peak_bytes, f"{peak_bytes / 2**20:,.0f} MiB")
        self._share()
        print("\nseconds of one run end to end; tokenising overlaps the model:")
        for name, value in whole.seconds.items():
            self.note(name, value, f"{value:.3f}")
        print("seconds of its steps one after the other:")
        for name, value in apart(self.encoder, self.texts, budget, self.clock).items():
            self.note(f"alone: {name}", value, f"{value:.3f}")

    def sweep(self) -> None:
        """Measure ``end to end`` and ``bare`` by token budget, on fewer texts."""
        few = self.texts[:SWEPT]
        self.print_head()
        for budget in BUDGETS:
            batches = equal_batches(self.ids[:SWEPT], budget, self.device)
            ways: dict[str, Callable[[], object]] = {
                f"end to end, budget {budget}": self.unseen(EndToEnd(self.encoder, budget), few),
                f"bare, budget {budget}": partial(run_equal, self.bare, batches),
            }
            self.rates(ways, len(few), min(2, self.options.repeats))

    def compile(self) -> None:
        """Measure ``end to end`` and ``bare`` with and without torch.compile, on fewer texts."""
        few, second = self.texts[:SWEPT], self.load()
        batches = equal_batches(self.ids[:SWEPT], self.budget, self.device)
        fast: Any = torch.compile(self.bare, dynamic=True)
        ways: dict[str, Callable[[], object]] = {
            "end to end, fewer texts": self.unseen(EndToEnd(self.encoder, self.budget), few),
            "bare, fewer texts": partial(run_equal, self.bare, batches),
            "bare, compiled": partial(run_equal, fast, batches),
        }
        second.inference.model = torch.compile(second.inference.model, dynamic=True)
        tokens = second.prepare(few[:64])
        self.print_head()
        try:  # not with embed, which would try each text separately after an error
            with torch.inference_mode():
                second.pooled(tokens, 0, len(tokens.rows))
            ways["end to end, compiled"] = self.unseen(EndToEnd(second, self.budget), few)
        except Exception as error:
            self.note("end to end, compiled", f"failed: {type(error).__name__}")
        self.rates(ways, len(few), min(2, self.options.repeats))

    def unseen(self, whole: EndToEnd, texts: Sequence[str]) -> Callable[[], object]:
        """A run over the texts in a new order at each call, so that shapes of batches are new."""
        dice = np.random.default_rng(SEED)
        column = pa.array(texts, type=pa.string())
        orders = [dice.permutation(len(texts)) for _ in range(2 + self.options.repeats)]
        given = cycle([column.take(pa.array(order)) for order in orders])
        return lambda: whole.run(next(given))

    def note(self, name: str, value: Any, shown: str | None = None) -> None:
        """Print one figure and keep it."""
        self.figures[name] = value
        print(f"{name:30} {value if shown is None else shown}", flush=True)

    def print_head(self) -> None:
        """Print the header of a table of rates."""
        print(
            f"\n{'':30} {'texts/s':>11} {'tokens/s':>13}"
            f" {'median s':>9} {'least s':>9} {'first s':>9}"
        )

    def rates(self, ways: dict[str, Callable[[], object]], count: int, repeats: int) -> None:
        """Time methods that embed the first ``count`` texts; print their rates and keep them."""
        tokens = int(self.sizes[:count].sum())
        for name, (first, *took) in self.clock.rounds(ways, repeats).items():
            middle, least = statistics.median(took), min(took)
            self.figures[name] = {
                "texts": count,
                "texts_per_s": count / middle,
                "tokens_per_s": tokens / middle,
                "median_s": middle,
                "least_s": least,
                "first_s": first,
                "repeats": repeats,
            }
            print(
                f"{name:30} {count / middle:11,.0f} {tokens / middle:13,.0f}"
                f" {middle:9.3f} {least:9.3f} {first:9.3f}",
                flush=True,
            )

    def _likeness(self) -> float:
        """The lowest cosine between our vectors and those of ``bare``, for up to 1,024 texts."""
        count = min(1024, len(self.texts))
        ours = torch.from_numpy(self.encoder.embed(self.texts[:count]).embeddings)
        batches = equal_batches(self.ids[:count], self.budget, self.device)
        order = torch.from_numpy(np.argsort(-self.sizes[:count], kind="stable"))
        return float((ours[order] * run_equal(self.bare, batches).cpu()).sum(dim=1).min())

    def _recorded_likeness(self) -> float:
        """The lowest cosine between vectors of a window with and without recorded CUDA graphs."""
        window = pa.array(self.texts[:WINDOW], type=pa.string())
        recorded = torch.from_numpy(self.encoder.embed(window).embeddings)
        second = self.load()
        second.inference.replays = None
        return float((recorded * torch.from_numpy(second.embed(window).embeddings)).sum(1).min())

    def _share(self) -> None:
        """TFLOPS reached, as shares of a large matrix product and of the data sheet."""
        print()
        product = product_rate(self.device, self.dtype, self.clock)
        self.note("a large product, TFLOPS", product, f"{product:,.2f}")
        peak = listed_peak(self.device, self.options.precision)
        self.note("data sheet, TFLOPS", peak, "not known here" if peak is None else f"{peak:,.1f}")
        work = flops(self.bare, self.sizes) / 1e12
        for name in ("end to end", "bare"):
            reached = work / self.figures[name]["median_s"]
            shown = f"{reached:,.3f}, {reached / product:.1%} of the product"
            if peak is not None:
                shown += f", {reached / peak:.1%} of the data sheet"
            self.note(f"{name}, TFLOPS", reached, shown)


def _repeat(action: Callable[[], object], times: int) -> None:
    for _ in range(times):
        action()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="minilm", help="minilm, bert-base or a folder")
    parser.add_argument("--texts", type=int, default=100_000)
    available = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=available)
    parser.add_argument("--precision", choices=sorted(DTYPES), default="bf16")
    parser.add_argument("--lengths", choices=sorted(LENGTHS), default="mixed")
    parser.add_argument("--lines", type=Path, help="texts of your own instead, one a line")
    parser.add_argument("--token-budget", type=int, help="tokens in a forward pass")
    parser.add_argument("--sweep", action="store_true", help="token budgets from 8k to 256k")
    parser.add_argument("--compile", action="store_true", help="torch.compile, for comparison")
    parser.add_argument("--threads", type=int, help="of the host; default: a GPU's all, a CPU's 1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="figures as a last line")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"error: --device cuda, but torch {torch.__version__} finds no GPU here")
    if min(options.texts, options.repeats) < 1:
        sys.exit("error: --texts and --repeats must be at least 1")
    cores = len(os.sched_getaffinity(0)) if options.device == "cuda" else 1
    options.threads = options.threads or cores
    use_threads(options.threads)
    with ExitStack() as stack:
        if options.model in SHAPES:
            made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder = write_model(made, SHAPES[options.model])
        else:
            folder = Path(options.model)
        try:
            bench = Bench(options, folder)
        except ModelError as error:
            sys.exit(f"error: {error}")
        bench.describe()
        bench.compare()
        if options.sweep:
            bench.sweep()
        if options.compile:
            bench.compile()
    if options.json:
        print(json.dumps({"options": vars(options), **bench.figures}, default=str), flush=True)


if __name__ == "__main__":
    main()
