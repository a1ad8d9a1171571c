"""The sections ``sources`` and ``sources.attributes``: where the raw logs are."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.labels import Format
from behavior_spark.config.reader_options import refuse_unknown_options
from behavior_spark.config.section import Section, checked_names


class Source(Section):
    """One user table and how its columns become ours, by SQL expressions."""

    name: str = Field("", description="shown in summaries; by default the contract's name")
    path: str | None = Field(None, description="folder or file, readable by every worker")
    table: str | None = Field(None, description="catalog.schema.table, instead of a path")
    format: Format = Field("parquet", description="parquet | delta | csv | json")
    options: dict[str, str | bool | int] = Field(
        default_factory=dict, description="reader options, such as header for CSV", repr=False
    )
    where: str | None = Field(
        None, description="SQL condition: the rows that are meant for this contract at all"
    )
    columns: dict[str, str] = Field(description="our column -> SQL expression over theirs")
    shared_ids: bool = Field(
        False,
        description="beside other sources of events or texts: whether ids are one numbering with "
        "theirs; else each source's ids get its name in front",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either path or table")
        refuse_unknown_options(self.options, format_=self.format, is_table=self.table is not None)
        return self

    @property
    def location(self) -> str:
        """The path or the table name, for messages."""
        return self.path or self.table or ""


# Columns of a table of attributes that are none.
ATTRIBUTE_KEYS = ("user_id", "valid_from", "known_at")


class Attributes(Source):
    """Attributes of users in a table of your own, each row valid from a moment on."""

    columns: dict[str, str] = Field(
        description="user_id, valid_from (from when the row is true), known_at (from when it was "
        "known; valid_from where there is none); every other name is a feature: an SQL "
        "expression that gives a number or a condition"
    )

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        missing = [name for name in ("user_id", "valid_from") if name not in value]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        if not set(value) - set(ATTRIBUTE_KEYS):
            raise ValueError("no attribute: map a name of your own too")
        return checked_names(value, "attribute")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class Sources(Section):
    """Where the raw logs are. Each may be one source or a list of them."""

    events: list[Source] = Field(description="what users did")
    texts: list[Source] = Field(default_factory=list, description="what users wrote or read")
    items: list[Source] = Field(default_factory=list, description="what can be acted upon")
    identities: list[Source] = Field(
        default_factory=list, description="which anonymous visitor turned out to be which user"
    )
    attributes: dict[str, Attributes] = Field(
        default_factory=dict,
        description="tables of your own about users; read as they stood at each as_of",
    )

    @field_validator("attributes")
    @classmethod
    def _attribute_names(cls, value: dict[str, Attributes]) -> dict[str, Attributes]:
        return checked_names(value, "attribute table")

    @model_validator(mode="after")
    def _names_apart(self) -> Sources:
        for table in ("events", "texts", "items", "identities"):
            names = [source.name for source in getattr(self, table) if source.name]
            if len(set(names)) != len(names):
                raise ValueError(f"{table}: two sources have one name")
        return self

    def mapped(self, table: str) -> set[str]:
        """Columns of a table that one of its sources has."""
        return {name for source in getattr(self, table) for name in source.columns}

    def id_prefixes(self, table: str, index: int) -> dict[str, str]:
        """What stands before the ids of a source, by column; nothing for a source by itself.

        An event's ``text_id`` is one of the texts' source of the same name.
        """
        key = {"events": "event_id", "texts": "text_id"}.get(table)
        source: Source = getattr(self, table)[index]
        prefixes = {}
        if key and len(getattr(self, table)) > 1 and not source.shared_ids:
            prefixes[key] = f"{source.name or f'{table}[{index}]'}:"
        if table == "events":
            for text in self.texts if len(self.texts) > 1 else ():
                if text.name == source.name and text.name and not text.shared_ids:
                    prefixes["text_id"] = f"{text.name}:"
        return prefixes

    @field_validator("events", "texts", "items", "identities", mode="before")
    @classmethod
    def _single_is_a_list(cls, value: object) -> object:
        return _as_list(value)
