"""An encoder of a hub is whole or refused: here a hub on this machine, and caches of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

COMMIT = "0123456789" * 4
SOURCE = f"hub:org/name@{COMMIT}"
FILES = {
    "config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}",
    "modules.json": b"[]", "1_Pooling/config.json": b'{"pooling_mode": "cls"}',
    "README.md": b"words", "pytorch_model.bin": b"pickle",
}  # fmt: skip
WANTED = {name for name in FILES if not name.endswith((".md", ".bin"))}
CODE = f"from behavior_spark.model.encoder.hub import hub_folder; print(hub_folder({SOURCE!r}))"


class _Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks a hub for one model."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        content, headers = b"", dict[str, str]()
        if path == f"/api/models/org/name/tree/{COMMIT}":
            content = json.dumps(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": _tag(data)}
                    for name, data in FILES.items()
                ]
            ).encode()
            headers = {"Content-Type": "application/json"}
        elif path.startswith(resolve := f"/org/name/resolve/{COMMIT}/"):
            content = FILES[path.removeprefix(resolve)]
            headers = {"ETag": f'"{_tag(content)}"', "X-Repo-Commit": COMMIT}
        self.send_response(200 if headers else 404)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def _tag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(home: Path, endpoint: str = "http://127.0.0.1:9", **variables: str) -> tuple[str, str]:
    """The folder that a new process finds, and its error; port 9 is a hub that nobody reaches."""
    environment = os.environ | {
        "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment | variables, capture_output=True, text=True
    )
    return done.stdout.strip(), done.stderr


def partly_cached(home: Path, *names: str) -> None:
    """Leave what another program would that read some files of the model alone."""
    folder = home / "hub" / "models--org--name" / "snapshots" / COMMIT
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILES[name])


def files_in(folder: str) -> set[str]:
    root = Path(folder)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


PARTS = [
    ("config.json", "model.safetensors"),
    ("config.json", "model.safetensors", "modules.json"),
    tuple(sorted(WANTED - {"1_Pooling/config.json"})),
]


@pytest.mark.parametrize("names", PARTS)
def test_what_a_cache_lacks_of_an_encoder_is_downloaded(
    hub: str, tmp_path: Path, names: tuple[str, ...]
) -> None:
    partly_cached(tmp_path, *names)
    folder, error = asked(tmp_path, hub)
    assert folder and files_in(folder) == WANTED, error


@pytest.mark.parametrize("names", PARTS)
def test_a_part_of_an_encoder_is_refused_where_no_hub_may_be_asked(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    partly_cached(tmp_path, *names)
    folder, error = asked(tmp_path, HF_HUB_OFFLINE="1")
    assert not folder and "ModelError: cannot get org/name" in error
    assert "path of a folder that holds all its files" in error


def test_a_part_of_an_encoder_is_refused_where_the_hub_does_not_give_the_rest(
    hub: str, tmp_path: Path
) -> None:
    partly_cached(tmp_path, *PARTS[0])
    folder, error = asked(tmp_path, f"{hub}/nobody")
    assert not folder and "ModelError: cannot get org/name" in error


def test_a_whole_cache_needs_no_hub_and_one_that_lost_a_file_is_refused(
    hub: str, tmp_path: Path
) -> None:
    online, _ = asked(tmp_path, hub)
    for offline in "01":
        folder, error = asked(tmp_path, HF_HUB_OFFLINE=offline)
        assert folder == online and files_in(folder) == WANTED, error
    (Path(online) / "modules.json").unlink()
    folder, error = asked(tmp_path, HF_HUB_OFFLINE="1")
    assert not folder and "ModelError: cannot get org/name" in error
