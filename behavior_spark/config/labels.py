"""Settings of labelled tables: where they are, and which rows are learned from, chosen on, tested.

A label's table is one of three parts:

- ``train``: learned from;
- ``dev``: chooses the strength of L2, the best epoch, temperature and thresholds;
- ``test``: never seen by training; ``evaluate`` measures on it.

They are tables of their own (``dev:``, ``test:``, which inherit what they do not name) or one
table with a ``split`` expression. Where there is no dev part, ``validation_share`` of the
training texts is held out by the hash of the text.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from behavior_spark.config.section import Section

Format = Literal["parquet", "delta", "csv", "json"]
Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")


class LabelsPart(Section):
    """Another table of the same task; what is not named here is as in the task's own table."""

    path: str | None = Field(None, description="folder or file")
    table: str | None = Field(None, description="catalog.schema.table, instead of a path")
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
        return self


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
        None, description="table to choose on (best epoch, L2, thresholds), instead of a share"
    )
    test: LabelsPart | None = Field(
        None, description="table that training never sees; `evaluate` measures on it"
    )
    validation_share: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="share of the training texts held out by hash, where there is no dev part",
    )

    annotated: str | None = Field(
        None,
        description="instead of a table: a task under `annotate`, whose labels are learned from "
        "(distilled); text, label and day come by themselves",
    )
    min_confidence: float = Field(
        1.0, ge=0, le=1, description="share of prompts that must agree, with annotated"
    )
    slices: dict[str, str] = Field(
        default_factory=dict,
        description="name -> SQL expression over the table: `evaluate` measures each value apart "
        "(length and day of the label come by themselves)",
    )
    abstain: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="share of texts inside the labels that may go without an answer, so that "
        "texts outside all of them get none; none: every text gets a label",
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
        if sum(each is not None for each in (self.path, self.table, self.annotated)) != 1:
            raise ValueError("give either path, table or annotated")
        if self.split is not None and (self.dev or self.test):
            raise ValueError("give either split or the tables dev and test")
        return self

    @property
    def has_test(self) -> bool:
        """Whether some rows are kept from training, so that a model can be measured on them."""
        return self.split is not None or self.test is not None

    def part(self, name: Part) -> Labels | None:
        """The table that holds a part; None where the task has none.

        With ``split`` it is the task's own table with the part's rows; ``train`` is always there.
        """
        if self.split is not None:
            chosen = f"({self.split}) = '{name}'"
            where = f"({self.where}) AND {chosen}" if self.where else chosen
            return self.model_copy(update={"where": where, "split": None})
        if name == "train":
            return self.model_copy(update={"dev": None, "test": None})
        other = self.dev if name == "dev" else self.test
        if other is None:
            return None
        changes = other.model_dump(exclude_none=True)
        # A condition that chooses rows of the task's own table says nothing of another table.
        place = dict.fromkeys(("path", "table", "annotated", "where", "dev", "test"))
        return self.model_copy(update=place | changes)
