"""Refused rows: as they came, masked, with the reason, in ``quarantine``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

from pyspark.sql import DataFrame

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.run import Run
from behavior_spark.schemas import QUARANTINE, Contract

_ROW_JSON_CAP = 2000


def quarantine_form(run: Run) -> Callable[[DataFrame, Contract], DataFrame]:
    """A function from refused rows of a contract to rows of the quarantine."""
    key = run.settings.privacy.pseudonymise_key
    mask = clean_text_column(max_chars=_ROW_JSON_CAP, mask=True, key=key)
    return partial(rows.quarantine_rows, run_id=run.run_id, as_of=run.as_of, clean=mask)


def write_quarantine(run: Run, refused: list[DataFrame]) -> None:
    """Replace this night's quarantined rows; ``refused`` are in their form."""
    if not refused and not run.warehouse.exists(QUARANTINE):
        run.warehouse.create(QUARANTINE)
        return
    empty = run.warehouse.empty(QUARANTINE)
    frame = reduce(lambda a, b: a.unionByName(b), refused, empty)
    with run.step("quarantine"), spark_errors("writing quarantine"):
        run.warehouse.replace(frame, QUARANTINE, where=f"as_of = DATE'{run.as_of}'")
