"""The session: the platform's own as it is, or a local one with the right JDK and jars."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark
from behavior_spark.errors import SetupError
from behavior_spark.io import session as session_module
from behavior_spark.io.class_archive import archive_options, archive_path, make_archive
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.java import check_java
from behavior_spark.io.session import (
    _with_delta_jars,
    delta_jars,
    get_session,
    local_settings,
    spark_session,
    utc,
)

PRINTED = {
    "8": 'java version "1.8.0_402"',
    "11": 'openjdk version "11.0.22" 2024-01-16',
    "17": 'openjdk version "17.0.15" 2025-04-15',
    "21": 'openjdk version "21" 2023-09-19',
    "26": 'openjdk version "26-ea" 2026-03-17',
    "strange": "no version here",
}


@pytest.fixture
def java(tmp_path, monkeypatch):
    """Put a fake java, and nothing else, on PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(version: str | None, folder: Path = tmp_path) -> Path:
        program = folder / "java"
        if version is not None:
            folder.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\necho '{PRINTED[version]}' >&2\n")
            program.chmod(0o755)
        return program

    return install


def refusal() -> str:
    with pytest.raises(SetupError) as caught:
        check_java()
    message = str(caught.value)
    assert len(message.splitlines()) == 3
    assert "Spark needs a JDK, 17 or 21" in message
    assert "JAVA_HOME" in message
    return message


@pytest.mark.parametrize("version", ["17", "21"])
def test_a_supported_jdk_is_accepted(java, version):
    java(version)
    assert check_java() == int(version)


@pytest.mark.parametrize(
    ("version", "shown"), [("11", "11"), ("26", "26"), ("8", "8"), ("strange", "unknown")]
)
def test_another_jdk_is_refused_with_its_path_and_version(java, version, shown):
    program = java(version)
    assert f"found: {program} is version {shown}" in refusal()


def test_no_jdk_is_said_with_how_to_get_one(java):
    java(None)
    message = refusal()
    assert "found: no java on PATH" in message
    assert "fix: install one: see adoptium.net" in message


def test_the_install_command_is_the_machines_own(java, tmp_path):
    tool = tmp_path / "dnf"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert "sudo dnf install -y java-17" in refusal()


