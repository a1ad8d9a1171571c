"""The configuration reference, from the pydantic models of the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from behavior_spark.config import Settings
from docs.generation.markdown import code, markdown_table, plain

Section = type[BaseModel]
_WORDS = {str: "string", int: "integer", float: "number", bool: "true or false"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
INTRODUCTION = """# Configuration

Every key of a config file, with its type, default and meaning. A key that is not listed here is
refused. `NAME` stands for a name that you choose: lower-case letters, digits and `_`.

Several `--config` files are merged: mappings key by key, lists and plain values whole, later files
win. Then each `--set key.sub=value` is applied. `${VAR}` and `${VAR:-default}` are read from the
environment. `behavior-spark init` writes a commented file from the schemas of your tables.

This page is generated from `behavior_spark/config`.
"""


def configuration_page(settings: Section = Settings) -> str:
    """The page: one heading a section, one row a key."""
    places = section_places(settings)
    parts = [INTRODUCTION]
    for section, paths in places.items():
        parts += [_heading(paths[0]), _introduction(section, paths), _keys(section, places)]
        parts += [_listed_values(key, field) for key, field in fields_by_key(section).items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_places(root: Section) -> dict[Section, list[str]]:
    """Every section under a root, depth first, with the dotted places where it may stand."""
    places: dict[Section, list[str]] = {root: [""]}

    def walk(section: Section, path: str) -> None:
        for key, field in fields_by_key(section).items():
            for nested, below in _nested(field.annotation):
                place = ".".join(part for part in (path, key, below) if part)
                places.setdefault(nested, []).append(place)
                walk(nested, place)

    walk(root, "")
    return places


def fields_by_key(section: Section) -> dict[str, FieldInfo]:
    """Fields by the key that stands in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def anchor(place: str) -> str:
    """Anchor of a section's heading.

    >>> anchor("text.heads.NAME"), anchor("")
    ('text-heads-name', 'top-level')
    """
    return place.replace(".", "-").lower() or "top-level"


def describe_type(annotation: Any, places: dict[Section, list[str]]) -> str:
    """A type in words, with links to sections.

    >>> describe_type(list[int] | None, {}), describe_type(Literal["a", "b"], {})
    ('list of integer', '`a`, `b`')
    >>> describe_type(tuple[str, ...], {})
    'list of string'
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        place = places[annotation][0]
        return f"section [{place}](#{anchor(place)})"
    if origin is Annotated:
        return describe_type(arguments[0], places)
    if origin is Literal:
        return ", ".join(code(value) for value in arguments)
    if origin is list or (origin is tuple and arguments[1:] == (...,)):
        return f"list of {describe_type(arguments[0], places)}"
    if origin is dict:
        return f"mapping of names to {describe_type(arguments[1], places)}"
    if arguments:
        words = [describe_type(each, places) for each in arguments if each is not NoneType]
        return " or ".join(dict.fromkeys(words))
    return _WORDS.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _nested(annotation: Any) -> Iterator[tuple[Section, str]]:
    """Sections inside a type, and what stands between the key and them: NAME in a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    below = "NAME" if get_origin(annotation) is dict else ""
    for argument in get_args(annotation):
        for section, deeper in _nested(argument):
            yield section, ".".join(part for part in (below, deeper) if part)


def _heading(place: str) -> str:
    depth = "###" if "." in place.removesuffix(".NAME") else "##"
    return f"{depth} {place or 'Top level'} {{ #{anchor(place)} }}"


def _introduction(section: Section, paths: list[str]) -> str:
    text = plain((section.__doc__ or "").replace("``", "`").strip())
    if len(paths) > 1:
        text += f"\n\nAlso: {', '.join(code(path) for path in paths[1:])}."
    return text


def _keys(section: Section, places: dict[Section, list[str]]) -> str:
    rows = [
        [
            code(key),
            " ".join([describe_type(field.annotation, places), *_bounds(field)]),
            _default(field),
            plain(field.description or ""),
        ]
        for key, field in fields_by_key(section).items()
    ]
    return markdown_table(["key", "type", "default", "meaning"], rows)


def _listed_values(key: str, field: FieldInfo) -> str:
    """Values with a line of documentation each, such as operations; empty where there are none."""
    schema: dict[str, Any] = {}
    if callable(field.json_schema_extra):
        field.json_schema_extra(schema)
    values = schema.get("oneOf", [])
    rows = [[code(value["const"]), plain(value["description"])] for value in values]
    return markdown_table([key, "gives"], rows) if rows else ""


def _bounds(field: FieldInfo) -> list[str]:
    bounds = [
        f"{words} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, words in _BOUNDS.items()
        if getattr(limit, name, None) is not None
    ]
    return [f"({', '.join(bounds)})"] if bounds else []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value in ("", {}, []):
        return "empty"
    return code(value if isinstance(value, str) else json.dumps(value))
