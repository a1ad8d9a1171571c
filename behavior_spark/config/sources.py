"""The sections ``sources`` and ``sources.attributes``: where the raw logs are."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.labels import Format
from behavior_spark.config.reader_options import refuse_unknown_options
from behavior_spark.config.section import Section, checked_names
from behavior_spark.names import label_slugs


class Source(Section):
    """One of your tables, and SQL expressions that map its columns to a contract."""

    name: str = Field("", description="shown in summaries; by default the contract's name")
    path: str | None = Field(None, description="folder or file, readable by every worker")
    table: str | None = Field(None, description="catalog.schema.table, instead of a path")
    format: Format = Field("parquet", description="parquet | delta | csv | json")
    options: dict[str, str | bool | int] = Field(
        default_factory=dict, description="reader options, such as header for CSV", repr=False
    )
    where: str | None = Field(None, description="SQL condition: rows that belong to this contract")
    columns: dict[str, str] = Field(
        description="column of the contract -> SQL expression over your columns"
    )
    shared_ids: bool = Field(
        False,
        description="with several sources of events or texts: whether equal ids mean the same row; "
        "if not, the ids of each source get its name as a prefix",
    )
    optional: bool = Field(
        False,
        description="with several sources of a contract: whether the others are read without this "
        "one where it is not there, with a note; for an earlier year, say",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either path or table")
        refuse_unknown_options(self.options, format_=self.format, is_table=self.table is not None)
        return self

    @property
    def location(self) -> str:
        """Path or table name, for messages."""
        return self.path or self.table or ""


# Columns of a table of attributes that are not attributes.
ATTRIBUTE_KEYS = ("user_id", "valid_from", "known_at")
_OTHER = "other"


class Attributes(Source):
    """One of your tables with attributes of users; each row is valid from a moment on."""

    columns: dict[str, str] = Field(
        description="user_id, valid_from (since when the row is valid), known_at (since when it "
        "was known; by default valid_from); every other name is a feature: an SQL expression of a "
        "number, a condition, or a category"
    )
    categories: dict[str, list[str]] = Field(
        default_factory=dict,
        description="attributes that are categories, such as a plan: name -> its values; each is a "
        "feature of 0 and 1, and one more (other) holds all values that are not named",
    )

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        missing = [name for name in ("user_id", "valid_from") if name not in value]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        if not set(value) - set(ATTRIBUTE_KEYS):
            raise ValueError("no attribute: map at least one more column")
        return checked_names(value, "attribute")

    @model_validator(mode="after")
    def _categories_of_attributes(self) -> Attributes:
        for name, values in self.categories.items():
            if name not in self.columns or name in ATTRIBUTE_KEYS:
                raise ValueError(f"categories.{name}: columns has no such attribute")
            if not values or len(set(values)) < len(values):
                raise ValueError(f"categories.{name}: name each value once, and at least one")
            if _OTHER in values:
                raise ValueError(f"categories.{name}: other holds what is not named: leave it out")
        names = self.feature_names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two attributes give the feature {twice}: rename one")
        return self

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in order: of a category one for each value, and other."""
        return [
            feature
            for name in self.columns if name not in ATTRIBUTE_KEYS
            for feature in (self.category_features(name).values() or [name])
        ]  # fmt: skip

    def category_features(self, name: str) -> dict[str | None, str]:
        """Feature of each value of a category, and under None of all others; else empty."""
        values = self.categories.get(name, [])
        if not values:
            return {}
        parts = label_slugs([*values, _OTHER])
        return {
            **{value: f"{name}_is_{parts[value]}" for value in values},
            None: f"{name}_is_{_OTHER}",
        }


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class Sources(Section):
    """Your tables. Each key may be one source or a list of sources."""

    events: list[Source] = Field(
        default_factory=list, description="what users did; none: texts are scored, nobody predicted"
    )
    texts: list[Source] = Field(default_factory=list, description="what users wrote or read")
    items: list[Source] = Field(
        default_factory=list, description="what events are about, such as products or pages"
    )
    identities: list[Source] = Field(
        default_factory=list, description="links of anonymous visitors to users"
    )
    attributes: dict[str, Attributes] = Field(
        default_factory=dict,
        description="your own tables about users, by name; read as known at each as_of",
    )

    contacts: Source | None = Field(
        None,
        description="where users can be reached: user_id, and any of email, phone and columns of "
        "your own; read only by `audience`, which exports them, and stored nowhere",
    )

    @field_validator("contacts")
    @classmethod
    def _contact_columns(cls, value: Source | None) -> Source | None:
        if value is None:
            return None
        if "user_id" not in value.columns or len(value.columns) < 2:
            raise ValueError("map user_id, and one column at least to reach a user by")
        checked_names(value.columns, "contact column")
        return value

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
            if getattr(self, table) and all(s.optional for s in getattr(self, table)):
                raise ValueError(f"{table}: one source at least must not be optional")
        return self

    def mapped(self, table: str) -> set[str]:
        """Columns of a contract that at least one of its sources has."""
        return {name for source in getattr(self, table) for name in source.columns}

    def id_prefixes(self, table: str, index: int) -> dict[str, str]:
        """Prefixes of the ids of a source, by column; empty for a single source.

        The ``text_id`` of an event belongs to the source of texts with the same name.
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
