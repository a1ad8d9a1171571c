"""Refused rows: as they came, masked, with the reason, in ``quarantine``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.logs.mapped_sources import with_clean_texts
from behavior_spark.runs.run import Run
from behavior_spark.schemas import QUARANTINE, TEXTS, Contract

_ROW_JSON_CAP = 2000


def texts_that_become_empty(run: Run, usable: DataFrame) -> DataFrame:
    """Texts that are refused only after cleaning has left nothing of them.

    Copies are numbered as in the first pass, so that the rows are the same; only texts without one
    visible ASCII character are cleaned.

    Args:
        run: The run.
        usable: The night's rows of texts that are not refused before.
    """
    kept = rows.numbered(usable, TEXTS).where(F.col(rows.COPY) == 1)
    cleaned = with_clean_texts(run, kept.where(rows.may_become_empty(F.col("text"))), TEXTS)
    return cleaned.where(F.col(rows.REASON).isNotNull())


def write_quarantine(run: Run, refused: Sequence[tuple[Contract, DataFrame]]) -> None:
    """Replace this night's quarantined rows.

    A note says so where they are not as many as were refused: a source that changed in between.

    Args:
        run: The run.
        refused: Rows with their reason, by contract; a contract may come twice.
    """
    if not refused and not run.warehouse.exists(QUARANTINE):
        run.warehouse.create(QUARANTINE)
        return
    key = run.settings.privacy.pseudonymise_key
    mask = clean_text_column(max_chars=_ROW_JSON_CAP, mask=True, key=key)
    held = [
        rows.quarantine_rows(frame, contract, run_id=run.run_id, as_of=run.as_of, clean=mask)
        for contract, frame in refused
    ]
    frame = reduce(DataFrame.unionByName, held, run.warehouse.empty(QUARANTINE))
    counted = Counted.over(frame, rows=F.sum("refused_rows"))
    with run.step("quarantine"), spark_errors("writing quarantine"):
        run.warehouse.replace(counted.frame, QUARANTINE, where=f"as_of = DATE'{run.as_of}'")
        found = counted.counts()["rows"] if refused else 0
    counts = sum(source.refused for source in run.sources)
    if found != counts:
        run.note(f"quarantine holds {found:,} rows where {counts:,} were refused: a source has "
                 "changed while it was read")  # fmt: skip
