"""Held-out labelled texts to measure a model on: read, cleaned, without texts it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.config.labels import Part
from behavior_spark.errors import InputError
from behavior_spark.io.sources import map_labels, read_raw
from behavior_spark.model.registry.held_out import (
    HeldOut,
    Origin,
    held_out_by_hash,
    slice_masks,
)
from behavior_spark.model.registry.learned_from import LearnedFrom, key_check, text_keys
from behavior_spark.names import normal_name
from behavior_spark.pipelines.text_models.labelled_tables import (
    cleaned,
    first_rows,
    labelled_rows,
    usable_rows,
)
from behavior_spark.runs.run import Run


def read_held_out(run: Run, name: str) -> HeldOut:
    """A head's test table; without one its dev table; without both the share held out by hash.

    Labels that carry a day are left out if it is the run's ``as_of`` or later. Rows that cannot be
    used are counted under ``dropped``.

    Raises:
        InputError: No labelled text is held out.
    """
    task, label = run.settings.text.heads[name], f"text.heads.{name}"
    part: Part = "test"
    origin: Origin = "test"
    if not task.has_test:
        part, origin = ("dev", "dev") if task.dev else ("train", "held out by hash")
    frame = labelled_rows(run, name, parts=(part,))
    multi = isinstance(frame.schema["label"].dataType, ArrayType)
    table, left_out = usable_rows(run, name, frame)
    texts = [cleaned(text, run.settings).strip() for text in table["text"]]
    labels = [
        tuple(filter(None, (normal_name(str(name)) for name in value)))
        if multi
        else (normal_name(str(value)),)
        for value in table["label"]
    ]
    held = HeldOut(name, origin, texts, labels, {}, left_out)
    if origin == "held out by hash":
        kept = held_out_by_hash(texts, share=task.validation_share)
        table = table[kept]
        held = replace(held.where(kept, "learned_from"), dropped=left_out)
    held = replace(
        held,
        slices=slice_masks(
            held.texts, table, length_buckets=run.settings.text.evaluation.length_buckets
        ),
    )
    held = held.where(np.array([bool(text) for text in held.texts], dtype=np.bool_), "empty_text")
    has_label = np.array([given != ("",) for given in held.labels], dtype=np.bool_)
    held = held.where(has_label, "no_label")
    if not len(held):
        raise InputError(
            f"{label}: no labelled text to measure on",
            found=f"before {run.as_of}" if task.day else None,
            fix="name a table of labels that training does not see: text.heads."
            f"{name}.test with path",
        )
    return held


def without_learned(
    run: Run, held: HeldOut, models: Sequence[LearnedFrom | None], *, refuse: bool = False
) -> HeldOut:
    """Held-out texts that none of the models has learned from.

    From a test table, texts by which training chose a threshold or an epoch are left out too.

    Args:
        run: The run; its key hashes the texts. A model's record with another key is noted.
        held: Texts to measure on.
        models: What each model has learned from; None where there is no record.
        refuse: Raise if a text was learned from, or if another key prevents the check.

    Raises:
        InputError: ``refuse``, and see there; or no text is left.
    """
    seen = np.zeros(len(held), dtype=np.bool_)
    configured_key = run.settings.privacy.pseudonymise_key
    by_check = {key_check(key): key for key in (None, configured_key)}
    for learned in models:
        if learned is None:
            continue
        if learned.key_check not in by_check:
            unknown = f"{held.name}: a model keeps the texts it learned from under another key"
            fix = "set privacy.pseudonymise_key as it was when the model was trained"
            if refuse:
                raise InputError(unknown, fix=fix)
            run.note(f"{unknown}: leakage is not looked for ({fix})")
            continue
        keys = text_keys(held.texts, key=by_check[learned.key_check])
        seen |= learned.shared_with(keys, dev=held.origin == "test")
    if seen.any() and refuse:
        raise InputError(
            f"{held.name}: {int(seen.sum()):,} of {len(held):,} held-out texts were learned from",
            found="texts equal but for case and white space in both tables",
            fix="take them out of one of the tables, or set text.evaluation.leakage: remove",
        )
    if seen.all():
        raise InputError(
            f"{held.name}: the model has learned from all {len(held):,} held-out texts",
            fix=f"give text.heads.{held.name}.test a table that training does not see",
        )
    return held.where(~seen, "learned_from")


def read_out_of_scope(run: Run, name: str) -> list[str]:
    """Cleaned texts that belong to no class of a head; empty if the config names no table."""
    table_settings = run.settings.text.heads[name].out_of_scope
    if table_settings is None:
        return []
    label = f"text.heads.{name}.out_of_scope"
    part = run.settings.text.heads[name].model_copy(
        update={
            **dict.fromkeys(("path", "table", "annotated", "where", "split", "dev", "test", "day")),
            **table_settings.model_dump(exclude_none=True),
            "label": "''",
            "slices": {},
        }
    )
    frame = map_labels(read_raw(run.spark, part, label=label), part, label=label)
    kept = frame.where(F.col("text").isNotNull()).select("text").distinct()
    table = first_rows(run, kept, label=label)
    texts = (cleaned(text, run.settings).strip() for text in table["text"])
    return [text for text in texts if text]
