"""Time to score a table of texts by this project and by alternatives, one after the other.

    python -m benchmarks.scoring --data ../shared/data [--texts 2000,4000,6000,8000,16000]
        [--set texts|retail] [--only ours,udf] [--repeat 1]

Every contender runs alone in a separate process, and embeds the same Parquet files with the same
model at 128 tokens. The time is from before the read to the committed table, with the load of the
model (``benchmarks/contenders``). Prints a Markdown table for each number of texts, then the lowest
ratio of all of them, which is what may be claimed; ratios are between times of the same run.
``idle`` is the share of the cores' time, of the whole machine, that nothing used while a contender
ran: a half where one of two cores idles from beginning to end. Needs
``benchmarks/requirements.txt``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

CONTENDERS = {
    "udf": ["sentence_transformers_udf"],
    "ours": ["ours", "--precision", "bf16", "--again"],
    "ours-fp32": ["ours", "--precision", "fp32"],
    "alone": ["sentence_transformers_alone"],
    "daft": ["daft_contender"],
    "ray": ["ray_contender"],
    "predict": ["predict_batch_udf"],
    "bare": ["bare_model", "--precision", "bf16"],
    "bare-fp32": ["bare_model", "--precision", "fp32"],
}
RETAIL = {
    # All 541,909 lines would take most of an hour, so only some are timed.
    "udf": ["sentence_transformers_udf", "--limit", "60000"],
    "udf-distinct": ["sentence_transformers_udf", "--distinct"],
    "ours": ["ours", "--precision", "bf16", "--again"],
    "ours-fp32": ["ours", "--precision", "fp32"],
}


def run(arguments: list[str], source: Path, output: Path | None, columns: str) -> dict[str, Any]:
    """Run one contender; its result is the JSON on the last line that it prints."""
    command = [sys.executable, "-m", f"benchmarks.contenders.{arguments[0]}", *arguments[1:]]
    command += ["--input", str(source)]
    if output is not None:
        command += ["--output", str(output), "--column-set", columns]
    idle, total = core_time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed:\n{done.stderr[-2000:]}")
    idle_after, total_after = core_time()
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"idle": (idle_after - idle) / (total_after - total)}


def core_time() -> tuple[int, int]:
    """Time of all cores since the machine started, idle and in all; in ticks."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)  # idle, and waiting for a disk


def likeness(left: Path, right: Path) -> float | None:
    """The lowest cosine between vectors of the same texts in our sample and another table."""
    import deltalake

    sample = left / "sample.json"
    if not sample.exists() or not (right / "_delta_log").exists():
        return None
    ours = json.loads(sample.read_text())
    table = deltalake.DeltaTable(str(right)).to_pyarrow_table(columns=["text_hash", "embedding"])
    theirs = dict(zip(*(table.column(n).to_pylist() for n in table.column_names), strict=True))
    both = [key for key in ours if key in theirs]
    pairs = [np.array([side[key] for key in both]) for side in (ours, theirs)]
    return float((pairs[0] * pairs[1]).sum(axis=1).min())


def main() -> None:
    """Run all contenders at each size and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--set", choices=["texts", "retail"], default="texts")
    parser.add_argument("--texts", default="16000", help="numbers of texts, with commas between")
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    chosen = CONTENDERS if options.set == "texts" else RETAIL
    names = options.only.split(",") if options.only else list(chosen)
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for texts in map(int, options.texts.split(",")):
        source = Path(f"build/benchmarks/{options.set}-{texts}.parquet")
        make = [sys.executable, "-m", "benchmarks.contenders.texts", "--data", options.data]
        make += ["--output", str(source), "--set", options.set, "--texts", str(texts)]
        if not source.exists():
            subprocess.run(make, check=True)
        print(f"\n{texts:,} texts\n")
        with tempfile.TemporaryDirectory(prefix="scoring-", dir="build/benchmarks") as folder:
            best = fastest({n: chosen[n] for n in names}, source, Path(folder), options)
            for name, ratio in show(best, source).items():
                ratios[name].append(ratio)
    for name, measured in ratios.items():
        if len(measured) > 1:
            print(f"\n{name}: at least {min(measured):.2f} times the UDF")


def fastest(
    contenders: dict[str, list[str]], source: Path, folder: Path, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Run each contender as often as asked; the fastest result of each."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for turn in range(options.repeat):
        for name, arguments in contenders.items():
            output = None if name.startswith("bare") else folder / f"{name}-{turn}"
            results[name].append(run(arguments, source, output, options.set))
            print(json.dumps({"contender": name, **results[name][-1]}), file=sys.stderr, flush=True)
    for name in ("ours", "ours-fp32"):
        if name in contenders and "alone" in contenders:
            cosine = likeness(folder / f"{name}-0", folder / "alone-0")
            print(f"lowest cosine of {name} to sentence-transformers: {cosine:.6f}\n")
    return {name: min(turns, key=lambda r: r["seconds"]) for name, turns in results.items()}


def show(best: dict[str, dict[str, Any]], source: Path) -> dict[str, float]:
    """Print the table of one size; how many times the UDF each contender is."""
    total = sum(pq.read_metadata(part).num_rows for part in source.glob("*.parquet"))
    print("| contender | rows | seconds | load | rows/s | idle | times the UDF |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rates: dict[str, float] = {}
    for name, result in best.items():
        # Contenders that score each distinct text once have scored all rows.
        rows = total if name.startswith("ours") or name.endswith("distinct") else result["rows"]
        rates[name] = rows / result["seconds"]
        ratio = f"{rates[name] / rates['udf']:.2f}" if "udf" in rates else ""
        load = result.get("load_seconds")
        print(
            f"| {name} | {rows:,} | {result['seconds']:.1f} | "
            f"{'' if load is None else f'{load:.1f}'} | {rates[name]:,.0f} | "
            f"{result['idle']:.0%} | {ratio} |"
        )
    for name, result in best.items():
        if "again" in result:
            share = result["again"] / result["seconds"]
            print(f"\n{name}: the next night with 5 % new texts took {result['again']:.1f} s, "
                  f"{share:.0%} of the first")  # fmt: skip
    return {name: rate / rates["udf"] for name, rate in rates.items()} if "udf" in rates else {}


if __name__ == "__main__":
    main()
