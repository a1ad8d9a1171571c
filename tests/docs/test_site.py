"""The site: a warning is an error, generated pages follow the code, nothing is fetched."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import BaseModel, Field
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from behavior_spark.cli.main import app
from behavior_spark.config import Settings
from behavior_spark.schemas import TABLES, Contract, column
from docs.generation.commands import commands_page, walk_commands
from docs.generation.configuration import configuration_page, fields_by_key, section_places
from docs.generation.tables import tables_page
from tests.docs.pages import ROOT

RESOURCE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?([^\"' >]+)")


def build(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout, strictly; a proxy that is not there makes any download fail."""
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1", "http_proxy": nowhere, "https_proxy": nowhere,
        "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return target


def test_every_page_is_built_and_asks_nothing_of_the_network(site: Path) -> None:
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    assert {"index.html", "getting-started.html", "glossary.html", "reference/configuration.html",
            "reference/tables.html", "reference/commands.html", "benchmarks/index.html",
            "project/contributing.html"} <= pages  # fmt: skip
    for page in sorted(pages):
        resources = RESOURCE.findall((site / page).read_text(encoding="utf-8"))
        assert resources, f"{page} has no style"
        assert [each for each in resources if re.match(r"(https?:)?//", each)] == [], page
    styles = "".join(sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?(https?:)?//", styles)


def test_a_link_to_nowhere_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "behavior_spark").symlink_to(ROOT / "behavior_spark")
    page = tmp_path / "docs" / "limits.md"
    written = page.read_text(encoding="utf-8")
    for broken in ("[gone](gone.md)", "[gone](reference/configuration.md#gone)"):
        page.write_text(f"{written}\n{broken}\n", encoding="utf-8")
        done = build(tmp_path, tmp_path / "site")
        assert done.returncode != 0, f"{broken} was not noticed"
        assert "gone" in done.stderr


def test_the_site_holds_every_key_column_and_command(site: Path) -> None:
    def words(page: str) -> str:
        return html.unescape((site / "reference" / page).read_text(encoding="utf-8"))

    configuration, tables, commands = map(
        words, ("configuration.html", "tables.html", "commands.html")
    )
    for section, places in section_places(Settings).items():
        assert f'id="{places[0].replace(".", "-").lower() or "top-level"}"' in configuration
        for key in fields_by_key(section):
            assert f"<code>{key}</code>" in configuration, f"{places[0]}.{key}"
    for table in TABLES.values():
        for name in (table.name, *table.names):
            assert name in tables, f"{table.name}.{name}"
    named = [name for name, _ in walk_commands(typer.main.get_command(app), ())]
    assert {"nightly", "features describe"} <= set(named)
    for name in named:
        assert f'id="{name.replace(" ", "-")}"' in commands, name


def test_a_new_key_of_a_nested_section_is_on_the_page() -> None:
    class Part(BaseModel):
        strength: float = Field(0.5, ge=0, lt=1, description="how strong <it> is")

    class Whole(BaseModel):
        parts: dict[str, list[Part]] = Field(default_factory=dict, description="by name")
        place: str = Field(alias="where", description="needed | wanted")

    page = configuration_page(Whole)
    assert "| `where` | string | **required** | needed \\| wanted |" in page
    assert "| `parts` | mapping of names to list of section [parts.NAME](#parts-name) |" in page
    assert "## parts.NAME { #parts-name }" in page
    bounds = "number (at least 0, less than 1)"
    assert f"| `strength` | {bounds} | `0.5` | how strong &lt;it&gt; is |" in page


def test_a_new_column_is_on_the_page_with_the_fields_inside_it() -> None:
    inner = StructType([StructField("depth", LongType(), True, {"comment": "how deep"})])
    table = Contract(
        name="wells",
        comment="One row per well",
        columns=(
            column("well_id", StringType(), "which well", required=True),
            column("layers", ArrayType(inner), "from above"),
        ),
        key=("well_id",),
        cluster_by=("well_id",),
    )
    page = tables_page([table])
    assert "| `well_id` | `string` | no | which well |" in page
    assert "| `layers` | `array<struct>` | yes | from above |" in page
    assert "| `layers[].depth` | `bigint` | yes | how deep |" in page
    assert "Key: `well_id`. Clustering: `well_id`." in page


def test_a_new_command_is_on_the_page_and_a_hidden_one_is_not() -> None:
    application, group = typer.Typer(), typer.Typer()
    application.add_typer(group, name="wells")

    @group.command()
    def dig(
        where: Annotated[str, typer.Argument(help="In which field.")],
        depth: Annotated[int, typer.Option("--depth", "-d", metavar="M", help="How deep.")] = 3,
        dry: Annotated[bool, typer.Option("--dry", help="Only say it.")] = False,
    ) -> None:
        """Dig a well.

        Slowly.
        """

    @group.command(hidden=True)
    def drain() -> None:
        """Not shown."""

    @application.command()
    def rest() -> None:
        """Do nothing."""

    page = commands_page(application)
    assert "## wells dig { #wells-dig }" in page
    assert "behavior-spark wells dig WHERE [OPTIONS]" in page
    assert "| `WHERE` | **required** | In which field. |" in page
    assert "| `--depth M`, `-d` | `3` | How deep. |" in page
    assert "| `--dry` |  | Only say it. |" in page
    assert "Slowly." in page
    assert "drain" not in page
