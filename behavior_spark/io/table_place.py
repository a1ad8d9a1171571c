"""Where a table is: a folder, or a name in a catalog."""

from __future__ import annotations

from behavior_spark.config import WarehouseSettings
from behavior_spark.io.files import absolute_path
from behavior_spark.names import quoted_name
from behavior_spark.schemas import Contract


def table_location(settings: WarehouseSettings, contract: Contract) -> str:
    """Path or full name of a table: ``catalog.schema.name``, or a folder."""
    if settings.schema_:
        return f"{settings.schema_}.{contract.name}"
    return f"{absolute_path(str(settings.path)).rstrip('/')}/{contract.name}"


def table_identifier(settings: WarehouseSettings, contract: Contract) -> str:
    """A table's name in SQL."""
    place = table_location(settings, contract)
    return place if settings.schema_ else f"delta.{quoted_name(place)}"
