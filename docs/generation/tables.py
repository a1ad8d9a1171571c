"""The table reference, from the contracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyspark.sql.types import ArrayType, DataType, StructField, StructType

from behavior_spark.schemas import INPUTS, TABLES, VIEWS, Contract, View
from docs.generation.markdown import code, markdown_table, plain

INTRODUCTION = """# Tables

Every table of the warehouse. A row is identified by the *key*; files are laid out by the
*clustering* columns, so a query that filters on them reads less. Times are UTC. `DESCRIBE table`
shows the same meanings in SQL.

This page is generated from `behavior_spark/schemas`.
"""
VIEWS_INTRODUCTION = """## Views { #views }

Queries that many readers need, kept in `behavior_spark/schemas/views.py`. `behavior-spark sql` has
them; `behavior-spark views` shows or creates them elsewhere.
"""
_MAPPED = "Your config maps your own tables to this one, under `sources.{name}`."


def tables_page(tables: Sequence[Contract] = tuple(TABLES.values())) -> str:
    """The page: an overview, then one heading a table."""
    overview = markdown_table(
        ["table", "what a row is"],
        [[f"[{table.name}](#{table.name})", plain(table.comment)] for table in tables],
    )
    parts = [INTRODUCTION, overview, *[_section(table) for table in tables], views_part()]
    return "\n\n".join(parts) + "\n"


def views_part(views: Sequence[View] = tuple(VIEWS.values())) -> str:
    """The views: an overview, then one heading a view with its columns and its query."""
    overview = markdown_table(
        ["view", "what a row is"],
        [[f"[{view.name}](#{view.name})", plain(view.comment)] for view in views],
    )
    return "\n\n".join([VIEWS_INTRODUCTION, overview, *map(_view_section, views)])


def _view_section(view: View) -> str:
    columns = markdown_table(["column", "type", "meaning"], _meanings(view.columns))
    heading = f"### {view.name} {{ #{view.name} }}"
    return "\n\n".join([heading, plain(view.comment) + ".", columns, f"```sql\n{view.sql()}\n```"])


def _meanings(columns: Sequence[StructField]) -> list[list[str]]:
    return [
        [code(path), code(_short(field.dataType)), plain(field.metadata.get("comment", ""))]
        for column in columns
        for path, field in _with_nested(column.name, column)
    ]


def _section(table: Contract) -> str:
    parts = [f"## {table.name} {{ #{table.name} }}", plain(table.comment) + "."]
    if table.name in INPUTS:
        parts.append(_MAPPED.format(name=table.name))
    if set(table.names) == set(table.key):
        parts.append("The other columns follow from the config: "
                     "`behavior-spark features describe` lists them.")  # fmt: skip
    places = f"Key: {_names(table.key)}."
    if table.cluster_by:
        places += f" Clustering: {_names(table.cluster_by)}."
    rows = [
        [code(path), code(_short(field.dataType)), "yes" if field.nullable else "no",
         plain(field.metadata.get("comment", ""))]
        for column in table.columns
        for path, field in _with_nested(column.name, column)
    ]  # fmt: skip
    columns = markdown_table(["column", "type", "may be null", "meaning"], rows)
    return "\n\n".join([*parts, places, columns])


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)


def _with_nested(path: str, field: StructField) -> Iterator[tuple[str, StructField]]:
    """A column and, after it, the fields of the struct that it is or holds."""
    yield path, field
    inner = field.dataType
    if isinstance(inner, ArrayType):
        path, inner = f"{path}[]", inner.elementType
    if isinstance(inner, StructType):
        for nested in inner.fields:
            yield from _with_nested(f"{path}.{nested.name}", nested)


def _short(data_type: DataType) -> str:
    """Spark's name of a type; a struct's fields have rows of their own."""
    if isinstance(data_type, StructType):
        return "struct"
    if isinstance(data_type, ArrayType):
        return f"array<{_short(data_type.elementType)}>"
    return data_type.simpleString()
