"""Views that people query: SQL that Spark, Databricks and DuckDB all read, with its columns.

A query names tables in braces; ``View.sql`` puts their place in. It keeps to what the three share:
no index into an array, no ``QUALIFY``, no time functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql.types import BooleanType, DateType, DoubleType, LongType, StringType, StructField

from behavior_spark.schemas.audiences import AUDIENCE_RESULTS, AUDIENCES
from behavior_spark.schemas.contract import Contract, column
from behavior_spark.schemas.service import SERVICE_QUEUE
from behavior_spark.schemas.tables import (
    AUDIENCE_MEMBERS,
    QUARANTINE,
    RUNS,
    TEXT_SCORES,
    TEXTS,
    USER_PROFILE,
    USER_PROPENSITY,
)


@dataclass(frozen=True)
class View:
    """A view.

    Attributes:
        name: Its name.
        comment: What one row is.
        columns: Columns in order, each with a comment.
        reads: Tables that it reads.
        query: SQL, with ``{table}`` for each of them.
    """

    name: str
    comment: str
    columns: tuple[StructField, ...]
    reads: tuple[Contract, ...]
    query: str

    def sql(self, place: Callable[[Contract], str] = lambda table: table.name) -> str:
        """The query, with the place of each table; by default its name."""
        return self.query.format(**{table.name: place(table) for table in self.reads})


def _from(contract: Contract, *names: str) -> tuple[StructField, ...]:
    """Columns of a contract; all of them without names. A view says nothing of nulls."""
    fields = [contract.field(name) for name in names] if names else contract.columns
    return tuple(StructField(f.name, f.dataType, True, f.metadata) for f in fields)


def _latest(contract: Contract, *by: str) -> str:
    """Query of the rows of the latest as_of, of each value of the columns ``by``."""
    columns = ", ".join(f"r.{name}" for name in contract.names)
    group = f" GROUP BY {', '.join(by)}" if by else ""
    keys = "".join(f"{name}, " for name in by)
    same = "".join(f" AND n.{name} = r.{name}" for name in by)
    return (
        f"SELECT {columns}\nFROM {{{contract.name}}} r\n"
        f"JOIN (SELECT {keys}max(as_of) AS as_of FROM {{{contract.name}}}{group}) n\n"
        f"  ON n.as_of = r.as_of{same}"
    )


LATEST_PROPENSITY = View(
    "latest_propensity",
    "One row per user and target: the prediction of the target's latest night",
    _from(USER_PROPENSITY),
    (USER_PROPENSITY,),
    _latest(USER_PROPENSITY, "target"),
)

PROPENSITY_HISTORY = View(
    "propensity_history",
    "One row per user, target and night: how the prediction moved",
    (
        *_from(USER_PROPENSITY, "user_id", "target", "as_of", "probability", "expected", "decile"),
        column("previous_as_of", DateType(), "the user's night before"),
        column("previous_probability", DoubleType(), "probability of that night"),
        column("change", DoubleType(), "probability - previous_probability"),
        *_from(USER_PROPENSITY, "model_digest"),
        column("same_model", BooleanType(), "whether both nights used one model"),
    ),
    (USER_PROPENSITY,),
    "SELECT user_id, target, as_of, probability, expected, decile,\n"
    "  lag(as_of) OVER w AS previous_as_of,\n"
    "  lag(probability) OVER w AS previous_probability,\n"
    "  probability - lag(probability) OVER w AS change,\n"
    "  model_digest,\n"
    "  model_digest = lag(model_digest) OVER w AS same_model\n"
    "FROM {user_propensity}\n"
    "WINDOW w AS (PARTITION BY user_id, target ORDER BY as_of)",
)

LATEST_PROFILE = View(
    "latest_profile",
    "One row per user: the profile of the latest night",
    _from(USER_PROFILE),
    (USER_PROFILE,),
    _latest(USER_PROFILE),
)

LATEST_AUDIENCES = View(
    "latest_audiences",
    "One row per audience: who was chosen on its latest night, who was left out and why",
    _from(AUDIENCES),
    (AUDIENCES,),
    _latest(AUDIENCES, "audience"),
)

LATEST_AUDIENCE_MEMBERS = View(
    "latest_audience_members",
    "One row per audience and member of the audience's latest night",
    _from(AUDIENCE_MEMBERS),
    (AUDIENCE_MEMBERS,),
    _latest(AUDIENCE_MEMBERS, "audience"),
)

AUDIENCE_HISTORY = View(
    "audience_history",
    "One row per audience and night: what was expected, and what happened once it is known",
    (
        *_from(AUDIENCES, "audience", "as_of", "target", "status", "members", "reached", "holdout",
               "expected", "expected_low", "expected_high", "expected_at_random"),
        *_from(AUDIENCE_RESULTS, "reached_conversions", "holdout_conversions", "reached_rate",
               "holdout_rate", "lift", "incremental", "incremental_low", "incremental_high",
               "verdict"),
    ),
    (AUDIENCES, AUDIENCE_RESULTS),
    "SELECT a.audience, a.as_of, a.target, a.status, a.members, a.reached, a.holdout,\n"
    "  a.expected, a.expected_low, a.expected_high, a.expected_at_random,\n"
    "  r.reached_conversions, r.holdout_conversions, r.reached_rate, r.holdout_rate, r.lift,\n"
    "  r.incremental, r.incremental_low, r.incremental_high, r.verdict\n"
    "FROM {audiences} a LEFT JOIN {audience_results} r\n"
    "  ON r.audience = a.audience AND r.as_of = a.as_of",
)  # fmt: skip

AUDIENCE_EFFECTS = View(
    "audience_effects",
    "One row per audience over all nights that were measured. A user who was a member on several "
    "nights counts on each",
    (
        *_from(AUDIENCE_RESULTS, "audience", "target"),
        column("nights", LongType(), "nights that were measured"),
        *_from(AUDIENCE_RESULTS, "reached", "reached_conversions", "holdout",
               "holdout_conversions", "incremental"),
    ),
    (AUDIENCE_RESULTS,),
    "SELECT audience, target, count(*) AS nights,\n"
    "  CAST(sum(reached) AS BIGINT) AS reached,\n"
    "  CAST(sum(reached_conversions) AS BIGINT) AS reached_conversions,\n"
    "  CAST(sum(holdout) AS BIGINT) AS holdout,\n"
    "  CAST(sum(holdout_conversions) AS BIGINT) AS holdout_conversions,\n"
    "  sum(incremental) AS incremental\n"
    "FROM {audience_results} GROUP BY audience, target",
)  # fmt: skip

LATEST_SERVICE_QUEUE = View(
    "latest_service_queue",
    "One row per text of the latest night's queue",
    _from(SERVICE_QUEUE),
    (SERVICE_QUEUE,),
    _latest(SERVICE_QUEUE),
)

LABELLED_TEXTS = View(
    "labelled_texts",
    "One row per text and head: the latest version of the text, with its newest label",
    (
        *_from(TEXTS, "text_id", "user_id", "text_time", "kind", "text"),
        *_from(TEXT_SCORES, "head", "label", "probability", "head_digest"),
    ),
    (TEXTS, TEXT_SCORES),
    "SELECT t.text_id, t.user_id, t.text_time, t.kind, t.text,\n"
    "  s.head, s.label, s.probability, s.head_digest\n"
    "FROM {texts} t\n"
    "JOIN (SELECT text_id, max(arrived_at) AS arrived_at FROM {texts} GROUP BY text_id) v\n"
    "  ON v.text_id = t.text_id AND v.arrived_at = t.arrived_at\n"
    "JOIN (SELECT text_hash, head, label, probability, head_digest, row_number() OVER (\n"
    "        PARTITION BY text_hash, head ORDER BY scored_at DESC, head_digest) AS place\n"
    "      FROM {text_scores}) s\n"
    "  ON s.text_hash = t.text_hash AND s.place = 1",
)

REFUSED_ROWS = View(
    "refused_rows",
    "One row per night, table, source and reason: how many rows were refused",
    (
        *_from(QUARANTINE, "as_of", "table_name", "source", "reason"),
        column("refused_rows", LongType(), "rows that the night refused"),
    ),
    (QUARANTINE,),
    "SELECT as_of, table_name, source, reason,\n"
    "  CAST(sum(refused_rows) AS BIGINT) AS refused_rows\n"
    "FROM {quarantine} GROUP BY as_of, table_name, source, reason",
)

LATEST_RUNS = View(
    "latest_runs",
    "One row per command and night: its latest run",
    (
        *_from(RUNS, "command", "as_of", "run_id", "started_at", "seconds", "status"),
        column("problem", StringType(), "error of a failed run; null where it was done"),
        *_from(RUNS, "balanced"),
    ),
    (RUNS,),
    "SELECT u.command, u.as_of, u.run_id, u.started_at, u.seconds, u.status,\n"
    "  u.error AS problem, u.balanced\n"
    "FROM {runs} u\n"
    "JOIN (SELECT command, as_of, max(started_at) AS started_at FROM {runs}\n"
    "      GROUP BY command, as_of) l\n"
    "  ON l.command = u.command AND l.as_of = u.as_of AND l.started_at = u.started_at",
)

VIEWS = {
    view.name: view
    for view in (
        LATEST_PROPENSITY, PROPENSITY_HISTORY, LATEST_PROFILE, LATEST_AUDIENCES,
        LATEST_AUDIENCE_MEMBERS, AUDIENCE_HISTORY, AUDIENCE_EFFECTS, LABELLED_TEXTS, REFUSED_ROWS,
        LATEST_RUNS, LATEST_SERVICE_QUEUE,
    )
}  # fmt: skip
