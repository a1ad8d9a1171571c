import csv
import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sklearn.metrics import precision_recall_fscore_support

from behavior_spark.config import Tuning
from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.heads.holding_out import normalise_text
from behavior_spark.model.heads.kinds.multi_label import best_thresholds
from behavior_spark.model.heads.labelled import split_task
from behavior_spark.model.measures.classification_report import classification_report
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.model.training.finetune import LabelledTexts, finetune

OPTIONS = EncoderOptions(max_length=20)
DATA = Path(os.environ.get("BEHAVIOR_DATA") or Path(__file__).parents[3] / "../shared/data")
BANKING = DATA / "banking77" / "train.csv.gz"


def words(count, *, seed=0, size=5):
    """Texts labelled by which of two words stands somewhere in them."""
    rng = np.random.default_rng(seed)
    filler = ["warm", "cold", "lamp", "mug", "bag", "box", "tea", "please", "order"]
    texts, labels = [], []
    for row in range(count):
        label = "red" if row % 2 else "blue"
        text = [*rng.choice(filler, size), label, f"{row}"]
        texts.append(" ".join(rng.permutation(text)))
        labels.append(label)
    return texts, labels


def split_of(task, **changes):
    options = {"validation_share": 0.15, "seed": 0, "max_examples": None} | changes
    return split_task(task, **options)


@pytest.mark.skipif(not BANKING.exists(), reason=f"banking77 is not at {BANKING}")
def test_real_intents_are_learned_from_sixty_examples_each(real_source, tmp_path):
    wanted = {"card_arrival", "lost_or_stolen_card", "exchange_rate", "top_up_failed"}
    with gzip.open(BANKING, "rt", encoding="utf-8") as file:
        rows = [(r["text"], r["category"]) for r in csv.DictReader(file)]
    chosen = [row for label in sorted(wanted) for row in rows if row[1] == label]
    by_label = {label: [t for t, x in chosen if x == label] for label in wanted}
    train = [(t, label) for label, texts in by_label.items() for t in texts[:60]]
    fresh = [(t, label) for label, texts in by_label.items() for t in texts[60:90]]
    task = LabelledTexts("intent", [t for t, _ in train], [x for _, x in train])
    result = finetune(real_source, EncoderOptions(), [task], tmp_path, validation_share=0.2)
    model = load_text_model(result.folder)
    encoder = Encoder.load(model.encoder_source, model.options, device="cpu")
    head = model.heads["intent"]
    decided = head.decide(head.probabilities(encoder.embed([t for t, _ in fresh]).embeddings))
    right = [a == b for a, (_, b) in zip(decided, fresh, strict=True)]
    assert np.mean(right) > 0.9
    assert result.metrics["intent"]["accuracy"] > 0.85


def test_full_mode_learns_what_a_frozen_random_encoder_cannot(tiny_folder, tmp_path):
    texts, labels = words(400)
    order = [
        "please" if t.split().index(x) < 3 else "bye" for t, x in zip(texts, labels, strict=True)
    ]
    tasks = [LabelledTexts("colour", texts, labels), LabelledTexts("place", texts, order)]
    seen = []
    tuning = Tuning(epochs=6, patience=6, learning_rate=2e-3, batch_size=16, layer_decay=1.0)
    frozen = finetune(str(tiny_folder), OPTIONS, tasks, tmp_path / "out", mode="heads")
    result = finetune(
        str(tiny_folder),
        OPTIONS,
        tasks,
        tmp_path / "out",
        mode="full",
        progress=lambda *step: seen.append(step),
        tuning=tuning,
        validation_share=0.25,
    )
    model = load_text_model(result.folder)
    assert model.metadata["best_epoch"] > 0
    assert model.backbone_digest != load_text_model(frozen.folder).backbone_digest
    assert result.metrics["colour"]["accuracy"] > 0.95
    assert result.metrics["place"]["f1"] > result.metrics["place"]["f1_frozen_encoder"] + 0.05
    steps = [step for step in seen if step[0] == "train"]
    assert steps[-1][1] == steps[-1][2] == len(steps)
    encoder = Encoder.load(model.encoder_source, model.options, device="cpu")
    head = model.heads["colour"]
    fresh, truth = words(60, seed=9)
    decided = head.decide(head.probabilities(encoder.embed(fresh).embeddings))
    assert np.mean([a == b for a, b in zip(decided, truth, strict=True)]) > 0.9
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        {frozen.digest, result.digest}
    )


