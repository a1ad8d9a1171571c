"""Topics of texts: groups of embeddings, each named by the words that are typical of it.

Groups are those of mini-batch k-means (Sculley 2010, "Web-scale k-means clustering"), as many as
separate well by their silhouette (Rousseeuw 1987). Words are ranked by class-based TF-IDF
(Grootendorst 2022, "BERTopic", arXiv 2203.05794): frequent in the group, and not in the others.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Floats, Integers

COUNTS_TRIED = (3, 4, 6, 8, 10, 12)
# Of these the largest that separates nearly as well as the best.
NEARLY_BEST = 0.9
WORDS_A_TOPIC = 6
# Texts by which the number of groups is chosen: silhouettes cost its square.
MOST_COMPARED = 1000
FEWEST_TEXTS = 50
# Three letters or more; a marker of masked data, such as <email>, is none.
_WORD = re.compile(r"<\w+>|([^\W\d_]{3,})")


@dataclass(frozen=True)
class Topic:
    """A group of texts of one subject.

    Attributes:
        words: Typical words, the most typical first; each was used by enough users in the topic.
        texts: Number of texts.
        users: Number of users.
        first_word_texts: Texts of all topics that have the first word.
    """

    words: tuple[str, ...]
    texts: int
    users: int
    first_word_texts: int


@dataclass(frozen=True)
class Topics:
    """The topics of a sample of texts, the largest first.

    Attributes:
        topics: Those of enough users that have a word to be named by.
        texts: Number of texts in the sample.
        users: Number of users in it.
        hidden: Topics left out: too few users, or no word that enough of them share.
        silhouette: Mean silhouette of the groups, in [-1, 1]; 0: the groups overlap.
    """

    topics: tuple[Topic, ...]
    texts: int
    users: int
    hidden: int
    silhouette: float


def find_topics(
    texts: Sequence[str],
    users: Sequence[str | None],
    embeddings: Floats,
    *,
    min_users: int,
    seed: int = 0,
) -> Topics | None:
    """Group texts by meaning, and name each group; None for fewer than 50 texts.

    Args:
        texts: n texts.
        users: Who wrote each; None counts as nobody.
        embeddings: Their vectors, unit length, float32 [n, dimension].
        min_users: A topic, and a word of a topic, of fewer users is not given.
        seed: The same seed gives the same topics.
    """
    if len(texts) < FEWEST_TEXTS:
        return None
    groups, silhouette = group_vectors(embeddings, seed=seed)
    words = [words_of(text) for text in texts]
    named = typical_words(words, users, groups, min_users=min_users)
    with_word = Counter(word for text in words for word in set(text))
    topics, hidden = [], 0
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        people = {users[place] for place in members.tolist()} - {None}
        typical = named[int(group)]
        if len(people) < min_users or not typical:
            hidden += 1
            continue
        topics.append(Topic(typical, len(members), len(people), with_word[typical[0]]))
    topics.sort(key=lambda topic: (-topic.texts, topic.words))
    everybody = len(set(users) - {None})
    return Topics(tuple(topics), len(texts), everybody, hidden, silhouette)


def words_of(text: str) -> list[str]:
    """Words of three letters or more, in lower case; without numbers and markers.

    >>> words_of("Where is my 2nd ORDER? Mail <email>")
    ['where', 'order', 'mail']
    """
    return [match[1] for match in _WORD.finditer(text.casefold()) if match[1]]


def group_vectors(embeddings: Floats, *, seed: int = 0) -> tuple[Integers, float]:
    """The group of each vector, int64 [n], and the mean silhouette.

    Args:
        embeddings: Unit vectors, float32 [n, dimension].
        seed: Seed of the centres and of the texts compared.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(embeddings, axis=0))
    compared = np.random.default_rng(seed).permutation(len(embeddings))[:MOST_COMPARED]
    tried: list[tuple[float, Integers]] = []
    with threadpool_limits(1):  # one order of summation, so that the groups are reproducible
        for count in COUNTS_TRIED:
            if count >= distinct:
                break
            fitted = MiniBatchKMeans(count, n_init=3, batch_size=1024, random_state=seed)
            groups = fitted.fit_predict(embeddings).astype(np.int64)
            if len(np.unique(groups[compared])) > 1:
                score = float(silhouette_score(embeddings[compared], groups[compared]))
                tried.append((score, groups))
    if not tried:
        return np.zeros(len(embeddings), dtype=np.int64), 0.0
    best = max(score for score, _ in tried)  # below 0 where texts are between the groups
    enough = best - (1 - NEARLY_BEST) * abs(best)
    score, groups = [(score, groups) for score, groups in tried if score >= enough][-1]
    return groups, score


def typical_words(
    words: Sequence[Sequence[str]],
    users: Sequence[str | None],
    groups: npt.NDArray[np.int64],
    *,
    min_users: int,
) -> dict[int, tuple[str, ...]]:
    """The most typical words of each group, by class-based TF-IDF; English stop words have none.

    Args:
        words: Words of each text.
        users: Who wrote each text; None counts as nobody.
        groups: Group of each text.
        min_users: A word that fewer users have used in the group is left out.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts: dict[int, Counter[str]] = defaultdict(Counter)
    writers: dict[tuple[int, str], set[str]] = defaultdict(set)
    for text, user, group in zip(words, users, groups.tolist(), strict=True):
        kept = [word for word in text if word not in ENGLISH_STOP_WORDS]
        counts[group].update(kept)
        if user is not None:
            for word in set(kept):
                writers[group, word].add(user)
    overall = sum(counts.values(), Counter())
    average = sum(overall.values()) / max(len(counts), 1)
    typical = {}
    for group in set(groups.tolist()):
        total = sum(counts[group].values())
        weights = {
            word: count / total * np.log(1 + average / overall[word])
            for word, count in counts[group].items()
            if len(writers[group, word]) >= min_users
        }
        ranked = sorted(weights, key=lambda word: (-weights[word], word))
        typical[group] = tuple(ranked[:WORDS_A_TOPIC])
    return typical
