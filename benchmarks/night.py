"""Measure a command: its time, and the peak memory of all its processes (Python, JVM, workers).

python benchmarks/night.py nightly --config conf/online_retail.yaml --as-of 2011-11-01
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def tree_memory(root: int) -> tuple[int, int]:
    """Bytes in memory of a process and its descendants, and the part of the JVM.

    Shared pages are counted once (PSS).
    """
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    total, java, waiting = 0, 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += parents.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            name = Path(f"/proc/{process}/comm").read_text().strip()
        except OSError:
            continue
        mine = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        total += mine
        java += mine if name == "java" else 0
    return total, java


def main() -> int:
    """Run ``behavior-spark`` with the arguments given; print its time and peak memory."""
    program = str(Path(sys.executable).parent / "behavior-spark")
    start, peak = time.monotonic(), 0
    with subprocess.Popen([program, *sys.argv[1:]]) as running:
        while running.poll() is None:
            peak = max(peak, tree_memory(running.pid)[0])
            time.sleep(0.5)
    seconds = time.monotonic() - start
    print(f"\n{seconds:.0f} s in all, peak memory of all processes {peak / 2**30:.2f} GiB")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main())
