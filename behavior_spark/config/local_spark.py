"""The section ``spark``: the local session that is made where none is given."""

from __future__ import annotations

from pydantic import Field

from behavior_spark.config.section import Section


class LocalSpark(Section):
    """The local Spark session that is started if there is none. Ignored on a cluster."""

    master: str = Field("local[*]", description="local[*]: all cores; local[4]: four of them")
    driver_memory: str = Field("3g", description="memory of the JVM that does all the work")
    shuffle_partitions: int = Field(4, ge=1, description="partitions after a shuffle")
    conf: dict[str, str] = Field(
        default_factory=dict,
        description="more Spark settings; spark.driver.extraJavaOptions follow the session's own; "
        "with spark.sql.codegen.wholeStage here, plans over small tables are not interpreted",
        repr=False,
    )
