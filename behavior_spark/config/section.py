"""What every section of the settings is, and how names in them are checked."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from behavior_spark.errors import ConfigError
from behavior_spark.extensions import ExtensionPoint

T = TypeVar("T")
NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class Section(BaseModel):
    """Base of all sections: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_names(value: dict[str, T], what: str) -> dict[str, T]:
    """The mapping, if each of its keys can be part of a column's name.

    Raises:
        ValueError: One of them cannot.
    """
    for name in value:
        if not NAME.match(name):
            raise ValueError(
                f"{what} name {name!r} must be lower-case letters, digits and _ "
                "(it becomes part of column names)"
            )
    return value


def known_name(point: ExtensionPoint, name: str) -> str:
    """The name, if there is an extension of it; none is imported.

    Raises:
        ValueError: There is none; it names those that are.
    """
    try:
        point.require(name)
    except ConfigError as error:
        raise ValueError(f"{error.problem}; {error.found}") from error
    return name
