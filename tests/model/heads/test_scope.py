import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head, Scope
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.model.heads.scope import fit_scope, measure_scope, often_left_out

CENTRES = np.eye(3, 8, dtype=np.float32)


def texts(seed: int, rows: int, *, centres: np.ndarray = CENTRES) -> tuple[np.ndarray, np.ndarray]:
    """Vectors about centres, and the number of each one's centre."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(centres), rows)
    vectors = centres[label] + rng.normal(size=(rows, 8)) * 0.15
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), label


@pytest.fixture
def head(make_head) -> Head:
    return make_head(dimension=8, weight=CENTRES * 8, bias=np.zeros(3), temperature=1.0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.02, 0.1, 0.3]))
def test_the_share_of_held_out_texts_without_an_answer_is_the_one_asked_for(
    seed: int, share: float
) -> None:
    head = Head(
        "intent", ("a", "b", "c"), "single_label", CENTRES * 8, np.zeros(3), np.full(3, 0.5), 1.0,
        "0" * 16,
    )  # fmt: skip
    (train, labels), (dev, _) = texts(seed, 90), texts(seed + 1, 200)
    fitted = fit_scope(head, train, labels, dev, false_alarms=share)
    silent = (fitted.answer(dev)[1] < 0).mean()
    assert silent == pytest.approx(share, abs=1 / 200 + 1e-9)


def test_texts_outside_every_class_get_no_answer_and_those_inside_the_same_as_before(
    head: Head,
) -> None:
    (train, labels), (dev, _), (inside, _) = texts(1, 300), texts(2, 300), texts(3, 300)
    outside, _ = texts(4, 200, centres=np.eye(8, dtype=np.float32)[5:])
    fitted = fit_scope(head, train, labels, dev, false_alarms=0.05)
    found = measure_scope(fitted, inside, outside)
    assert found.recall > 0.95 and found.false_alarm_rate < 0.12 and found.roc_auc > 0.98
    probabilities, codes = fitted.answer(inside)
    assert np.array_equal(probabilities, head.probabilities(inside))
    assert np.array_equal(codes[codes >= 0], head.answer(inside)[1][codes >= 0])
    assert measure_scope(head, inside, outside).recall == 0  # without a scope it always answers


@pytest.mark.parametrize("seed", [1, 2, 4, 6])
def test_with_few_labels_the_share_without_an_answer_is_near_the_one_asked_for(seed: int) -> None:
    """By the three held-out texts alone it was 14 to 40 %."""
    vectors, labels = texts(seed, 40)
    named = LabelledTexts(
        "ask", [f"t{n}" for n in range(40)], [f"c{n}" for n in labels], abstain=0.05
    )
    split = split_task(named, validation_share=0.15, seed=0, max_examples=None)
    head = fit_head(split, vectors, backbone_digest="d")
    assert split.validation.sum() < 12
    inside, _ = texts(seed + 100, 500)
    assert measure_scope(head, inside, inside[:0]).false_alarm_rate < 0.12


def test_a_head_of_several_labels_that_should_abstain_is_refused_before_anything_is_embedded() -> (
    None
):
    several = LabelledTexts("ask", list("abcd"), [["x"]] * 4, kind="multi_label", abstain=0.05)
    with pytest.raises(ModelError, match="leave out `abstain`"):
        split_task(several, validation_share=0.2, seed=0, max_examples=None)


def test_a_scope_is_saved_digested_and_the_same_for_the_same_seed(head, tmp_path) -> None:
    (train, labels), (dev, _) = texts(1, 300), texts(2, 100)
    fitted = fit_scope(head, train, labels, dev, false_alarms=0.1)
    again = fit_scope(head, train, labels, dev, false_alarms=0.1)
    assert fitted.digest == again.digest != head.digest
    fitted.save(tmp_path)
    back = Head.load(tmp_path)
    assert back.digest == fitted.digest
    assert np.array_equal(back.answer(dev)[1], fitted.answer(dev)[1])
    path = tmp_path / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scope_threshold": None}))
    with pytest.raises(ModelError):
        Head.load(tmp_path)


def test_a_scope_that_cannot_be_is_refused(make_head) -> None:
    (train, labels), (dev, _) = texts(1, 30), texts(2, 10)
    many = make_head(dimension=8, kind="multi_label")
    with pytest.raises(ModelError, match="several labels"):
        fit_scope(many, train, labels, dev, false_alarms=0.1)
    with pytest.raises(ModelError, match="held-out texts"):
        fit_scope(make_head(dimension=8), train, labels, dev[:0], false_alarms=0.1)
    with pytest.raises(ModelError, match="examples"):
        make_head(scope=Scope(np.zeros((2, 9), dtype=np.float32), 0.5))
    with pytest.raises(ModelError, match="not finite"):
        make_head(scope=Scope(np.zeros((2, 4), dtype=np.float32), float("inf")))


def test_labels_whose_texts_often_get_none_are_named() -> None:
    truth = np.eye(3, dtype=bool)[np.repeat([0, 1, 2], [100, 100, 15])]
    abstained = np.zeros(215, dtype=bool)
    abstained[[*range(5), *range(100, 106), *range(200, 206)]] = True
    found = often_left_out(abstained, truth, ("a", "b", "rare"))
    assert found == [{"label": "rare", "texts": 15, "left_out": 6}]
    said = describe_findings({"often_left_out": found})
    assert "rare 6 of 15" in said[0] and "abstain" in said[0]
    abstained[[201, 202, 203, 204, 205]] = False
    assert often_left_out(abstained, truth, ("a", "b", "rare")) == []
