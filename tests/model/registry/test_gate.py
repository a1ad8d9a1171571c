from dataclasses import replace

import numpy as np
import pytest

from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.registry.floor import below_floor
from behavior_spark.model.registry.gate import Abstention, GateRules, compare, decide

ROWS, LABELS = 400, ("a", "b")
RULES = GateRules(figure="accuracy", resamples=300)


def answering(right: np.ndarray) -> Answers:
    """A model that is right where told to be."""
    truth = np.zeros((ROWS, 2), dtype=bool)
    truth[np.arange(ROWS), np.arange(ROWS) % 2] = True
    said = np.where(right[:, None], truth, ~truth)
    return Answers(LABELS, False, truth, said, said.astype(np.float32))


def right_but(*wrong: range) -> np.ndarray:
    right = np.ones(ROWS, dtype=bool)
    for each in wrong:
        right[list(each)] = False
    return right


CHAMPION = answering(right_but(range(0, 400, 10)))
HALVES = {"first": np.arange(ROWS) < 200, "second": np.arange(ROWS) >= 200}


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        (range(0, 400, 40), "better"),
        (range(0, 400, 10), "not worse"),
        (range(5, 405, 10), "not worse"),  # other texts, no fewer
        (range(0, 400, 5), "worse"),
    ],
)
def test_a_model_passes_where_it_is_better_or_no_worse(wrong: range, verdict: str) -> None:
    challenger = answering(right_but(range(wrong.start, min(wrong.stop, ROWS), wrong.step)))
    found = compare(challenger, CHAMPION, {}, RULES)
    assert found.verdict == verdict
    assert decide({"intent": found}).passed == (verdict != "worse")


def test_a_loss_beyond_the_margin_is_refused_though_the_texts_are_few() -> None:
    def among(answers: Answers) -> Answers:
        return Answers(LABELS, False, answers.truth[:30], answers.predicted[:30],
                       answers.probabilities[:30])  # fmt: skip

    champion = among(answering(right_but(range(0, 30, 10))))
    challenger = among(answering(right_but(range(1, 30, 8), range(2, 3))))
    found = compare(challenger, champion, {}, RULES)
    assert found.difference.high >= 0 > -RULES.most_lost > found.difference.value
    assert found.verdict == "worse"


def test_a_slice_that_loses_more_than_the_margin_is_refused_though_the_whole_is_better() -> None:
    worse = compare(answering(right_but(range(200, 236))), CHAMPION, HALVES, RULES)
    assert worse.difference.value > 0 and set(worse.worse_slices) == {"second"}
    verdict = decide({"intent": worse})
    assert not verdict.passed and "slice second" in verdict.reason
    small = GateRules(figure="accuracy", resamples=300, slice_rows=201)
    assert decide({"intent": compare(answering(right_but(range(200, 236))), CHAMPION, HALVES,
                                     small)}).passed  # fmt: skip


def test_what_cannot_be_compared_is_not_promoted() -> None:
    assert not decide({}).passed
    found = compare(CHAMPION, CHAMPION, {}, RULES)
    verdict = decide({"intent": found}, missing=("spam",))
    assert not verdict.passed and "spam" in verdict.reason


def test_a_model_that_only_abstains_more_passes_and_one_that_abstains_worse_does_not() -> None:
    same = compare(CHAMPION, CHAMPION, {}, RULES)
    always, balanced = Abstention(1.0, 0.0), Abstention(0.95, 0.85)
    passed = decide({"intent": replace(same, abstentions=(balanced, always))})
    assert passed.passed and "95.0% answered, 85.0% outside left out" in passed.reason
    refused = decide({"intent": replace(same, abstentions=(always, balanced))})
    assert not refused.passed and "abstains worse" in refused.reason
    # Nothing outside is known: only how much is answered can be said.
    unknown = replace(same, abstentions=(Abstention(0.95), Abstention(1.0)))
    assert decide({"intent": unknown}).passed


def test_a_first_model_must_beat_its_most_frequent_label_and_not_lose_to_keywords() -> None:
    def measured(f1: float, *, texts: int = 1000, most: float = 0.2) -> dict[str, object]:
        baselines = {"majority": {"f1": most}, "keywords": {"accuracy": 0.8}}
        figures = {"f1": f1, "accuracy": f1, "rows": {"validation": texts}}
        return {**figures, "baselines": baselines}

    assert below_floor({"intent": measured(0.78)}) is None
    assert "keywords alone" in str(below_floor({"intent": measured(0.7)}))
    assert below_floor({"intent": measured(0.75, texts=100)}) is None  # it may be chance
    assert below_floor({"intent": measured(0.5, texts=20)}) is None
    assert below_floor({"spam": measured(1.0, most=1.0)}) is None  # no spam was held out
    assert "most frequent" in str(below_floor({"a": measured(0.9), "b": measured(0.2, texts=20)}))
    assert below_floor({"old": {"f1": 0.1}}) is None  # trained before baselines were recorded


def test_a_head_that_could_not_be_compared_is_not_promoted_though_others_are_better() -> None:
    found = compare(answering(right_but()), CHAMPION, {}, RULES)
    assert decide({"spam": found}).passed
    verdict = decide({"spam": found}, not_compared={"intent": "no held-out text is left"})
    assert not verdict.passed
    assert verdict.reason == "intent could not be compared: no held-out text is left"


def test_a_verdict_names_labels_that_one_of_the_heads_has_alone() -> None:
    found = compare(CHAMPION, CHAMPION, {}, RULES)
    labels = replace(found, new_labels=tuple("cdefgh"), lost_labels=("a",))
    verdict = decide({"intent": labels})
    assert verdict.passed
    assert verdict.reason.endswith(
        ", new labels c, d, e, f, g and 1 more, labels it no longer has a"
    )
    assert verdict.as_dict()["heads"]["intent"]["lost_labels"] == ["a"]


def test_a_first_model_with_stated_costs_is_held_to_its_costs_and_not_to_its_accuracy() -> None:
    """Where a missed text costs 20, right decisions have many false alarms."""

    def measured(cost: float, *, texts: int = 1000) -> dict[str, object]:
        baselines = {"majority": {"f1": 0.3, "cost": 2.0},
                     "keywords": {"accuracy": 0.9, "cost": 0.5, "cost_error": 0.05}}  # fmt: skip
        return {"f1": 0.29, "accuracy": 0.6, "cost": cost, "rows": {"validation": texts},
                "baselines": baselines}  # fmt: skip

    assert below_floor({"abuse": measured(0.59)}) is None
    assert "keywords alone" in str(below_floor({"abuse": measured(0.61)}))
    assert below_floor({"abuse": measured(0.61, texts=20)}) is None
    assert "most frequent" in str(below_floor({"abuse": measured(2.0, texts=20)}))
