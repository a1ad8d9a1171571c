"""Topics: groups are those of meaning, words those of enough users, and the same every time."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.scripts import read_by_script
from behavior_spark.model.topics import find_topics, group_vectors, typical_words, words_of
from tests.conftest import ENCODER

SUBJECTS = {
    "parcel": "where is my parcel and when does the parcel come",
    "refund": "please give me the refund of my money, a refund",
    "yoga": "a soft yoga mat for yoga at home",
}


def unit(vectors: Floats) -> Floats:
    scaled: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def sample(each: int, *, users: int) -> tuple[list[str], list[str | None], Floats, list[str]]:
    """Texts of three subjects, by turns of users, with vectors around three directions."""
    random = np.random.default_rng(3)
    texts, subjects, vectors = [], [], []
    for place, (subject, text) in enumerate(SUBJECTS.items()):
        centre = np.eye(3, 16)[place]
        for number in range(each):
            texts.append(f"{text} and {subject}{number % 2}")
            subjects.append(subject)
            vectors.append(centre + random.normal(0, 0.05, 16))
    who: list[str | None] = [f"u{number % users}" for number in range(len(texts))]
    return texts, who, unit(np.array(vectors)), subjects


def test_each_subject_is_a_topic_that_its_own_words_name() -> None:
    texts, users, vectors, _ = sample(40, users=30)
    topics = find_topics(texts, users, vectors, min_users=5)
    assert topics is not None and topics.hidden == 0
    assert (topics.texts, topics.users) == (120, 30)
    for subject in SUBJECTS:
        named = [topic for topic in topics.topics if topic.words[0] == subject]
        assert sum(topic.texts for topic in named) == 40
        assert all(topic.first_word_texts == 40 for topic in named)
    assert "and" not in {word for topic in topics.topics for word in topic.words}
    assert find_topics(texts, users, vectors, min_users=5) == topics


def test_a_word_of_few_users_names_no_topic_and_topics_of_few_users_are_hidden() -> None:
    texts, users, vectors, _ = sample(40, users=30)
    secret = ["Rosebud " * 20 + text if user in ("u1", "u2") else text
              for text, user in zip(texts, users, strict=True)]  # fmt: skip
    topics = find_topics(secret, users, vectors, min_users=5)
    assert topics is not None and topics.topics
    assert not any("rosebud" in topic.words for topic in topics.topics)
    few = find_topics(texts, [f"u{number % 4}" for number in range(120)], vectors, min_users=5)
    assert few is not None and not few.topics and few.hidden >= 3
    nobody = find_topics(texts, [None] * 120, vectors, min_users=1)
    assert nobody is not None and not nobody.topics
    assert find_topics(texts[:49], users[:49], vectors[:49], min_users=1) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 2),
                  st.lists(st.sampled_from(["blue", "mug", "tea", "the"]), max_size=4)),
        min_size=1, max_size=30,
    ),
    st.integers(1, 3),
)  # fmt: skip
def test_every_word_shown_was_used_by_enough_users_in_its_group(
    rows: list[tuple[str | None, int, list[str]]], least: int
) -> None:
    words = [row[2] for row in rows]
    users, groups = [row[0] for row in rows], np.array([row[1] for row in rows])
    for group, typical in typical_words(words, users, groups, min_users=least).items():
        assert "the" not in typical
        for word in typical:
            writers = {user for user, of, text in rows if of == group and word in text} - {None}
            assert len(writers) >= least


def test_masks_numbers_and_short_words_are_no_words() -> None:
    assert words_of("My 2 mugs, no <email>: RING x_ray 12ab") == ["mugs", "ring", "ray"]


def test_topics_of_bank_questions_agree_with_their_intents_far_beyond_chance(
    real_data: Path,
) -> None:
    from sklearn.metrics import normalized_mutual_info_score

    with gzip.open(real_data / "banking77" / "test.csv.gz", "rt") as file:
        table = pd.read_csv(file)
    kept = table["category"].drop_duplicates().iloc[:8]
    table = table[table["category"].isin(kept)]
    texts = table["text"].tolist()
    vectors = Encoder.load(ENCODER, EncoderOptions(max_length=64)).embed(texts).embeddings
    groups, silhouette = group_vectors(vectors)
    agreement = normalized_mutual_info_score(table["category"], groups)
    shuffled = np.random.default_rng(0).permutation(groups)
    assert agreement > 0.75 > 0.2 > normalized_mutual_info_score(table["category"], shuffled)
    assert silhouette > 0
    # English is known to an encoder of English.
    assert read_by_script(ENCODER, EncoderOptions(), texts).known.mean() > 0.99


@pytest.mark.parametrize(
    ("text", "script", "known"),
    [
        ("where is my order, it should have arrived last week", "Latin", True),
        ("<p>one star &amp; 😢 https://a.example/x?y=Zq81</p>", "Latin", True),
        ("wo bleibt meine Bestellung, sie sollte letzte Woche kommen", "Latin", True),
        ("где мой заказ, он должен был прийти", "Cyrillic", False),
        ("أين طلبي كان يجب أن يصل", "Arabic", False),
        ("我的订单在哪里上周就应该到了", "Cjk", False),
        ("내 주문은 어디에 있나요", "Hangul", False),
        ("12345 !!", "", True),
        ("ok", "Latin", True),
    ],
)
def test_a_language_is_known_unless_its_words_fall_to_pieces(
    text: str, script: str, known: bool
) -> None:
    read = read_by_script(ENCODER, EncoderOptions(), [text])
    assert read.scripts == (script,) and read.known.tolist() == [known]


@pytest.mark.parametrize(("texts", "dimension", "seed"), [(10, 128, 1), (10, 384, 3), (12, 16, 0)])
def test_texts_that_lie_between_all_groups_are_grouped_too(
    texts: int, dimension: int, seed: int
) -> None:
    """Every mean silhouette is below 0 there: texts are nearer to another group than to theirs."""
    random = np.random.default_rng(seed)
    scattered = random.normal(size=(texts, dimension))
    if texts > 10:
        scattered = np.eye(texts, dimension) + random.normal(0, 1e-4, (texts, dimension))
    groups, silhouette = group_vectors(unit(scattered))
    assert silhouette < 0 and len(groups) == texts and len(np.unique(groups)) > 1
