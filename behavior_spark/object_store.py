"""Folders in an object store, each with a copy on this machine.

A copy is under ``BEHAVIOR_SPARK_CACHE`` (by default ``~/.cache/behavior_spark``), at a path like
the folder's address. It is brought up to date by size and time of change, as rsync does, so that a
machine downloads a file once; small files, such as an alias, are downloaded each time, as stores
tell times in whole seconds. Object stores have no rename: a folder is published file by file, the
one that says it is whole (``LAST``) at the end.

Credentials, region and endpoint are those of the environment (``AWS_ACCESS_KEY_ID``,
``AWS_REGION``, ``AWS_ENDPOINT_URL``, ...) or of the machine's own identity, on the driver and on
every worker; what Spark is told about its own access (``spark.hadoop.fs.s3a...``) does not reach
Python.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from behavior_spark.errors import ModelError
from behavior_spark.files import cache_folder

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

# Address schemes, each with the one that pyarrow knows.
SCHEMES = {
    "s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfss",
}  # fmt: skip
# The files that make a published folder whole, in the order in which they are written.
LAST = ("card.md", "model.json", "manifest.json")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{0,2}(.*)", re.DOTALL)
_THREADS = 8
_SMALL = 4096  # bytes
T = TypeVar("T")


def parts_of_address(place: str) -> tuple[str, str] | None:
    """Scheme, in lower case, and the rest of an address of any kind; None if it is a path.

    >>> parts_of_address("S3a://bucket/models"), parts_of_address("/models")
    (('s3a', 'bucket/models'), None)
    """
    match = _ADDRESS.fullmatch(place)
    return (match[1].lower(), match[2]) if match else None


class ObjectStoreFolder:
    """A folder in an object store.

    Attributes:
        address: Its address.
        copy: Path of its copy on this machine.
    """

    def __init__(self, address: str) -> None:
        scheme, rest = parts_of_address(address) or ("", "")
        rest = rest.strip("/")
        if not rest or ".." in PurePosixPath(rest).parts:
            raise ModelError(
                "an address names a bucket, and a folder in it",
                found=address,
                fix="such as s3a://bucket/models",
            )
        self.address = address
        self._scheme = SCHEMES[scheme]
        self._rest = rest
        self._cache = cache_folder()
        self.copy = self._cache / "copies" / self._scheme / rest

    def files(self, name: str) -> dict[str, FileInfo]:
        """Files under ``name`` by their name relative to the folder; ``name`` itself if a file."""
        from pyarrow.fs import FileSelector, FileType

        def list_files(system: FileSystem, root: str) -> list[FileInfo]:
            place = f"{root}/{name}" if name else root
            info = system.get_file_info(place)
            if info.type == FileType.File:
                return [info]
            below = FileSelector(place, allow_not_found=True, recursive=True)
            return list(system.get_file_info(below))

        root, infos = self._asked(lambda system, root: (root, list_files(system, root)))
        return {
            str(PurePosixPath(info.path).relative_to(root)): info
            for info in infos
            if info.type == FileType.File
        }

    def download(self, name: str) -> None:
        """Bring this machine's copy of ``name`` up to date; only one process does at a time."""
        with self._locked(name):
            files = self.files(name)
            changed = [
                file
                for file, info in files.items()
                if info.size <= _SMALL or not _is_copy(self.copy / file, info)
            ]
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(lambda file: self._get(file, files[file]), changed))
            for path in _visible_files(self.copy / name):
                if path.relative_to(self.copy).as_posix() not in files:
                    path.unlink(missing_ok=True)

    def upload(self, name: str) -> None:
        """Write what is new in this machine's copy of ``name`` to the store, ``LAST`` last."""
        there = self.files(name)
        paths = [
            path
            for path in sorted(_visible_files(self.copy / name), key=_rank)
            if not _is_copy(path, there.get(path.relative_to(self.copy).as_posix()))
        ]
        for final in (False, True):
            part = [path for path in paths if (_rank(path) >= 0) is final]
            with ThreadPoolExecutor(1 if final else _THREADS) as pool:
                list(pool.map(self._put, part))

    def delete(self, name: str) -> None:
        """Delete a file or a folder; the file that says it is whole first."""
        for file in sorted(self.files(name), key=lambda file: -_rank(Path(file))):
            self._asked(partial(_delete, file=file))

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Let one process of this machine at a time work on the copy of ``name``."""
        from filelock import FileLock

        place = (self.copy / name).relative_to(self._cache / "copies")
        lock = self._cache / "locks" / place.as_posix().replace("/", "_")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(lock)):
            yield

    def _get(self, file: str, info: FileInfo) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        target = self.copy / file
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
        try:
            self._asked(
                lambda system, _: copy_files(
                    info.path,
                    str(temporary),
                    source_filesystem=system,
                    destination_filesystem=LocalFileSystem(),
                )
            )
            _set_time(temporary, info)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _put(self, path: Path) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        name = path.relative_to(self.copy).as_posix()

        def copy(system: FileSystem, root: str) -> FileInfo:
            target = f"{root}/{name}"
            copy_files(
                str(path),
                target,
                source_filesystem=LocalFileSystem(),
                destination_filesystem=system,
            )
            return system.get_file_info(target)

        _set_time(path, self._asked(copy))

    def _asked(self, question: Callable[[FileSystem, str], T]) -> T:
        """What the store answers to a question about its file system and the folder's path."""
        try:
            return question(*_file_system(self._scheme, self._rest))
        except (OSError, ValueError, NotImplementedError) as error:
            raise ModelError(
                f"the object store of {self.address} does not give what is asked",
                found=_without_secrets(str(error)),
                fix="credentials, region and endpoint come from the environment of the driver and "
                "of every worker (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, ...)",
            ) from error


