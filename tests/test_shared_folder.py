"""Folders in an object store (moto's S3 server on loopback), and on file systems by their paths."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from behavior_spark.errors import ModelError
from behavior_spark.shared_folder import SharedFolder, is_address, local_path

BUCKET = "s3a://night"


def write(folder: SharedFolder, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_one_machine_publishes_another_fetches_as_it_is(another_machine):
    files = {"a/manifest.json": "{}", "a/encoder/x.bin": "x" * 100_000, "a/empty": ""}
    first = SharedFolder(f"{BUCKET}/models")
    write(first, files)
    first.publish("a")
    another_machine("second")
    second = SharedFolder(f"{BUCKET}/models/")
    assert second.path != first.path
    assert second.folders_with("manifest.json") == ["a"]
    assert content(second.fetch("a")) == {n.removeprefix("a/"): text for n, text in files.items()}
    assert not second.fetch("b").exists()


def test_a_file_is_downloaded_once_and_again_when_it_changed(another_machine):
    first = SharedFolder(f"{BUCKET}/models")
    weights = "w" * 100_000
    write(first, {"a/manifest.json": "1", "a/old": "old", "a/weights": weights})
    first.publish("a")
    another_machine("second")
    folder = SharedFolder(f"{BUCKET}/models").fetch("a")
    inode = (folder / "weights").stat().st_ino
    another_machine("first")
    write(first, {"a/manifest.json": "2"})
    first.publish("a")
    first.remove("a/old")
    another_machine("second")
    assert SharedFolder(f"{BUCKET}/models/a").fetch() == folder  # the same copy by another name
    assert content(folder) == {"manifest.json": "2", "weights": weights}
    assert (folder / "weights").stat().st_ino == inode


def test_many_processes_that_ask_at_once_see_whole_files(another_machine):
    first = SharedFolder(f"{BUCKET}/models")
    write(first, {f"a/{n}": str(n) * 200_000 for n in range(5)})
    first.publish("a")
    another_machine("second")
    seen: list[dict[str, str]] = []

    def fetch() -> None:
        seen.append(content(SharedFolder(f"{BUCKET}/models").fetch("a")))

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [{str(n): str(n) * 200_000 for n in range(5)}] * 6


def test_a_publisher_that_is_killed_leaves_nothing_that_looks_whole(another_machine):
    """The file that says a folder is whole is written when all others are there."""
    kill_at_last = """
import os
from behavior_spark import object_store, shared_folder
put = object_store.ObjectStoreFolder._put
def put_or_die(self, path):
    if path.name == "manifest.json":
        os._exit(9)
    put(self, path)
object_store.ObjectStoreFolder._put = put_or_die
folder = shared_folder.SharedFolder("s3a://night/models")
for name in ("manifest.json", "weights"):
    path = folder.path / "new" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
folder.publish("new")
"""
    folder = SharedFolder(f"{BUCKET}/models")
    write(folder, {"old/manifest.json": "{}"})
    folder.publish("old")
    assert subprocess.run([sys.executable, "-c", kill_at_last], check=False).returncode == 9
    another_machine("second")
    there = SharedFolder(f"{BUCKET}/models")
    assert there.folders_with("manifest.json") == ["old"]
    assert content(there.fetch("new")) == {"weights": "weights"}  # so the kill came in between


def test_a_store_that_refuses_is_named_with_what_to_do(another_machine):
    folder = SharedFolder("s3a://nowhere/models")
    write(folder, {"a": "a"})
    with pytest.raises(ModelError, match="s3a://nowhere/models") as caught:
        folder.publish("a")
    assert len(str(caught.value).splitlines()) == 3


def test_places_on_a_file_system_are_paths_and_other_addresses_are_refused(tmp_path):
    assert local_path("file:/a/b") == local_path("file:///a/b") == Path("/a/b")
    assert local_path("dbfs:/models") == Path("/dbfs/models")
    assert not is_address("package:name/model") and not is_address(str(tmp_path))
    folder = SharedFolder(tmp_path / "m")
    write(folder, {"a/manifest.json": "{}", ".staging/manifest.json": "{}", "b/x": ""})
    folder.publish("a")
    assert folder.folders_with("manifest.json") == ["a"]
    assert folder.fetch("a") == tmp_path / "m" / "a"
    folder.remove("a")
    assert not folder.fetch("a").exists()
    for place in ("hdfs://name/models", "https://host/models", "wasbs://c@a/models"):
        with pytest.raises(ModelError, match="cannot be in"):
            SharedFolder(place)
    for place in ("s3a://", "s3a://bucket/../other"):
        with pytest.raises(ModelError, match="names a bucket"):
            SharedFolder(place)
