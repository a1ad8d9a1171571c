"""The single values that a row holds: columns, fields of structs, keys of JSON texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType

from behavior_spark.io.expressions import sql_name
from behavior_spark.names import sql_text
from behavior_spark.pipelines.logs.starting.words import snake

MOST_KEYS = 200  # of one JSON text, map or list of parameters
_DEEPEST = 4
_UNSAFE = set(".[]'\"\\`")


@dataclass(frozen=True)
class Leaf:
    """A single value of a row.

    Attributes:
        expression: SQL expression that gives it.
        path: Names from the column to the value.
        kind: Spark's type; a string for what is inside a JSON text.
        values: Those of the sample that are not null.
    """

    expression: str
    path: tuple[str, ...]
    kind: DataType
    values: tuple[Any, ...] = ()

    @property
    def key(self) -> str:
        """The path as one name, such as ``user_id`` of ``user.id`` and of ``userId``."""
        return "_".join(word for word in map(snake, self.path) if word)

    @property
    def name(self) -> str:
        """The last name of the path."""
        return snake(self.path[-1])


def leaves_of(schema: StructType, rows: Sequence[dict[str, Any]]) -> list[Leaf]:
    """All leaves of a table, in the order of its columns.

    Args:
        schema: The table's columns.
        rows: A sample of its rows, as ``Row.asDict(recursive=True)`` gives them.
    """
    return [
        leaf
        for field in schema.fields
        for leaf in _walk(
            sql_name(field.name),
            (field.name,),
            field.dataType,
            [row[field.name] for row in rows if row.get(field.name) is not None],
        )
    ]


def _walk(
    expression: str, path: tuple[str, ...], kind: DataType, values: list[Any]
) -> Iterator[Leaf]:
    if len(path) > _DEEPEST:
        return
    if isinstance(kind, StructType):
        for field in kind.fields:
            inside = [value[field.name] for value in values if value[field.name] is not None]
            yield from _walk(
                f"{expression}.{sql_name(field.name)}", (*path, field.name), field.dataType, inside
            )
    elif isinstance(kind, ArrayType) and isinstance(kind.elementType, StructType):
        if {"key", "value"} <= set(kind.elementType.names):
            yield from _parameters(expression, path, kind.elementType, values)
        else:
            first = [value[0] for value in values if value and value[0] is not None]
            yield from _walk(f"get({expression}, 0)", path, kind.elementType, first)
    elif isinstance(kind, MapType):
        for key in _keys(values):
            inside = [value[key] for value in values if value.get(key) is not None]
            yield from _walk(
                f"try_element_at({expression}, {sql_text(key)})", (*path, key), kind.valueType,
                inside,
            )  # fmt: skip
    elif isinstance(kind, StringType) and (objects := _json_objects(values)):
        yield from _inside_json(expression, "$", path, objects)
    elif not isinstance(kind, ArrayType):
        yield Leaf(expression, path, kind, tuple(values))


def _parameters(
    expression: str, path: tuple[str, ...], kind: StructType, values: list[Any]
) -> Iterator[Leaf]:
    """GA4's ``event_params``: a list of keys, each with a value in a field of its type."""
    pairs = [pair for value in values for pair in value if pair and pair["key"] is not None]
    for name in _keys({pair["key"]: None} for pair in pairs):
        of_key = [pair["value"] for pair in pairs if pair["key"] == name and pair["value"]]
        chosen = f"get(filter({expression}, p -> p.key = {sql_text(name)}), 0).value"
        value_kind = kind["value"].dataType
        if not isinstance(value_kind, StructType):
            yield Leaf(chosen, (*path, name), value_kind, tuple(of_key))
            continue
        for field in value_kind.fields:
            inside = tuple(v[field.name] for v in of_key if v[field.name] is not None)
            if inside:
                yield Leaf(f"{chosen}.{sql_name(field.name)}", (*path, name), field.dataType,
                           inside)  # fmt: skip


def _inside_json(
    expression: str, place: str, path: tuple[str, ...], objects: list[dict[str, Any]]
) -> Iterator[Leaf]:
    """Keys of JSON objects, those of objects inside them, and those of a list's first object."""
    if len(path) >= _DEEPEST:
        return
    for key in _keys(objects):
        values = [mapping[key] for mapping in objects if mapping.get(key) is not None]
        below, inside = f"{place}.{key}", [v for v in values if isinstance(v, dict)]
        if not inside:
            inside = [v[0] for v in values if isinstance(v, list) and v and isinstance(v[0], dict)]
            below = f"{below}[0]"
        if inside:
            yield from _inside_json(expression, below, (*path, key), inside)
        elif not any(isinstance(v, list) for v in values):
            texts = tuple(v if isinstance(v, str) else json.dumps(v) for v in values)
            yield Leaf(f"get_json_object({expression}, {sql_text(f'{place}.{key}')})",
                       (*path, key), StringType(), texts)  # fmt: skip


def _json_objects(values: list[Any]) -> list[dict[str, Any]]:
    """The objects, if all values are JSON objects."""
    objects = []
    for value in values:
        if not value.lstrip().startswith("{"):
            return []
        try:
            read = json.loads(value)
        except ValueError:
            return []
        if not isinstance(read, dict):
            return []
        objects.append(read)
    return objects


def _keys(objects: Iterable[dict[str, Any]]) -> list[str]:
    """Keys of all objects, in the order in which they come; those a path cannot name are left."""
    keys = dict.fromkeys(key for mapping in objects for key in mapping)
    safe = [key for key in keys if key and not _UNSAFE & set(key)]
    return safe[:MOST_KEYS]