def _delete(system: FileSystem, root: str, *, file: str) -> None:
    system.delete_file(f"{root}/{file}")


def _file_system(scheme: str, rest: str) -> tuple[FileSystem, str]:
    """The file system of an address, and the path of its folder there."""
    from pyarrow.fs import FileSystem

    if scheme == "s3":
        return _s3(rest.partition("/")[0], _s3_environment()), rest
    system, path = FileSystem.from_uri(f"{scheme}://{rest}")
    return system, path.rstrip("/")


def _s3_environment() -> tuple[str | None, str | None]:
    """Endpoint and region that the environment names."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), ("AWS_REGION", "AWS_DEFAULT_REGION")
    endpoint, region = (next(filter(None, map(os.environ.get, pair)), None) for pair in names)
    return endpoint, region


@lru_cache(maxsize=32)
def _s3(bucket: str, environment: tuple[str | None, str | None]) -> FileSystem:
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    endpoint, region = environment
    if endpoint is None:
        return S3FileSystem(region=region or resolve_s3_region(bucket))
    scheme, _, host = endpoint.rpartition("://")
    return S3FileSystem(endpoint_override=host, scheme=scheme or "https", region=region)


def _is_copy(path: Path, info: FileInfo | None) -> bool:
    """Whether a file has the size and the time of change (to the microsecond) of one in a store."""
    try:
        state = path.stat()
    except OSError:
        return False
    if info is None:
        return False
    return state.st_size == info.size and state.st_mtime_ns // 1000 == (info.mtime_ns or 0) // 1000


def _set_time(path: Path, info: FileInfo) -> None:
    changed = info.mtime_ns or 0
    os.utime(path, ns=(changed, changed))


def _visible_files(place: Path) -> Iterator[Path]:
    """A file itself, or the files of a folder without those that are being written."""
    if place.is_file():
        yield place
        return
    for path in sorted(place.rglob("*")):
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(place).parts):
            yield path


def _rank(path: Path) -> int:
    """-1 for most files; the later a file is written, the higher."""
    return LAST.index(path.name) if path.name in LAST else -1


def _without_secrets(text: str) -> str:
    """An error's first line, without anything that looks like a key or a signature."""
    line = text.splitlines()[0] if text else "no answer"
    return re.sub(r"(?i)(signature|credential|token|key)=[^&\s]+", r"\1=...", line)[:300]
