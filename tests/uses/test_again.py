"""Items for audiences that allow what a member has had: his own past, newer events first."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict

import pytest
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.uses.audiences.again import (
    OWN_DECAY,
    OWN_WEIGHT,
    own_past,
    recommended_again,
)
from behavior_spark.uses.audiences.foretold import with_how
from behavior_spark.uses.audiences.recommending import (
    EVERYTHING,
    SHRINKAGE,
    baskets,
    listed,
    recommended,
    similar_items,
)

NOW = dt.datetime(2024, 5, 1)
# In order of time, the oldest first. Tea and cups go together; everybody has soap.
BOUGHT = {
    **{f"tea{n}": ["tea", "cup", "soap"] for n in range(6)},
    **{f"nail{n}": ["nail", "hammer", "soap"] for n in range(5)},
    "ann": ["globe", "tea", "tea", "tea"],  # nobody else has a globe
    "bob": ["soap", "hammer"],
}
WANTED = [
    ("all", "ann", 4, EVERYTHING), ("all", "bob", 2, EVERYTHING), ("all", "new", 2, EVERYTHING),
    ("shelf", "ann", 5, "some"),
]  # fmt: skip
SHELF = ("cup", "soap", "tea")


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    rows = [
        (f"{user}-{place}", user, item, NOW + dt.timedelta(minutes=place))
        for user, items in BOUGHT.items()
        for place, item in enumerate(items)
    ]
    rows += [("x", None, "tea", NOW), ("y", "ann", None, NOW), ("z", "ann", "", NOW)]
    return spark.createDataFrame(
        rows, "event_id string, user_id string, item_id string, event_time timestamp"
    )


def allowed_items(spark: SparkSession) -> DataFrame:
    names = {item for items in BOUGHT.values() for item in items}
    rows = [(item, EVERYTHING) for item in names] + [(item, "some") for item in SHELF]
    return spark.createDataFrame(rows, "item_id string, shelf string")


@pytest.fixture(scope="module")
def found(spark: SparkSession, events: DataFrame) -> dict[tuple[str, str], dict]:
    had, allowed = baskets(events), allowed_items(spark)
    similar = similar_items(had, latest=50, popular=15, allowed=allowed)
    wanted = spark.createDataFrame(
        WANTED, "audience string, user_id string, items int, shelf string"
    )
    chosen = recommended_again(
        wanted, had, own_past(events), similar, latest=50, allowed=allowed
    )
    frame = listed(with_how(chosen), None)
    return {(r["audience"], r["user_id"]): r.asDict(recursive=True) for r in frame.collect()}


def expected_own(items: list[str]) -> dict[str, float]:
    """Shares of decayed events, counted one by one."""
    weights: dict[str, float] = defaultdict(float)
    for age, item in enumerate(reversed(items)):
        weights[item] += OWN_DECAY**age
    return {item: weight / sum(weights.values()) for item, weight in weights.items()}


def test_the_own_past_is_the_share_of_events_newer_ones_counting_more(events: DataFrame) -> None:
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for row in own_past(events).collect():
        shares[row["user_id"]][row["item_id"]] = row["own"]
    assert shares.keys() == BOUGHT.keys()
    for user, items in BOUGHT.items():
        assert shares[user] == pytest.approx(expected_own(items), abs=1e-9)


def test_lists_mix_the_own_past_with_what_goes_together(found) -> None:
    users = Counter(item for items in BOUGHT.values() for item in set(items))
    both = Counter(
        (a, b) for items in BOUGHT.values() for a in set(items) for b in set(items) if a != b
    )

    def similarity(a: str, b: str) -> float:
        n = both[a, b]
        return n / (users[a] * users[b]) ** 0.5 * n / (n + SHRINKAGE) if n > 1 else 0.0

    own = expected_own(BOUGHT["ann"])
    near = {i: sum(similarity(a, i) for a in {"tea", "globe"} if a != i) for i in users}
    score = {
        i: OWN_WEIGHT * own.get(i, 0) + (1 - OWN_WEIGHT) * near[i] / sum(near.values())
        for i in users
    }
    best = sorted((i for i in users if score[i]), key=lambda i: -score[i])
    items = found["all", "ann"]["recommended_items"]
    assert [item["item_id"] for item in items] == best[:4]
    assert [item["score"] for item in items] == pytest.approx([score[i] for i in best[:4]])
    why = {item["item_id"]: item["because_of"] for item in items}
    assert why == {"tea": "tea", "globe": "globe", "cup": "tea", "soap": "tea"}
    how = dict(zip(why, found["all", "ann"]["item_sources"], strict=True))
    assert how == {"tea": "again", "globe": "again", "cup": "together", "soap": "together"}


def test_a_list_is_filled_with_what_is_popular_and_has_nothing_twice(found) -> None:
    assert [i["item_id"] for i in found["all", "new"]["recommended_items"]] == ["soap", "tea"]
    assert found["all", "new"]["item_sources"] == ["popular", "popular"]
    assert all(i["score"] is None for i in found["all", "new"]["recommended_items"])
    for (_, user), row in found.items():
        ids = [item["item_id"] for item in row["recommended_items"]]
        assert len(set(ids)) == len(ids), user
    assert len(found["all", "bob"]["recommended_items"]) == 2


def test_only_allowed_items_come_again(found) -> None:
    ids = {item["item_id"] for item in found["shelf", "ann"]["recommended_items"]}
    assert ids == set(SHELF)  # the globe that she has had is not on it


def test_who_buys_one_thing_often_gets_it_before_what_he_bought_once(
    spark: SparkSession, events: DataFrame, found
) -> None:
    had = baskets(events)
    similar = similar_items(had, latest=50, popular=15)
    wanted = spark.createDataFrame(
        [("all", "ann", 4, EVERYTHING, True)],
        "audience string, user_id string, items int, shelf string, again boolean",
    )
    before = {r["item_id"]: r["score"] for r in recommended(
        wanted, had, similar, latest=50).collect()}  # fmt: skip
    assert before["tea"] == before["globe"] == 1.0  # by similarity alone both are alike
    after = {item["item_id"]: item["score"] for item in found["all", "ann"]["recommended_items"]}
    assert after["tea"] > 2 * after["globe"]
