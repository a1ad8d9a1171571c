"""Make a class archive once per environment, so that local Spark sessions start faster.

Starting Spark loads and verifies about 20,000 Java classes, a large part of the time of a small
night. A JVM can save its loaded classes to a file and map that file at its next start (dynamic
class data sharing, https://openjdk.org/jeps/350). Only local sessions that this package creates use
the archive. If the JDK or the jars have changed since, the JVM ignores the archive.

    python -m behavior_spark.io.class_archive
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path


def archive_path() -> Path:
    """Path of this environment's archive, whether it exists or not."""
    return Path(sys.prefix, "share", "behavior_spark", f"spark-{metadata.version('pyspark')}.jsa")


def archive_options() -> str:
    """JVM options that use the archive; an empty string if there is no archive."""
    path = archive_path()
    if not path.is_file():
        return ""
    # No warning when the archive does not match this JVM.
    return f'"-XX:SharedArchiveFile={path}" -Xlog:cds=off -Xlog:cds+dynamic=off'


def make_archive() -> Path | None:
    """Run a small session whose JVM saves its classes when it exits.

    Returns:
        The archive, which replaces an earlier one; None if the JVM wrote none. Without an
        archive local sessions start more slowly, and nothing else changes.
    """
    path = archive_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder, path.name)
        command = [sys.executable, "-m", "behavior_spark.io.used_classes", folder, str(made)]
        # The JVM outlives the Python process but holds these pipes, so this waits for it too.
        subprocess.run(command, capture_output=True, check=False)
        if not made.is_file():
            return None
        made.replace(path)
    return path


if __name__ == "__main__" and make_archive() is None:
    sys.stderr.write("the JVM wrote no class archive: local sessions start without one\n")
