"""Settings of labelled tables: where they are, and which rows are for training and testing.

There are three parts:

- ``train``: for training;
- ``dev``: to choose the strength of L2, the best epoch, temperature and thresholds;
- ``test``: not used in training; ``evaluate`` measures on it.

They are separate tables (``dev:``, ``test:``, which inherit keys that they do not have) or one
table with a ``split`` expression. Without a dev part, ``validation_share`` of the training texts
is held out by the hash of the text.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from behavior_spark.config.reader_options import refuse_unknown_options
from behavior_spark.config.section import Section

Format = Literal["parquet", "delta", "csv", "json"]
Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")


class LabelsPart(Section):
    """Another table of the same task; keys that are not given are those of the task."""

    path: str | None = Field(None, description="folder or file")
    table: str | None = Field(None, description="catalog.schema.table, instead of path")
    format: Format | None = Field(None, description="parquet | delta | csv | json")
    options: dict[str, str | bool | int] | None = Field(
        None, description="reader options, such as header for CSV", repr=False
    )
    where: str | None = Field(None, description="SQL condition on the table's rows")
    text: str | None = Field(None, description="SQL expression: the text")
    label: str | None = Field(None, description="SQL expression: the label or labels")
    day: str | None = Field(None, description="SQL expression: the day the label was given")

    @model_validator(mode="after")
    def _one_place(self) -> LabelsPart:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either path or table")
        refuse_unknown_options(self.options, format_=self.format, is_table=self.table is not None)
        return self


class MistakeCost(Section):
    """What mistakes of a label cost; an ordinary mistake costs 1."""

    missed: float = Field(
        1.0, gt=0, le=1e6, description="a text of the label that gets another one, or none"
    )
    false_alarm: float = Field(
        1.0, gt=0, le=1e6, description="a text of another label that gets this one"
    )


class Labels(Section):
    """A labelled table for one head."""

    path: str | None = Field(None, description="folder or file")
    table: str | None = Field(None, description="catalog.schema.table, instead of a path")
    format: Format = Field("parquet", description="parquet | delta | csv | json")
    options: dict[str, str | bool | int] = Field(
        default_factory=dict, description="reader options, such as header for CSV", repr=False
    )
    where: str | None = Field(None, description="SQL condition on the table's rows")
    text: str = Field(description="SQL expression: the text")
    label: str = Field(description="SQL expression: a string, or an array of strings (multi-label)")
    day: str | None = Field(
        None,
        description="SQL expression: the day the label was given, so that a night in the "
        "past uses no later label",
    )
    split: str | None = Field(
        None,
        description="SQL expression: 'train', 'dev' or 'test' for each row; null: not used",
    )
    dev: LabelsPart | None = Field(
        None, description="table for choices (best epoch, L2, thresholds), instead of a share"
    )
    test: LabelsPart | None = Field(
        None, description="table that is not used in training; `evaluate` measures on it"
    )
    validation_share: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="share of the training texts held out by hash, if there is no dev part",
    )

    annotated: str | None = Field(
        None,
        description="instead of a table: a task under `annotate`, whose labels are used for "
        "training (distilling); text, label and day are set automatically",
    )
    min_confidence: float = Field(
        1.0, ge=0, le=1, description="with annotated: share of prompts that must agree"
    )
    slices: dict[str, str] = Field(
        default_factory=dict,
        description="name -> SQL expression over the table: `evaluate` measures each value "
        "separately (length and day of the label are always slices)",
    )
    cost: dict[str, MistakeCost] = Field(
        default_factory=dict,
        description="label -> what its mistakes cost, such as spam: {missed: 5, false_alarm: 1}: "
        "the decision is then that of the lowest expected cost; none: all mistakes cost the same",
    )
    abstain: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="share of texts within the labels that may get no label, so that texts outside "
        "all labels get none; none: every text gets a label",
    )
    out_of_scope: LabelsPart | None = Field(
        None, description="texts outside every label, on which `evaluate` measures abstention"
    )

    @model_validator(mode="before")
    @classmethod
    def _annotated_columns(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("annotated"):
            return {"text": "text", "label": "label", "day": "day"} | value
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Labels:
        if sum(place is not None for place in (self.path, self.table, self.annotated)) != 1:
            raise ValueError("give either path, table or annotated")
        refuse_unknown_options(self.options, format_=self.format, is_table=self.path is None)
        if self.split is not None and (self.dev or self.test):
            raise ValueError("give either split or the tables dev and test")
        return self

    @property
    def has_test(self) -> bool:
        """Whether there is a test part, so that a model can be evaluated."""
        return self.split is not None or self.test is not None

    def part(self, name: Part) -> Labels | None:
        """The table of a part; None if the task has no such part.

        With ``split`` it is the task's table, filtered by ``where``. There is always ``train``.
        """
        if self.split is not None:
            is_part = f"({self.split}) = '{name}'"
            where = f"({self.where}) AND {is_part}" if self.where else is_part
            return self.model_copy(update={"where": where, "split": None})
        if name == "train":
            return self.model_copy(update={"dev": None, "test": None})
        part_table = self.dev if name == "dev" else self.test
        if part_table is None:
            return None
        changes = part_table.model_dump(exclude_none=True)
        # The task's ``where`` is for the task's own table, so another table does not inherit it.
        # The day that annotations have by themselves is not a column of another table.
        reset = dict.fromkeys(("path", "table", "annotated", "where", "dev", "test"))
        if self.annotated is not None:
            reset |= {"day": None}
        return self.model_copy(update=reset | changes)
