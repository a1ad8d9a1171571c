"""Approved answers as vectors: the nearest one that fits a text's needs and language.

Nothing is composed: an answer is found or it is not, and the reason is said. The search is exact
(``nearest``), so a result does not depend on how rows are cut into batches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats

NO_ANSWERS, NOT_SCORED, NO_NEED = "no_answers", "not_scored", "no_need"
NO_ANSWER_FOR_NEED, NO_ANSWER_IN_LANGUAGE = "no_answer_for_need", "no_answer_in_language"
TOO_FAR, EQUALLY_NEAR = "below_least_similarity", "two_answers_equally_near"
# In the order in which they are asked; each text without an answer has the first that is true.
NO_REPLY = (
    NO_ANSWERS, NOT_SCORED, NO_NEED, NO_ANSWER_FOR_NEED, NO_ANSWER_IN_LANGUAGE, TOO_FAR,
    EQUALLY_NEAR,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Replies:
    """The answer to each of n texts.

    Attributes:
        ids: Id of the answer; None where there is none.
        similarities: Cosine of the nearest answer that fits, float64 [n]; NaN where none does.
        reasons: Why there is none; None where there is one.
    """

    ids: list[str | None]
    similarities: Doubles
    reasons: list[str | None]


@dataclass(frozen=True, eq=False)
class AnswerIndex:
    """Vectors of approved answers. An answer may have several: of each question that it answers.

    Attributes:
        ids: Id of the answer of each of m vectors.
        needs: Needs that the answer fits.
        languages: Its language; None: it fits every language.
        vectors: float32 [m, dimension], finite.
        least_similarity: Least cosine of an answer that is suggested.
        least_margin: Two answers whose cosines differ by less are equally near.
    """

    ids: Sequence[str]
    needs: Sequence[frozenset[str]]
    languages: Sequence[str | None]
    vectors: Floats
    least_similarity: float
    least_margin: float

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.needs) == len(self.languages) == len(self.vectors):
            raise ModelError("answers, their needs, languages and vectors differ in number")

    def reply(
        self,
        vectors: Floats,
        needs: Sequence[Sequence[str] | None],
        languages: Sequence[str | None],
    ) -> Replies:
        """The answer to suggest for each text, or why there is none.

        Args:
            vectors: float32 [n, dimension]; a row of NaN: the text was not embedded.
            needs: Needs that the answer must all fit; None: the text has no need.
            languages: Language of each text; None: every answer may do.
        """
        count = len(vectors)
        ids: list[str | None] = [None] * count
        reasons: list[str | None] = [None] * count
        similarities = np.full(count, np.nan)
        embedded = np.asarray(np.isfinite(vectors).all(axis=1))
        groups: dict[tuple[frozenset[str], str | None], list[int]] = defaultdict(list)
        for row, (own, language) in enumerate(zip(needs, languages, strict=True)):
            if not len(self.ids):
                reasons[row] = NO_ANSWERS
            elif not embedded[row]:
                reasons[row] = NOT_SCORED
            elif not own:
                reasons[row] = NO_NEED
            else:
                groups[frozenset(own), language].append(row)
        for (wanted, language), rows in groups.items():
            places, lacking = self._fitting(wanted, language)
            if lacking is not None:
                for row in rows:
                    reasons[row] = lacking
                continue
            for row, reply in zip(rows, self._near(vectors[rows], places), strict=True):
                ids[row], similarities[row], reasons[row] = reply
        return Replies(ids, similarities, reasons)

    def _fitting(
        self, wanted: frozenset[str], language: str | None
    ) -> tuple[list[int], str | None]:
        """Places of the answers that fit all needs in a language, or why there is none."""
        fitting = [place for place, needs in enumerate(self.needs) if wanted <= needs]
        spoken = [
            place for place in fitting
            if language is None or self.languages[place] in (None, language)
        ]  # fmt: skip
        if spoken:
            return spoken, None
        if fitting:
            return [], NO_ANSWER_IN_LANGUAGE
        # No answer fits both of two needs: then there is no need to answer.
        return [], NO_NEED if len(wanted) > 1 else NO_ANSWER_FOR_NEED

    def _near(
        self, vectors: Floats, places: Sequence[int]
    ) -> list[tuple[str | None, float, str | None]]:
        """Answer, similarity and reason of each text, among the vectors at some places."""
        # Imported here because it loads torch, which takes seconds.
        from behavior_spark.model.encoder.nearest import nearest

        names = [self.ids[place] for place in places]
        # So many hold two answers, whatever answer has most questions.
        k = max(Counter(names).values()) + 1
        found, columns = nearest(vectors, self.vectors[list(places)], k)
        replies: list[tuple[str | None, float, str | None]] = []
        for cosines, order in zip(found.astype(np.float64), columns, strict=True):
            name, best = names[order[0]], float(cosines[0])
            other = next((float(c) for c, p in zip(cosines, order, strict=True)
                          if names[p] != name), -np.inf)  # fmt: skip
            if best < self.least_similarity:
                replies.append((None, best, TOO_FAR))
            elif best - other < self.least_margin:
                replies.append((None, best, EQUALLY_NEAR))
            else:
                replies.append((name, best, None))
        return replies
