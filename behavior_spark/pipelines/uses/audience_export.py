"""Export an audience of a night to one file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.cleaning.columns import pseudonym_column
from behavior_spark.cleaning.readings import read_contacts
from behavior_spark.errors import InputError
from behavior_spark.features.families.attributes import join_attributes
from behavior_spark.io.exports import export_rows
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import map_contacts, read_raw
from behavior_spark.pipelines.logs.attributes import mapped_attributes
from behavior_spark.runs.run import Run, utc_today
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import AUDIENCE_MEMBERS
from behavior_spark.uses.audiences.exporting import flat_members, with_contact_keys

Arm = Literal["reached", "holdout", "all"]


@dataclass(frozen=True)
class Exported(StageResult):
    """Members as they were written.

    Attributes:
        file: Path of the file.
        members: Members of the arm.
        rows: Rows written: members less those without consent today.
        without_contact: Rows of users whom sources.contacts does not have; None without contacts.
    """

    file: str
    members: int
    rows: int
    without_contact: int | None

    @property
    def details(self) -> Mapping[str, Any]:
        """All of it."""
        return dict(vars(self))

    def blocks(self) -> list[RenderableType]:
        """One line."""
        line = f"{self.file}: {self.rows:,} rows of {self.members:,} members"
        if self.members > self.rows:
            line += f"; {self.members - self.rows:,} have no consent any more and were left out"
        if self.without_contact:
            line += f"; {self.without_contact:,} without a contact"
        return [Text(line)]


@stage(
    "export-audience",
    does="members of an audience, with contacts, to a file for mail and ad tools",
    reads=(AUDIENCE_MEMBERS,),
)
def export_audience_stage(
    run: Run, name: str, *, output: Path, arm: Arm = "reached", plain: bool = False
) -> Exported:
    """Write the members of a night to a file.

    Args:
        run: The run; its as_of is the night that chose them.
        name: Name of the audience.
        output: File to write, of a kind that ``export_rows`` knows.
        arm: Whose rows.
        plain: Whether e-mail and phone are written as they are, too.

    Raises:
        InputError: There is no such audience of this night.
        ConfigError: The file has another ending.
    """
    stored = run.warehouse.require(AUDIENCE_MEMBERS, made_by="nightly").where(
        F.col("audience") == name
    )
    with spark_errors(f"exporting audience {name}"):
        members = stored.where(F.col("as_of") == F.lit(run.as_of))
        _refuse_nothing(run, name, stored, members)
        if arm != "all":
            members = members.where(F.col("arm") == arm)
        rows = _flat(run, name, members, plain=plain)
        written = export_rows(rows.orderBy("rank").drop("_has_contact"), output)
        without = None
        if run.settings.sources.contacts:
            without = rows.where(~F.col("_has_contact")).count()
        return Exported(str(output), members.count(), written, without)


def _flat(run: Run, name: str, members: DataFrame, *, plain: bool) -> DataFrame:
    """Members who still consent, as flat rows with their contacts."""
    audience = run.settings.audiences.get(name)
    if audience is not None and audience.consent is not None:
        members = _who_consents(run, members, audience.consent)
    rows = flat_members(members, items=audience.items if audience else 0)
    source = run.settings.sources.contacts
    if source is None:
        return rows
    label = "sources.contacts"
    contacts = read_contacts(
        map_contacts(read_raw(run.spark, source, label=label), source, label=label)
    )
    if key := run.settings.privacy.pseudonymise_key:
        contacts = contacts.withColumn("user_id", pseudonym_column(key=key)(F.col("user_id")))
    keys = with_contact_keys(contacts, plain=plain).withColumn("_has_contact", F.lit(True))
    taken = {column: f"contact_{column}" for column in keys.columns if column in rows.columns}
    taken.pop("user_id")
    joined = rows.join(keys.withColumnsRenamed(taken) if taken else keys, "user_id", "left")
    return joined.withColumn("_has_contact", F.coalesce("_has_contact", F.lit(False)))


def _who_consents(run: Run, members: DataFrame, consent: str) -> DataFrame:
    """Members whose consent is true as it is known today, not only on their night."""
    for table, source in run.settings.sources.attributes.items():
        column = consent.removeprefix(f"attribute_{table}_")
        if column in source.columns and consent != column:
            break
    else:  # the config refuses a consent that is no attribute
        raise RuntimeError("the consent is no attribute")
    today = max(utc_today(), run.as_of) + dt.timedelta(days=1)
    users = members.select("user_id", F.lit(today).alias("as_of"))
    tables = {table: mapped_attributes(run)[table]}
    known = join_attributes(users, tables, {table: [column]})
    agreed = known.where(F.col(consent) == 1).select("user_id")
    return members.join(agreed, "user_id", "left_semi")


def _refuse_nothing(run: Run, name: str, stored: DataFrame, members: DataFrame) -> None:
    """Say what there is where an audience of this night has no member."""
    if not members.isEmpty():
        return
    nights = stored.select("as_of").distinct().orderBy(F.desc("as_of")).limit(3).collect()
    listed = ", ".join(str(row["as_of"]) for row in nights)
    known = ", ".join(run.settings.audiences) or "none"
    raise InputError(
        f"audience {name} has no members of {run.as_of}",
        found=f"members of {listed}" if listed else f"audiences in the config: {known}",
        fix="give --as-of a night that chose members" if listed
        else "give the name of an audience, and run `behavior-spark audiences` first",
    )  # fmt: skip
