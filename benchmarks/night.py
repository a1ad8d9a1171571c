"""Measure a command: its time, and the peak memory of all its processes (Python, JVM, workers).

python benchmarks/night.py nightly --config conf/online_retail.yaml --as-of 2011-11-01
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path


def tree_memory(root: int) -> tuple[int, int]:
    """Bytes in memory of a process and its descendants, and the part of the JVM.

    Shared pages are counted once (PSS).
    """
    parts = memory_by_part(root)
    return sum(parts.values()), parts["JVM"]


def memory_by_part(root: int) -> dict[str, int]:
    """Bytes in memory (PSS) of ``driver`` (the process itself), ``JVM`` and ``workers``."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    parts, waiting = {"driver": 0, "JVM": 0, "workers": 0}, [root]
    while waiting:
        process = waiting.pop()
        waiting += parents.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            name = Path(f"/proc/{process}/comm").read_text().strip()
        except OSError:
            continue
        mine = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        part = "driver" if process == root else "JVM" if name == "java" else "workers"
        parts[part] += mine
    return parts


class ProcessorTime:
    """Processor time of this process and all that it starts, in seconds; ended ones included.

    A thread looks every half second, because the time of a Python worker that ended is nowhere.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def seconds(self) -> float:
        """Until now."""
        with self._lock:
            self._look()
            return sum(self._seen.values())

    def _watch(self) -> None:
        while True:
            self.seconds()
            time.sleep(0.5)

    def _look(self) -> None:
        parents: dict[int, int] = {}
        now: dict[int, tuple[int, float]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            process = int(stat.parent.name)
            parents[process] = int(fields[1])
            used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            now[process] = int(fields[19]), used
        for process, (started, used) in now.items():
            ancestor = process
            while ancestor > 1 and ancestor != os.getpid():
                ancestor = parents.get(ancestor, 0)
            if ancestor == os.getpid():
                self._seen[process, started] = used


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
