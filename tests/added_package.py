"""Packages of others, installed for a test, with the code that CONTRIBUTING shows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"


def blocks_under(heading: str, language: str = "python") -> list[str]:
    """The code blocks of a section of CONTRIBUTING.md."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def install(
    folder: Path,
    package: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    patch: pytest.MonkeyPatch,
) -> list[Path]:
    """Write a package with its entry points, and let this process find both.

    Args:
        folder: Where to.
        package: Name of the package.
        modules: Code by module.
        entry_points: Module by name, by group.
        patch: Puts the folder on the path.

    Returns:
        The files, below the folder.
    """
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in added.items())
        for group, added in entry_points.items()
    ]
    metadata = f"{package}-1.0.dist-info"
    contents = {
        f"{package}/__init__.py": "",
        **{f"{package}/{name}.py": code for name, code in modules.items()},
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{metadata}/entry_points.txt": "".join(lines),
    }
    for name, text in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    patch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return [folder / name for name in contents]
