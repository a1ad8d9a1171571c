"""A class archive: what the JVM of a local session loads at its start, made once per environment.

Starting Spark loads and verifies some 20,000 classes, a good part of a small night. A JVM can
write them down as they lie in memory and map that file the next time (dynamic class data sharing,
https://openjdk.org/jeps/350). Only sessions made here read it, and a JVM that it does not fit,
because the JDK or the jars have changed, goes on without it.

    python -m behavior_spark.io.class_archive
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path


def archive_path() -> Path:
    """Where this environment's archive is, if it was made."""
    return Path(sys.prefix, "share", "behavior_spark", f"spark-{metadata.version('pyspark')}.jsa")


def archive_options() -> str:
    """JVM options that use the archive; none where there is none."""
    path = archive_path()
    if not path.is_file():
        return ""
    # What does not fit is no news to the reader.
    return f'"-XX:SharedArchiveFile={path}" -Xlog:cds=off -Xlog:cds+dynamic=off'


def make_archive() -> Path | None:
    """Run a small session whose JVM writes down its classes as it ends.

    Returns:
        The file, in the place of an earlier one; None where the JVM wrote none, which costs
        sessions time and nothing else.
    """
    path = archive_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder, path.name)
        command = [sys.executable, "-m", "behavior_spark.io.used_classes", folder, str(made)]
        # Waits for the JVM too, which outlives its Python and holds these pipes.
        subprocess.run(command, capture_output=True, check=False)
        if not made.is_file():
            return None
        made.replace(path)
    return path


if __name__ == "__main__" and make_archive() is None:
    sys.stderr.write("the JVM wrote no class archive: local sessions start without one\n")