def test_java_home_comes_before_path(java, tmp_path, monkeypatch):
    java("11")
    java("17", tmp_path / "jdk" / "bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert check_java() == 17


def test_a_java_home_without_java_is_refused(java, tmp_path, monkeypatch):
    java("17")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert "does not run" in refusal()


@pytest.fixture
def versions(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)

    def install(spark: str, delta: str) -> None:
        found = {"pyspark": spark, "delta-spark": delta}
        monkeypatch.setattr(session_module.metadata, "version", found.__getitem__)

    return install


@pytest.mark.parametrize(
    ("spark_version", "delta_version", "artifact"),
    [
        ("4.0.1", "4.0.0", "io.delta:delta-spark_2.13:4.0.0"),
        ("4.0.1", "4.1.0", "io.delta:delta-spark_4.0_2.13:4.1.0"),
        ("4.1.2", "4.3.1", "io.delta:delta-spark_4.1_2.13:4.3.1"),
        ("4.2.0", "4.4.0", "io.delta:delta-spark_4.2_2.13:4.4.0"),
        ("4.2.0.dev1", "4.4.0rc1", "io.delta:delta-spark_4.2_2.13:4.4.0rc1"),
    ],
)
def test_the_delta_artifact_is_the_one_for_this_spark(
    versions, spark_version, delta_version, artifact
):
    versions(spark_version, delta_version)
    assert delta_jars()["spark.jars.packages"] == artifact


def test_jars_fetched_before_are_used_without_a_download(versions, tmp_path):
    versions("4.2.0", "4.4.0")
    cache = tmp_path / ".ivy2.5.2" / "jars"
    cache.mkdir(parents=True)
    names = ["io.delta_delta-spark_4.2_2.13-4.4.0.jar", "io.delta_delta-storage-4.4.0.jar"]
    (cache / names[0]).touch()
    assert "spark.jars.packages" in delta_jars()
    (cache / names[1]).touch()
    assert delta_jars() == {"spark.jars": ",".join(str(cache / name) for name in names)}


def test_jars_that_lie_among_sparks_own_are_not_named_again(versions, tmp_path, monkeypatch):
    versions("4.2.0", "4.4.0")
    monkeypatch.setattr(session_module.pyspark, "__file__", str(tmp_path / "__init__.py"))
    jars = tmp_path / "jars"
    jars.mkdir()
    (jars / "io.delta_delta-spark_4.2_2.13-4.4.0.jar").touch()
    assert "spark.jars.packages" in delta_jars()
    (jars / "io.delta_delta-storage-4.4.0.jar").touch()
    assert delta_jars() == {}
    assert _with_delta_jars({"spark.jars": "x.jar"}) == {}


def test_jars_of_the_configuration_come_beside_those_of_delta(versions, tmp_path):
    versions("4.2.0", "4.4.0")
    conf = {"spark.jars.packages": "a:b:1", "spark.jars.excludes": "c:d", "spark.jars": "x.jar"}
    joined = {**conf, **_with_delta_jars(conf)}
    assert joined == {
        "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0,a:b:1",
        "spark.jars.excludes": "c:d",  # not Delta's, which would leave out what a:b needs
        "spark.jars": "x.jar",
    }
    cache = tmp_path / ".ivy2.5.2" / "jars"
    cache.mkdir(parents=True)
    for name in ("delta-spark_4.2_2.13", "delta-storage"):
        (cache / f"io.delta_{name}-4.4.0.jar").touch()
    joined = {**conf, **_with_delta_jars(conf)}
    assert joined["spark.jars"].split(",")[-1] == "x.jar" and joined["spark.jars"].count(",") == 2
    assert joined["spark.jars.packages"] == "a:b:1"
    assert _with_delta_jars({}) == delta_jars()


def test_jars_of_another_version_are_not_used(versions, tmp_path):
    versions("4.2.0", "4.4.0")
    cache = tmp_path / ".ivy2" / "jars"
    cache.mkdir(parents=True)
    (cache / "io.delta_delta-spark_4.2_2.13-4.3.0.jar").touch()
    (cache / "io.delta_delta-storage-4.3.0.jar").touch()
    assert "spark.jars" not in delta_jars()


def test_an_active_session_is_used_as_it_is_and_lives_on(spark):
    before = dict(spark.conf.getAll)
    local = LocalSpark(master="local[7]", shuffle_partitions=77, conf={"spark.a": "b"})
    found, ours = get_session(local, name="other")
    assert (found, ours) == (spark, False)
    with spark_session(local, name="other") as lent:
        assert lent is spark
        assert dict(lent.conf.getAll) == before
    assert spark.range(3).count() == 3


def test_a_given_session_is_lent_in_utc_and_gets_its_time_zone_back(spark):
    with conf_meanwhile(spark, {"spark.sql.session.timeZone": "Asia/Kathmandu"}):
        with spark_session(LocalSpark(), name="x", given=spark) as lent:
            assert lent is spark
            assert lent.conf.get("spark.sql.session.timeZone") == "UTC"
        assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Kathmandu"
        with pytest.raises(RuntimeError), utc(spark):
            raise RuntimeError
        assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Kathmandu"


def test_settings_are_those_of_before_after_an_error_too(spark):
    had, had_not = "spark.sql.session.timeZone", "spark.databricks.delta.commitInfo.userMetadata"
    before = spark.conf.get(had)
    with pytest.raises(ValueError), conf_meanwhile(spark, {had: "Asia/Tokyo", had_not: "a"}):
        assert (spark.conf.get(had), spark.conf.get(had_not)) == ("Asia/Tokyo", "a")
        raise ValueError
    assert spark.conf.get(had) == before
    assert spark.conf.get(had_not, None) is None


def test_a_lent_session_logs_no_value_and_no_stack_trace_of_a_failed_query(spark):
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = PySparkLogger.getLogger("SQLQueryContextLogger")

    def fail() -> None:
        with pytest.raises(PySparkException):
            spark.range(1).select(F.expr("cast('bob@x.com' AS int)")).collect()

    logger.addHandler(handler)
    try:
        with spark_session(LocalSpark(), name="x", given=spark):
            fail()
        assert heard == []
        fail()  # afterwards PySpark speaks as it did before
        assert "CAST_INVALID_INPUT" in heard[0]
    finally:
        logger.removeHandler(handler)


def test_the_local_session_is_quiet_and_runs_its_workers_with_this_python(spark):
    def where(frames):
        for _ in frames:
            yield pd.DataFrame({"python": [sys.executable]})

    there = spark.range(1, numPartitions=1).mapInPandas(where, "python string").first().python
    assert there == sys.executable
    assert spark.conf.get("spark.ui.enabled") == "false"
    assert spark.conf.get("spark.ui.showConsoleProgress") == "false"


def test_java_options_of_the_config_come_after_those_of_the_session():
    local = LocalSpark(conf={"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4"})
    options = local_settings(local)["spark.driver.extraJavaOptions"]
    assert options.index("TieredStopAtLevel=1") < options.index("TieredStopAtLevel=4")
    assert "-Dlog4j2.configurationFile=" in options


def test_a_local_session_maps_the_classes_that_setup_wrote_down(tmp_path):
    if not archive_path().is_file():
        make_archive()
    log = tmp_path / "classes.log"
    code = (
        "from behavior_spark.config import LocalSpark\n"
        "from behavior_spark.io import session\n"
        f"options = session.archive_options() + ' -Xlog:class+load:file={log}'\n"
        "session.archive_options = lambda: options\n"
        "session.get_session(LocalSpark(), name='mapped')[0].stop()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    loaded = [line for line in log.read_text().splitlines() if "org.apache.spark." in line]
    mapped = [line for line in loaded if "shared objects file" in line]
    assert len(mapped) > len(loaded) / 2 > 500  # the others are made as it runs


def test_without_an_archive_a_session_starts_as_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert archive_options() == ""


def test_a_session_that_writes_an_archive_uses_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    archive_path().parent.mkdir(parents=True)
    archive_path().touch()
    options = "spark.driver.extraJavaOptions"
    assert "SharedArchiveFile" in local_settings(LocalSpark())[options]
    writing = LocalSpark(conf={options: "-XX:ArchiveClassesAtExit=new.jsa"})
    assert "SharedArchiveFile" not in local_settings(writing)[options]


def test_an_environment_whose_path_has_spaces_is_one_option_to_the_jvm(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my projects"))
    archive_path().parent.mkdir(parents=True)
    archive_path().touch()
    assert shlex.split(archive_options())[0] == f"-XX:SharedArchiveFile={archive_path()}"