def test_the_frozen_encoder_is_kept_where_training_does_not_help(tiny_folder, tmp_path):
    texts, labels = words(60)
    task = LabelledTexts("colour", texts, labels)
    result = finetune(
        str(tiny_folder),
        OPTIONS,
        [task],
        tmp_path,
        mode="full",
        tuning=Tuning(epochs=1, learning_rate=1e-12, head_learning_rate=1e-12),
    )
    model = load_text_model(result.folder)
    assert model.metadata["best_epoch"] == 0
    assert Path(model.encoder_source) == tiny_folder.resolve()
    assert not (result.folder / "encoder").exists()


@pytest.mark.parametrize("mode", ["heads", "few", "full"])
def test_the_same_seed_gives_the_same_model(tiny_folder, tmp_path, mode):
    texts, labels = words(80)
    task = LabelledTexts("colour", texts, labels)
    arguments = {"mode": mode, "tuning": Tuning(epochs=2, learning_rate=2e-3)}
    runs = [
        finetune(str(tiny_folder), OPTIONS, [task], tmp_path / name, **arguments) for name in "ab"
    ]
    assert runs[0].digest == runs[1].digest and runs[0].metrics == runs[1].metrics
    again = finetune(str(tiny_folder), OPTIONS, [task], tmp_path / "a", **arguments)
    assert again.folder == runs[0].folder


def test_every_head_of_a_tuned_backbone_has_seen_the_last_day_of_all_tasks(tiny_folder, tmp_path):
    texts, labels = words(80)
    days = [f"2026-01-{1 + row % 28:02d}" for row in range(80)]
    tasks = [
        LabelledTexts("early", texts, labels, days=days),
        LabelledTexts("late", texts, labels, days=["2026-03-01"] * 79 + [None]),
    ]
    heads, tuning = {}, Tuning(epochs=4, learning_rate=3e-3)
    for mode in ("heads", "full"):
        result = finetune(str(tiny_folder), OPTIONS, tasks, tmp_path, mode=mode, tuning=tuning)
        heads[mode] = load_text_model(result.folder).heads
    assert heads["heads"]["early"].trained_through == "2026-01-28"
    assert heads["full"]["early"].trained_through == "2026-03-01"
    assert heads["full"]["late"].metrics["undated_rows"] == 1


def test_equal_texts_never_stand_in_both_train_and_validation():
    texts, labels = words(120)
    doubled = [*texts, *[f"  {text.upper()} " for text in texts], *texts]
    split = split_of(LabelledTexts("t", doubled, labels * 3))
    keys = np.array([normalise_text(text) for text in split.texts])
    assert not set(keys[split.validation]) & set(keys[~split.validation])
    assert 0.05 < split.validation.mean() < 0.3


def test_a_text_held_out_once_stays_held_out_for_any_seed_and_more_data():
    texts, labels = words(300)
    few = split_of(LabelledTexts("t", texts[:100], labels[:100]))
    many = split_of(LabelledTexts("t", texts, labels), seed=9)
    held = {t for t, out in zip(many.texts, many.validation, strict=True) if out}
    assert {t for t, out in zip(few.texts, few.validation, strict=True) if out} <= held


