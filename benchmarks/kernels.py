"""GFLOPS of MiniLM's layers on one CPU core: torch against encoder/linear.py and packed.py.

    python benchmarks/kernels.py [--seconds 0.3]

Linear layers: ``torch.nn.Linear`` (MKL in fp32, oneDNN in bf16) against ``PackedLinear``
(oneDNN with weights laid out in advance), with the GELU after the layer and fused into it.
Attention of bf16 texts of one length: SDPA against packed.py. Prints Markdown with the GFLOPS of
the fastest of many calls; the two methods alternate. Takes less than 20 s.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from behavior_spark.model.encoder.devices import describe_processor, use_threads
from behavior_spark.model.encoder.linear import TYPICAL_TOKENS, PackedLinear, can_pack
from behavior_spark.model.encoder.packed import _equal_length

WIDTH, INNER, HEADS = 384, 1536, 12
LAYERS = [(WIDTH, WIDTH, False), (WIDTH, INNER, False), (WIDTH, INNER, True), (INNER, WIDTH, False)]
LENGTHS = [6, 12, 24, 48, 96, 128, 256, 512]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Action = Callable[[], object]


def fastest(actions: Sequence[Action], seconds: float) -> list[float]:
    """Seconds of the fastest call of each action, called in turn for ``seconds`` in total."""
    for action in actions:
        action()
    best = [float("inf")] * len(actions)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for index, action in enumerate(actions):
            start = time.perf_counter()
            action()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def linear_ways(
    inputs: int, outputs: int, dtype: torch.dtype, *, gelu: bool
) -> tuple[Action, Action]:
    """One layer over 1,024 tokens by torch and by oneDNN, with or without an exact GELU."""
    linear = torch.nn.Linear(inputs, outputs, dtype=dtype)
    packed = PackedLinear(linear, gelu=gelu)
    values = torch.randn(TYPICAL_TOKENS, inputs, dtype=dtype)
    if gelu:
        return lambda: torch.nn.functional.gelu(linear(values)), lambda: packed(values)
    return lambda: linear(values), lambda: packed(values)


def attention_ways(length: int) -> tuple[Action, Action]:
    """Attention of texts of one length, about 1,024 tokens in total, in the layout of packed.py."""
    texts = max(1, TYPICAL_TOKENS // length)
    rows = torch.randn(3, texts, length, HEADS, WIDTH // HEADS, dtype=torch.bfloat16)
    parts = query, key, value = tuple(rows.transpose(2, 3))
    out, scale = torch.empty_like(rows[0]), query.shape[-1] ** -0.5
    return (
        lambda: out.copy_(
            torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        ),
        lambda: out.copy_(_equal_length(*parts, scale=scale, dropout=0.0).transpose(1, 2)),
    )


def print_row(*cells: object) -> None:
    """Print one row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def print_linears(seconds: float) -> None:
    """Measure and print the table of linear layers."""
    print(f"\nLinear layers, {TYPICAL_TOKENS:,} tokens, GFLOPS\n")
    print_row("layer", "format", "torch.nn.Linear", "PackedLinear", "ratio")
    print_row(*["---"] * 5)
    for name, dtype in DTYPES.items():
        if not can_pack(dtype):
            print_row("all", name, "", "this torch has no oneDNN for it", "")
            continue
        for inputs, outputs, gelu in LAYERS:
            took = fastest(linear_ways(inputs, outputs, dtype, gelu=gelu), seconds)
            rates = [2 * TYPICAL_TOKENS * inputs * outputs / s / 1e9 for s in took]
            layer = f"{inputs} to {outputs}" + (", GELU" if gelu else "")
            print_row(layer, name, *(f"{rate:.0f}" for rate in rates), f"{took[0] / took[1]:.2f}")


def print_attentions(seconds: float) -> None:
    """Measure and print the table of attention."""
    print(f"\nAttention in bf16, about {TYPICAL_TOKENS:,} tokens in texts of one length, GFLOPS\n")
    print_row("tokens a text", "SDPA", "packed.py", "ratio")
    print_row(*["---"] * 4)
    for length in LENGTHS:
        took = fastest(attention_ways(length), seconds)
        work = 4 * max(1, TYPICAL_TOKENS // length) * length**2 * WIDTH
        rates = [work / s / 1e9 for s in took]
        print_row(length, *(f"{rate:.1f}" for rate in rates), f"{took[0] / took[1]:.2f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each row")
    options = parser.parse_args(arguments)
    use_threads(1)
    print(f"torch {torch.__version__}, {describe_processor(torch.device('cpu'))}, one thread")
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        print_linears(options.seconds)
        print_attentions(options.seconds)


if __name__ == "__main__":
    main()
