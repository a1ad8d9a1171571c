"""The team's approved answers as an index: read, cleaned, embedded, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from behavior_spark.config import Service
from behavior_spark.errors import InputError
from behavior_spark.io.answers import read_answers
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.names import normal_name
from behavior_spark.pipelines.text_models.label_embeddings import keep_with, look_up_with
from behavior_spark.pipelines.text_models.labelled_tables import cleaned
from behavior_spark.pipelines.texts.active_model import ActiveTextModel
from behavior_spark.runs.run import Run

# An index goes to every worker: 15 MB with 384 numbers a vector.
MOST_ANSWERS = 10_000
_ID_DIGITS = 16


@dataclass(frozen=True, eq=False)
class ApprovedAnswer:
    """One row of the table of answers.

    Attributes:
        id: Its id; without one a digest of its text and language.
        needs: Needs that it fits.
        language: ISO 639-1; None: not given.
        text: The answer.
        compared: What texts are compared with, cleaned: its question, else the answer.
    """

    id: str
    needs: frozenset[str]
    language: str | None
    text: str = field(repr=False)
    compared: str = field(repr=False)


def approved_answers(run: Run, service: Service) -> tuple[list[ApprovedAnswer], dict[str, int]]:
    """The usable answers, and how many rows are not used for which reason.

    Rows of one answer are merged, so that an answer listed under two needs fits both.

    Raises:
        InputError: There are too many, or one id stands for two texts.
    """
    if service.answers is None:
        return [], {}
    with spark_errors("reading service.answers"):
        rows = read_answers(run.spark, service.answers).limit(MOST_ANSWERS + 1).collect()
    if len(rows) > MOST_ANSWERS:
        raise InputError(
            f"service.answers has more than {MOST_ANSWERS:,} rows",
            fix="leave out what is not for this team with service.answers.where",
        )
    answers, unused = [], {"not_approved": 0, "no_text": 0, "no_need": 0, "other_language": 0}
    for row in rows:
        because = _unusable(row.asDict(), service.languages)
        if because:
            unused[because] += 1
        else:
            answers.append(_answer(run, row.asDict()))
    return _merged(answers), {reason: count for reason, count in unused.items() if count}


def _unusable(row: Mapping[str, Any], languages: Sequence[str]) -> str | None:
    if not row["approved"]:
        return "not_approved"
    if not (row["answer"] or "").strip():
        return "no_text"
    if not _needs(row):
        return "no_need"
    if languages and row["language"] and row["language"] not in languages:
        return "other_language"
    return None


def _needs(row: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(filter(None, (normal_name(need or "") for need in row["needs"] or ())))


def _answer(run: Run, row: Mapping[str, Any]) -> ApprovedAnswer:
    text, language = row["answer"], row["language"] or None
    digest = sha256(f"{language or ''}\n{text}".encode("utf-8", "replace")).hexdigest()
    return ApprovedAnswer(
        row["answer_id"] or digest[:_ID_DIGITS], _needs(row), language, text,
        cleaned(row["question"] or text, run.settings).strip(),
    )  # fmt: skip


def _merged(answers: Sequence[ApprovedAnswer]) -> list[ApprovedAnswer]:
    """Each answer and compared text once, with the needs of all rows of the answer, in order."""
    needs: dict[str, frozenset[str]] = {}
    texts: dict[str, tuple[str, str | None]] = {}
    for answer in answers:
        needs[answer.id] = needs.get(answer.id, frozenset()) | answer.needs
        content = answer.text, answer.language
        if texts.setdefault(answer.id, content) != content:
            raise InputError(
                "an answer_id of service.answers stands for two texts or languages",
                fix="give each answer an id of its own; further questions of one answer are rows "
                "with the same id, answer and language",
            )
    once = {(answer.id, answer.compared): answer for answer in answers}
    return [
        ApprovedAnswer(a.id, needs[a.id], a.language, a.text, a.compared)
        for _, a in sorted(once.items())
    ]


def answer_index(
    run: Run, model: ActiveTextModel | None, answers: Sequence[ApprovedAnswer], service: Service
) -> AnswerIndex:
    """Vectors of the answers, of none without a model.

    Those that cannot be embedded are left out, and it is said.
    """
    vectors = _embedded(run, model, [answer.compared for answer in answers])
    good = np.asarray(np.isfinite(vectors).all(axis=1), dtype=np.bool_)
    if not good.all():
        run.note(f"service.answers: {int((~good).sum()):,} could not be embedded")
    kept = [answer for answer, usable in zip(answers, good, strict=True) if usable]
    return AnswerIndex(
        ids=[answer.id for answer in kept],
        needs=[answer.needs for answer in kept],
        languages=[answer.language for answer in kept],
        vectors=vectors[good] if len(vectors) else vectors,
        least_similarity=service.least_similarity,
        least_margin=service.least_margin,
    )


def _embedded(run: Run, model: ActiveTextModel | None, texts: list[str]) -> Floats:
    """float32 [n, dimension]; vectors that an earlier night made are read."""
    if model is None or not texts:
        return np.empty((0, 0), dtype=np.float32)
    known = dict(look_up_with(run, digest="")(model.digest, texts))
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        # Imported here because it loads torch, which takes seconds.
        from behavior_spark.model.encoder.encoder_cache import cached_encoder

        device = None if run.settings.text.device == "auto" else run.settings.text.device
        encoder = cached_encoder(model.source, model.options, device, digest=model.digest)
        made = encoder.embed(new).embeddings
        known.update(zip(new, made, strict=True))
        keep_with(run)(model.digest, new, made)
    return np.stack([known[text] for text in texts]).astype(np.float32, copy=False)
