"""Folders that the driver and every worker share: on a file system, or in an object store."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from behavior_spark.errors import ModelError
from behavior_spark.object_store import SCHEMES, ObjectStoreFolder, parts_of_address


def is_address(place: str) -> bool:
    """Whether a place is the address of an object store that is supported here.

    >>> is_address("s3a://bucket/models"), is_address("/models"), is_address("package:name/model")
    (True, False, False)
    """
    parts = parts_of_address(place)
    return parts is not None and parts[0] in SCHEMES


def local_path(place: str) -> Path:
    """The path of a place on a file system: as it is, or of a ``file:`` or ``dbfs:`` address.

    Raises:
        ModelError: It is an address of a kind that is not supported.

    >>> str(local_path("file:///models")), str(local_path("dbfs:/Volumes/a/b/models"))
    ('/models', '/Volumes/a/b/models')
    """
    parts = parts_of_address(place)
    if parts is None:
        return Path(place).expanduser()
    scheme, rest = parts
    if scheme == "file":
        return Path("/" + rest.lstrip("/"))
    if scheme == "dbfs":
        path = "/" + rest.lstrip("/")
        return Path(path if path.startswith("/Volumes/") else f"/dbfs{path}")
    known = ", ".join(f"{name}://" for name in SCHEMES)
    raise ModelError(
        f"folders of models cannot be in {scheme}:",
        found=place,
        fix=f"give a local path, a mounted volume, or an address of {known}",
    )


class SharedFolder:
    """A folder by its path or address, and the copy of it on this machine.

    Attributes:
        location: As given, without a slash at the end.
        path: The folder itself, or this machine's copy of it.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location).rstrip("/") or "/"
        self._remote = ObjectStoreFolder(self.location) if is_address(self.location) else None
        self.path = self._remote.copy if self._remote else local_path(self.location)

    def __truediv__(self, name: str) -> SharedFolder:
        return SharedFolder(f"{self.location}/{name}")

    @property
    def is_remote(self) -> bool:
        """Whether it is in an object store."""
        return self._remote is not None

    def fetch(self, name: str = "") -> Path:
        """The path on this machine of a file or folder in it, brought up to date.

        What is not there has a path too, at which there is nothing.

        Raises:
            ModelError: The object store does not answer, or refuses.
        """
        if self._remote:
            self._remote.download(name)
        return self.path / name if name else self.path

    def publish(self, name: str) -> None:
        """Show everybody the file or folder ``name``, as it is on this machine.

        Files of a folder that say it is whole come last, so that a writer that is killed leaves
        nothing that looks whole.

        Raises:
            ModelError: The object store does not answer, or refuses.
        """
        if self._remote:
            self._remote.upload(name)

    def remove(self, name: str = "") -> None:
        """Delete the file or folder ``name``, or the folder itself, where it is there.

        Raises:
            ModelError: The object store does not answer, or refuses.
        """
        if self._remote:
            self._remote.delete(name)
        path = self.path / name if name else self.path
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def folders_with(self, file: str) -> list[str]:
        """Names of the folders directly in it that hold ``file``; hidden ones are left out.

        Raises:
            ModelError: The object store does not answer, or refuses.
        """
        if self._remote:
            places = [PurePosixPath(name).parts for name in self._remote.files("")]
            names = [parts[0] for parts in places if len(parts) == 2 and parts[1] == file]
        else:
            names = [path.parent.name for path in self.path.glob(f"*/{file}")]
        return sorted(name for name in names if not name.startswith("."))