def test_rows_that_cannot_teach_are_dropped_and_counted():
    texts, labels = words(40)
    task = LabelledTexts(
        "t",
        [*texts, "", "   ", None, "only once", "tea", "TEA ", "unlabelled"],
        [*labels, "red", "red", "red", "single", "repeated", "repeated", ""],
    )
    split = split_of(task)
    assert split.labels == ("blue", "red") and len(split.texts) == 40
    assert split.dropped == {"empty_text": 3, "no_label": 1, "rare_label": 3}
    assert split.dropped_labels == ["repeated", "single"]


def test_every_label_has_a_text_to_learn_from():
    for count in range(4, 30, 2):
        texts, labels = words(count, seed=count)
        split = split_of(LabelledTexts("t", texts, labels), validation_share=0.6)
        assert set(split.targets[~split.validation]) == {0, 1} and split.validation.any()


def test_max_examples_is_a_seeded_sample():
    texts, labels = words(100)
    task = LabelledTexts("t", texts, labels)
    one, two = split_of(task, max_examples=30), split_of(task, max_examples=30)
    assert one.texts == two.texts and len(one.texts) == 30
    assert split_of(task, max_examples=30, seed=1).texts != one.texts


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["red"] * 10},
        {"labels": [str(row) for row in range(10)]},
        {"labels": ["red", "blue"]},
        {"labels": [["red"]] * 10},
        {"kind": "multi_label"},
        {"days": ["31/01/2026"] * 10},
        {"texts": [""] * 10},
    ],
)
def test_a_task_that_cannot_be_learned_is_refused_without_showing_a_text(change):
    texts, labels = words(10)
    with pytest.raises(ModelError) as error:
        split_of(replace(LabelledTexts("t", texts, labels), **change))
    assert not any(text in str(error.value) for text in texts)


def test_multi_label_heads_learn_each_label(real_source, tmp_path):
    animals, moods = ["a dog", "a cat"], ["is happy", "is very sad"]
    texts = [f"{a} {m} {n}" for a in animals for m in moods for n in range(20)]
    labels = [["dog"] * ("dog" in t) + ["sad"] * ("sad" in t) for t in texts]
    task = LabelledTexts("tags", texts, labels, kind="multi_label")
    result = finetune(real_source, EncoderOptions(), [task], tmp_path, validation_share=0.3)
    head = load_text_model(result.folder).heads["tags"]
    assert head.labels == ("dog", "sad") and head.temperature == 1.0
    assert result.metrics["tags"]["accuracy"] == 1.0


def test_thresholds_are_tuned_where_positives_are_enough_and_left_where_few():
    truth = np.zeros((100, 2), dtype=bool)
    truth[:20, 0] = truth[:3, 1] = True
    probabilities = np.where(truth, 0.3, 0.1).astype(np.float32)
    found = best_thresholds(probabilities, truth)
    assert 0.1 < found[0] <= 0.3 and found[1] == 0.5


def test_thresholds_of_few_positives_hold_better_than_those_of_the_seen_f1() -> None:
    rng, others, seen = np.random.default_rng(3), [], []
    for _ in range(60):
        logits = rng.normal(-3.0, 1.5, size=20_400).astype(np.float32)
        probabilities = (1 / (1 + np.exp(-logits)))[:, None]
        truth = rng.random(20_400)[:, None] < probabilities
        held, rest = slice(0, 400), slice(400, None)
        grid = np.linspace(0.05, 0.95, 91)
        by_sight = max(grid, key=lambda t: f1_of(probabilities[held] >= t, truth[held]))
        chosen = best_thresholds(probabilities[held], truth[held])[0]
        seen.append(f1_of(probabilities[rest] >= by_sight, truth[rest]))
        others.append(f1_of(probabilities[rest] >= chosen, truth[rest]))
    assert np.mean(others) > np.mean(seen) + 0.003


def test_thresholds_follow_probabilities_that_class_weights_have_raised() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(-2.0, 1.5, size=(3000, 1)).astype(np.float32)
    truth = rng.random((3000, 1)) < 1 / (1 + np.exp(-logits))
    plain, raised = (1 / (1 + np.exp(-logits - move)) for move in (0.0, 1.5))
    said = plain >= best_thresholds(plain, truth)
    moved = raised >= best_thresholds(raised, truth)
    assert (said == moved).mean() > 0.98


