"""The section ``warehouse``: where the tables are written."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from behavior_spark.config.section import Section


class WarehouseSettings(Section):
    """Where tables are written."""

    path: str | None = Field(None, description="folder: one Delta table a subfolder")
    schema_: str | None = Field(None, alias="schema", description="catalog.schema, managed tables")
    register_in: str | None = Field(
        None, alias="register", description="with path: schema in which the tables are registered"
    )
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_place(self) -> WarehouseSettings:
        if (self.path is None) == (self.schema_ is None):
            raise ValueError("give either path or schema")
        if self.register_in and not self.path:
            raise ValueError("register goes with path; a schema's tables are registered already")
        return self
