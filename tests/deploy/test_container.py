"""The container file copies what is there, in versions that were tested, and its shell parses."""

from __future__ import annotations

import re
import shlex
import subprocess
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from behavior_spark.io.session import delta_jars
from tests.docs.pages import all_blocks, command_lines

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "conf" / "deploy"
BUILT = "dist/*.whl"  # made by the line before, in the page and in the file's head


def instructions() -> list[tuple[str, str]]:
    """Name and text of each instruction; comments are gone, continued lines are joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest.strip()) for line in joined.splitlines() if line
            for name, _, rest in [line.partition(" ")]]  # fmt: skip


def all_of(name: str) -> list[str]:
    """The texts of the instructions of one name."""
    return [text for each, text in instructions() if each == name]


def test_every_file_that_is_copied_is_there_and_in_the_build() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    copied = [text.split()[:-1] for text in all_of("COPY") if not text.startswith("--from=")]
    for source in (name for names in copied for name in names):
        assert source == BUILT or (ROOT / source).exists(), source
        assert any(fnmatch(source, name) or source.startswith(f"{name}/") for name in sent), source


def test_every_stage_that_is_copied_from_is_built_before() -> None:
    stages = [text.split(" AS ")[1] for text in all_of("FROM") if " AS " in text]
    used = [text.split()[0].removeprefix("--from=") for text in all_of("COPY")
            if text.startswith("--from=")]  # fmt: skip
    assert set(used) == set(stages)
    declared = {text.partition("=")[0] for text in all_of("ARG")}
    text = " ".join(f"{name} {rest}" for name, rest in instructions())
    assert set(re.findall(r"\$\{?(\w+)(?::\+[^}]*)?\}?", " ".join(all_of("FROM")))) <= declared
    assert {"TORCH_INDEX", "EXTRAS"} <= set(re.findall(r"\$\{?(\w+)", text))


def test_every_line_of_shell_parses() -> None:
    lines = all_of("RUN")
    assert len(lines) >= 4
    for line in lines:
        done = subprocess.run(["bash", "-n", "-c", line], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_deltas_jars_are_those_of_the_versions_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"delta_spark=={metadata.version('delta-spark')}" in constraints
    (line,) = [line for line in all_of("RUN") if "--packages" in line]
    words = shlex.split(line)
    package = words[words.index("--packages") + 1]
    jars = {Path(jar).name for jar in delta_jars().get("spark.jars", "").split(",") if jar}
    group, artifact, version = package.split(":")
    assert not jars or f"{group}_{artifact}-{version}.jar" in jars
    assert package == f"io.delta:delta-spark_4.2_2.13:{metadata.version('delta-spark')}"
    # As the page on clusters says it.
    excluded = words[words.index("--exclude-packages") + 1]
    assert excluded in (ROOT / "docs" / "where-it-runs.md").read_text(encoding="utf-8")


def test_it_runs_as_nobody_special_and_by_default_says_what_it_has() -> None:
    assert all_of("USER") == ["185"]
    names = [name for name, _ in instructions()]
    assert "RUN" not in names[names.index("USER") :]
    assert all_of("CMD") == ['["behavior-spark", "doctor"]']


def test_the_page_builds_the_file_that_is_there_and_names_its_image_as_the_cluster_does() -> None:
    lines = [words for block in all_blocks("sh") for words in command_lines(block)]
    (build,) = [words for words in lines if words[:2] == ["docker", "build"]]
    assert (ROOT / build[build.index("-f") + 1]).is_file()
    image = build[build.index("-t") + 1]
    properties = (DEPLOY / "kubernetes.properties").read_text(encoding="utf-8")
    assert ["spark.kubernetes.container.image", image] in map(str.split, properties.splitlines())
    # Where the cluster looks for the job is where the image has it.
    assert "jobs /opt/behavior_spark/jobs" in all_of("COPY")
    assert "conf /opt/behavior_spark/conf" in all_of("COPY")
