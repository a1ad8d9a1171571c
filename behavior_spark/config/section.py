"""Base class of all sections of the settings, and checks of names."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from behavior_spark.errors import ConfigError
from behavior_spark.extensions import ExtensionPoint

T = TypeVar("T")
NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class Section(BaseModel):
    """Base class of all sections: frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_names(value: dict[str, T], what: str) -> dict[str, T]:
    """The mapping, after a check that its keys can be part of column names.

    Args:
        value: Mapping by name.
        what: What the names are of, for the message.

    Raises:
        ValueError: A key is not of lower-case letters, digits and ``_``.
    """
    for name in value:
        if not NAME.match(name):
            raise ValueError(
                f"{what} name {name!r} must be lower-case letters, digits and _ "
                "(it becomes part of column names)"
            )
    return value


def known_name(point: ExtensionPoint, name: str) -> str:
    """The name, after a check that an extension with it exists; nothing is imported.

    Raises:
        ValueError: There is no such extension; the message lists those there are.
    """
    try:
        point.require(name)
    except ConfigError as error:
        raise ValueError(f"{error.problem}; {error.found}") from error
    return name
