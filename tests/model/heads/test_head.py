import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.model.heads.head import Head

VECTORS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def test_softmax_rows_add_up_and_are_cooled_by_the_temperature(make_head):
    head = make_head(temperature=2.0)
    found = head.probabilities(VECTORS)
    expected = np.exp((VECTORS @ head.weight.T + head.bias) / 2.0)
    assert found.dtype == np.float32
    assert np.allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_sigmoid_columns_stand_alone(make_head):
    head = make_head(kind="multi_label")
    logits = (VECTORS @ head.weight.T + head.bias) / 1.5
    assert np.allclose(head.probabilities(VECTORS), 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_huge_logits_do_not_overflow(make_head, kind):
    head = make_head(kind=kind, temperature=1e-4)
    assert np.isfinite(head.probabilities(VECTORS * 1e4)).all()


def test_the_top_label_is_chosen_and_a_row_without_embedding_has_none(make_head):
    head = make_head()
    vectors = VECTORS.copy()
    vectors[2] = np.nan
    probabilities = head.probabilities(vectors)
    decided = head.decide(probabilities)
    assert decided[2] is None
    for row in (0, 1, 3):
        assert decided[row] == head.labels[int(probabilities[row].argmax())]
    assert head.decide_all(probabilities)[2] == []
    assert head.decide_all(probabilities)[0] == [decided[0]]


def test_multi_label_decisions_follow_each_labels_threshold(make_head):
    head = make_head(kind="multi_label", thresholds=np.array([0.2, 0.5, 0.9]))
    given = np.array([[0.2, 0.4, 0.95], [0.1, 0.1, 0.1]], dtype=np.float32)
    given[0, 0] = head.thresholds[0]
    assert head.decide_all(given) == [["a", "c"], []]
    assert head.decide(given) == ["c", None]


def test_a_multi_label_answer_is_a_label_that_reaches_its_threshold(make_head):
    head = make_head(kind="multi_label", thresholds=np.array([0.3, 0.99, 0.3]))
    probabilities, codes = head.answer(VECTORS)
    for row, code in zip(probabilities, codes, strict=True):
        reached = [i for i in range(3) if row[i] >= head.thresholds[i]]
        assert code == max(reached, key=lambda i: row[i], default=-1)
    assert (make_head(kind="multi_label", thresholds=np.ones(3)).answer(VECTORS)[1] == -1).all()


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_a_saved_head_comes_back_the_same(make_head, tmp_path, kind):
    head = make_head(
        labels=("ä", "b", "c"),
        kind=kind,
        thresholds=np.array([0.1, 0.2, 0.37]),
        temperature=0.1 + 0.2,
        metrics={"f1": 0.5},
        trained_through="2026-01-31",
    )
    head.save(tmp_path / "h")
    back = Head.load(tmp_path / "h")
    assert back.digest == head.digest and back.labels == head.labels
    assert (back.metrics, back.trained_through) == (head.metrics, "2026-01-31")
    assert np.array_equal(back.probabilities(VECTORS), head.probabilities(VECTORS))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "mood"},
        {"labels": ("a", "c", "b")},
        {"kind": "multi_label"},
        {"temperature": 1.6},
        {"thresholds": np.array([0.5, 0.5, 0.4])},
        {"backbone_digest": "1" * 16},
        {"seed": 3},
    ],
)
def test_digest_changes_with_all_that_decides_an_output(make_head, change):
    assert make_head(**change).digest != make_head().digest


def test_metrics_do_not_change_the_digest(make_head):
    assert make_head(metrics={"f1": 1.0}).digest == make_head().digest


def test_tampered_weights_are_refused(make_head, tmp_path):
    make_head().save(tmp_path)
    tensors = load_file(tmp_path / "head.safetensors")
    tensors["bias"] = tensors["bias"] + 1
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(ModelError, match="changed after it was saved"):
        Head.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", ["a", "b", "x"]), ("temperature", 9.0), ("thresholds", [0.5]), ("labels", 3)],
)
def test_a_tampered_description_is_refused(make_head, tmp_path, key, value):
    make_head().save(tmp_path)
    path = tmp_path / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ModelError):
        Head.load(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_missing_or_damaged_file_is_refused(make_head, tmp_path, name, content):
    make_head().save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot read"):
        Head.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("a", "a", "b")},
        {"labels": ("a",)},
        {"name": "../up"},
        {"bias": np.zeros(2)},
        {"weight": np.zeros((2, 4))},
        {"weight": np.full((3, 4), np.nan)},
        {"thresholds": np.array([0.5, 0.5, 1.5])},
        {"thresholds": np.array([0.5, 0.5, np.nan])},
        {"temperature": 0.0},
        {"temperature": float("nan")},
    ],
)
def test_parts_that_do_not_fit_are_refused(make_head, change):
    with pytest.raises(ModelError):
        make_head(**change)


def test_embeddings_of_another_dimension_are_refused(make_head):
    with pytest.raises(ModelError, match="4 numbers"):
        make_head().probabilities(VECTORS[:, :3])


def test_a_head_cannot_be_changed_in_place(make_head):
    with pytest.raises(ValueError, match="read-only"):
        make_head().weight[0, 0] = 1.0


SHY = """
from dataclasses import dataclass
import numpy as np
from behavior_spark.model.heads.kind import HeadKind, most_probable
from behavior_spark.model.heads.kinds.single_label import SingleLabel

@dataclass(frozen=True)
class Shy(SingleLabel):
    name: str = "shy"
    description: str = "one label a text, where it is likely"

    def top(self, probabilities, thresholds):
        return most_probable(probabilities, np.float32(0.9))

KIND: HeadKind = Shy()
"""


def test_a_kind_of_head_is_added_by_a_package_and_kept_in_the_folder(
    make_head, tmp_path, monkeypatch
):
    (tmp_path / "shy_heads-1.0.dist-info").mkdir()
    (tmp_path / "shy_heads-1.0.dist-info" / "METADATA").write_text("Name: shy-heads\nVersion: 1\n")
    points = "[behavior_spark.head_kinds]\nshy = shy_heads\n"
    (tmp_path / "shy_heads-1.0.dist-info" / "entry_points.txt").write_text(points)
    (tmp_path / "shy_heads.py").write_text(SHY)
    with pytest.raises(ConfigError, match=r"no kind of head 'shy'(.|\n)*multi_label, single_label"):
        make_head(kind="shy")
    monkeypatch.syspath_prepend(str(tmp_path))
    head, usual = make_head(kind="shy"), make_head()
    probabilities = np.array([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2]], dtype=np.float32)
    assert head.decide(probabilities) == ["a", None]
    assert head.decide_all(probabilities) == [["a"], []]
    assert head.digest != usual.digest
    head.save(tmp_path / "saved")
    loaded = Head.load(tmp_path / "saved")
    assert (loaded.kind, loaded.digest) == ("shy", head.digest)
    usual.save(tmp_path / "usual")
    assert '"kind"' not in (tmp_path / "usual" / "head.json").read_text()