def f1_of(said: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float((said & truth).sum()) / max(1, int(said.sum() + truth.sum()))


def test_temperature_makes_an_overconfident_head_honest(make_head):
    rng = np.random.default_rng(0)
    head = make_head(labels=("a", "b"), dimension=2, weight=np.eye(2) * 20.0, bias=np.zeros(2))
    head = replace(head, temperature=1.0)
    vectors = rng.normal(size=(2000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2.0 * (vectors[:, 1] - vectors[:, 0])))
    targets = (rng.random(2000) < chance).astype(np.int64)
    calibrated = head.rules.calibrate(head, head.raw_logits(vectors), targets)
    assert calibrated.temperature == pytest.approx(10.0, rel=0.02)
    mild = replace(head, weight=np.eye(2) * 6.0)
    calibrated = mild.rules.calibrate(mild, mild.raw_logits(vectors), targets)
    assert calibrated.temperature == pytest.approx(3.0, rel=0.15)
    calibrated = mild.rules.calibrate(mild, mild.raw_logits(vectors[:10]), targets[:10])
    assert calibrated.temperature == 1.0


def test_metrics_agree_with_sklearn():
    rng = np.random.default_rng(3)
    truth, said = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    found = classification_report(
        ("a", "b", "c", "d"), truth[:, None] == np.arange(4), said[:, None] == np.arange(4)
    )
    macro = precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
    each = precision_recall_fscore_support(truth, said, zero_division=0)
    assert [found[k] for k in ("precision", "recall", "f1")] == pytest.approx(list(macro[:3]))
    assert [c["f1"] for c in found["per_class"].values()] == pytest.approx(list(each[2]))
    assert found["accuracy"] == pytest.approx((truth == said).mean())


def test_tasks_need_different_names_and_a_known_mode(tiny_folder, tmp_path):
    texts, labels = words(10)
    task = LabelledTexts("t", texts, labels)
    for tasks, mode in (([task, task], "heads"), ([], "heads"), ([task], "half")):
        with pytest.raises(ModelError):
            finetune(str(tiny_folder), OPTIONS, tasks, tmp_path, mode=mode)


def test_an_encoder_that_fails_on_most_texts_ends_training_and_keeps_nothing(tiny_folder, tmp_path):
    """The texts that it could embed were learned from, whatever their share."""
    tensors = load_file(tiny_folder / "model.safetensors")
    vocabulary = (tiny_folder / "vocab.txt").read_text().split("\n")
    tensors["embeddings.word_embeddings.weight"][vocabulary.index("money")] = float("nan")
    save_file(tensors, tiny_folder / "model.safetensors", metadata={"format": "pt"})
    kept = []
    texts, labels = words(40)

    def train(failing: int, stored=None):
        spoilt = [f"{text} money" if n < failing else text for n, text in enumerate(texts)]
        task = LabelledTexts("colour", spoilt, labels)
        return finetune(
            str(tiny_folder), OPTIONS, [task], tmp_path / "out",
            keep=lambda digest, texts, vectors: kept.append(texts), stored=stored,
        )  # fmt: skip

    with pytest.raises(ModelError, match="21 of 40 texts") as error:
        train(21)
    assert "not finite" in str(error.value) and not kept and not (tmp_path / "out").exists()
    assert train(20).metrics["colour"]["dropped_rows"]["not_embedded"] == 20
    # Vectors of the others are kept, failures are not: they alone are tried again.
    vectors = Encoder.load(str(tiny_folder), OPTIONS, device="cpu").embed(texts[20:]).embeddings
    stored = dict(zip(texts[20:], vectors, strict=True))
    again = train(20, stored=lambda digest, wanted: stored)
    assert (again.texts_stored, again.texts_embedded) == (20, 20)
