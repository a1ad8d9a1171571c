"""Settings of declared features.

A declared feature has events (``on``), an operation (``op``, ``of``) and a number of days before
as_of (``windows``). Its column name follows from these:

    - {on: {type: cart}, op: count, windows: [7]}                   cart_count_7d
    - {on: {kind: purchase}, op: mean, of: value, windows: [30]}    kind_purchase_value_mean_30d
    - {on: {sentiment: negative}, op: recency}                      negative_recency_days
    - {on: {where: value > 100, name: dear}, op: count}             dear_count_1d, ...
    - {on: {type: cart}, op: ratio, to: {type: view}}               cart_per_view_7d, ...
    - {op: text_share, head: emotion, label: anger, windows: [14]}  emotion_anger_share_14d
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from behavior_spark.config.operations import OperationSpec, operation_spec, operation_specs
from behavior_spark.config.section import NAME, Section
from behavior_spark.config.taxonomy import Kind, Sentiment
from behavior_spark.errors import ConfigError
from behavior_spark.extensions import OPERATIONS

Dimension = Literal["value", "item_id", "category", "hour", "day"]


class On(Section):
    """Events of a feature, chosen by one of these keys; without a key all events."""

    type: str | None = Field(None, description="events of this type")
    kind: Kind | None = Field(None, description="events whose type is of this kind (taxonomy)")
    sentiment: Sentiment | None = Field(None, description="events whose type has this sentiment")
    where: str | None = Field(None, description="SQL condition on an event; needs a name")
    name: str | None = Field(
        None, description="name of the events of a condition, in names of columns"
    )

    @model_validator(mode="after")
    def _one(self) -> On:
        chosen = [self.type, self.kind, self.sentiment, self.where]
        if sum(value is not None for value in chosen) > 1:
            raise ValueError("give one of type, kind, sentiment and where")
        if (self.where is None) != (self.name is None):
            raise ValueError("where and name go together: the name begins the columns' names")
        for name in (self.type, self.name):
            if name is not None and not NAME.match(name):
                raise ValueError(f"{name!r} must be lower-case letters, digits and _")
        return self


class DeclaredFeature(Section):
    """A declared feature."""

    name: str | None = Field(
        None, description="column name, instead of the default one; only with a single window"
    )
    group: str = Field(
        "declared", description="feature group, for features.groups and `features describe`"
    )
    on: On = Field(On(), description="which events")
    op: str = Field(description="the operation", json_schema_extra=lambda schema: _list_ops(schema))
    of: Dimension | None = Field(
        None, description="dimension: value, item_id, category, hour or day"
    )
    to: On | None = Field(None, description="ratio: the events to divide by")
    k: int = Field(3, ge=1, le=20, description="top_k: number of values")
    head: str | None = Field(None, description="text_share, text_mean: the head that labels texts")
    label: str | None = Field(None, description="text_share, text_mean: the label")
    target: str | None = Field(None, description="text_similarity: the target")
    windows: list[int] | None = Field(
        None, description="days before as_of; by default features.windows_days"
    )
    description: str = Field("", description="meaning; by default made from the other keys")

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``on`` as true."""
        if isinstance(value, dict) and True in value:
            return {("on" if key is True else key): entry for key, entry in value.items()}
        return value

    @field_validator("op")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            OPERATIONS.require(value)
        except ConfigError:
            *first_names, last = [repr(name) for name in OPERATIONS.names()]
            expected = f"{', '.join(first_names)} or {last}"
            raise PydanticCustomError("literal_error", f"Input should be {expected}") from None
        return value

    @field_validator("name", "group")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.match(value):
            raise ValueError(f"{value!r} must be lower-case letters, digits and _")
        return value

    @field_validator("windows")
    @classmethod
    def _ascending(cls, value: list[int] | None) -> list[int] | None:
        return value if value is None else checked_windows(value)

    @model_validator(mode="after")
    def _possible(self) -> DeclaredFeature:
        self.spec.check(self)
        return self

    @property
    def spec(self) -> OperationSpec:
        """Declaration of the operation."""
        return operation_spec(self.op)

    @property
    def dimension(self) -> str | None:
        """``of``, or the operation's default dimension; None without one."""
        return self.of or next(iter(self.spec.of), None)

    @property
    def counts_days(self) -> bool:
        """Whether days are stored as bits, which limits the windows."""
        return self.spec.counts_days(self.of)


def checked_windows(value: list[int]) -> list[int]:
    """The windows, after a check.

    Raises:
        ValueError: They are not positive, ascending and at most 730 days.
    """
    if not value or any(day < 1 for day in value) or sorted(set(value)) != value:
        raise ValueError("windows must be positive days, ascending, each once")
    if value[-1] > 730:
        raise ValueError("a window is 730 days at most: what is older is lifelong")
    return value


def _list_ops(schema: dict[str, Any]) -> None:
    """Add all operations with their documentation to a JSON schema."""
    schema["oneOf"] = [{"const": spec.name, "description": spec.doc} for spec in operation_specs()]
