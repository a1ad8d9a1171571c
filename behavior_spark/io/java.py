"""Check for a JDK that Spark supports. Needs only Python: ``make`` runs it before it installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from behavior_spark.errors import SetupError

SUPPORTED_JAVA = (17, 21)


def check_java() -> int:
    """Major version of the JDK that Spark will use.

    Raises:
        SetupError: There is no JDK, it does not run, or it is neither 17 nor 21.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    fix = f"install one: {_install_command()} (and point JAVA_HOME at it)"
    wanted = f"Spark needs a JDK, {' or '.join(map(str, SUPPORTED_JAVA))}"
    if not java:
        raise SetupError(wanted, found="no java on PATH", fix=fix)
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60)
    except OSError:
        raise SetupError(wanted, found=f"{java} does not run", fix=fix) from None
    match = re.search(r'version "(?:1\.)?(\d+)', printed.stderr + printed.stdout)
    major = int(match.group(1)) if match else 0
    if major not in SUPPORTED_JAVA:
        raise SetupError(wanted, found=f"{java} is version {major or 'unknown'}", fix=fix)
    return major


def _install_command() -> str:
    for tool, command in (
        ("apt-get", "sudo apt-get install -y openjdk-17-jre-headless"),
        ("dnf", "sudo dnf install -y java-17-openjdk-headless"),
        ("yum", "sudo yum install -y java-17-openjdk-headless"),
        ("pacman", "sudo pacman -S jre17-openjdk-headless"),
        ("apk", "sudo apk add openjdk17-jre-headless"),
        ("zypper", "sudo zypper install java-17-openjdk-headless"),
        ("brew", "brew install openjdk@17"),
        ("winget", "winget install EclipseAdoptium.Temurin.17.JDK"),
    ):
        if shutil.which(tool):
            return command
    return "see adoptium.net"


if __name__ == "__main__":
    try:
        check_java()
    except SetupError as error:
        sys.exit(f"error: {error}")
