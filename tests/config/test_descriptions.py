"""Every key of the settings says what it means: `init`, errors and the reference are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

from behavior_spark.config import Settings, TextSettings, Tuning


def sections_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections inside a type, such as those of ``dict[str, Labels] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections_of(argument)


def sections_under(section: type[BaseModel]) -> dict[type[BaseModel], None]:
    """A section and every section under it, each once."""
    reached = {section: None}
    waiting = [section]
    while waiting:
        for field in waiting.pop().model_fields.values():
            for nested in sections_of(field.annotation):
                if nested not in reached:
                    reached[nested] = None
                    waiting.append(nested)
    return reached


def keys_without_meaning(section: type[BaseModel]) -> list[str]:
    return [
        f"{part.__name__}.{name}"
        for part in sections_under(section)
        for name, field in part.model_fields.items()
        if not (field.description or "").strip()
    ]


def test_every_key_of_every_section_has_a_description() -> None:
    assert {Settings, TextSettings, Tuning} <= set(sections_under(Settings))
    assert keys_without_meaning(Settings) == []


def test_a_nested_key_without_a_description_is_found() -> None:
    class Inner(BaseModel):
        told: int = Field(1, description="what it is")
        untold: int = 1

    class Outer(BaseModel):
        inner: dict[str, list[Inner] | None] = Field(default_factory=dict, description="some")

    assert keys_without_meaning(Outer) == ["Inner.untold"]
