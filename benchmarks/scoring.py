"""Time to score a table of texts by this project and by alternatives, one after the other.

    python -m benchmarks.scoring --data ../shared/data [--texts 16000] [--set texts|retail]
        [--only ours,udf] [--repeat 1]

Every contender runs alone in a separate process, and embeds the same Parquet files with the same
model at 128 tokens. The time is from before the read to the committed table, with the load of the
model (``benchmarks/contenders``). Prints a Markdown table; ratios are between times of the same
run. Needs ``benchmarks/requirements.txt``.
"""

from __future__ import annotations

import argparse
import json
import shutil
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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


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
    """Run all contenders and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--set", choices=["texts", "retail"], default="texts")
    parser.add_argument("--texts", type=int, default=16000)
    parser.add_argument("--only", help="names, with commas between")
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    chosen = CONTENDERS if options.set == "texts" else RETAIL
    names = options.only.split(",") if options.only else list(chosen)
    source = Path(f"build/benchmarks/{options.set}-{options.texts}.parquet")
    make = [sys.executable, "-m", "benchmarks.contenders.texts", "--data", options.data]
    make += ["--output", str(source), "--set", options.set, "--texts", str(options.texts)]
    if not source.exists():
        subprocess.run(make, check=True)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    folder = Path(tempfile.mkdtemp(prefix="scoring-", dir="build/benchmarks"))
    for turn in range(options.repeat):
        for name in names:
            output = None if name.startswith("bare") else folder / f"{name}-{turn}"
            results[name].append(run(chosen[name], source, output, options.set))
            print(json.dumps({"contender": name, **results[name][-1]}), file=sys.stderr, flush=True)
    total = sum(pq.read_metadata(part).num_rows for part in source.glob("*.parquet"))
    print("| contender | rows | seconds | load | rows/s | times the UDF |")
    print("| --- | --- | --- | --- | --- | --- |")
    best = {name: min(turns, key=lambda r: r["seconds"]) for name, turns in results.items()}
    rates = {}
    for name, result in best.items():
        # Contenders that score each distinct text once have scored all rows.
        rows = total if name.startswith("ours") or name.endswith("distinct") else result["rows"]
        rates[name] = rows / result["seconds"]
        ratio = f"{rates[name] / rates['udf']:.2f}" if "udf" in rates else ""
        load = result.get("load_seconds")
        print(
            f"| {name} | {rows:,} | {result['seconds']:.1f} | "
            f"{'' if load is None else f'{load:.1f}'} | {rates[name]:,.0f} | {ratio} |"
        )
    for name, result in best.items():
        if "again" in result:
            share = result["again"] / result["seconds"]
            print(f"\n{name}: the next night with 5 % new texts took {result['again']:.1f} s, "
                  f"{share:.0%} of the first")  # fmt: skip
    for name in ("ours", "ours-fp32"):
        if name in names and "alone" in names:
            cosine = likeness(folder / f"{name}-0", folder / "alone-0")
            print(f"\nlowest cosine of {name} to sentence-transformers: {cosine:.6f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
