"""MkDocs hooks: add the generated reference and the pages that live elsewhere in the repository.

https://www.mkdocs.org/user-guide/configuration/#hooks
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# The code that is documented is this checkout's, whatever is installed.
sys.path.insert(0, str(ROOT))

from docs.generation.commands import commands_page  # noqa: E402
from docs.generation.configuration import configuration_page  # noqa: E402
from docs.generation.tables import tables_page  # noqa: E402

GENERATED: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration_page,
    "reference/tables.md": tables_page,
    "reference/commands.md": commands_page,
}
# Pages kept elsewhere in the repository, and where the site shows them.
ELSEWHERE = {
    "benchmarks/README.md": "benchmarks/README.md",
    "benchmarks/models.md": "benchmarks/models.md",
    "benchmarks/quality.md": "benchmarks/quality.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages and those kept elsewhere."""
    for target, make_page in GENERATED.items():
        files.append(File.generated(config, target, content=make_page()))
    for source, target in ELSEWHERE.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links that the repository needs (into and out of ``docs/``) at the site's own pages."""
    for source, target in ELSEWHERE.items():
        markdown = markdown.replace(f"](../{source}", f"]({target}")
    return markdown.replace("](docs/", "](../")  # of pages kept elsewhere, one folder down
