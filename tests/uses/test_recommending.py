"""Items that are recommended: what goes together, then what is popular, and nothing had twice."""

from __future__ import annotations

import datetime as dt

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.uses.audiences.foretold import first_foretold, foretold, with_how
from behavior_spark.uses.audiences.recommending import (
    ANYTHING,
    EVERYTHING,
    SHRINKAGE,
    baskets,
    listed,
    recommended,
    similar_items,
)

# Tea and cups go together, and so do nails and hammers; everybody has soap.
BASKETS = {
    **{f"tea{n}": ["tea", "cup", "soap"] for n in range(6)},
    **{f"pot{n}": ["tea", "pot", "cup"] for n in range(3)},
    **{f"nail{n}": ["nail", "hammer", "soap"] for n in range(5)},
    "odd": ["nail", "globe"],  # nobody else has a globe
    "ann": ["tea"],
    "bob": ["hammer", "soap"],
    "cy": ["cup", "tea", "pot", "soap", "nail", "hammer", "globe"],
}
WANTED = [
    ("new", "nobody", 3, False), ("new", "ann", 3, False), ("new", "bob", 2, False),
    ("new", "cy", 3, False), ("again", "ann", 3, True), ("shelf", "ann", 5, False),
    ("shelf", "nobody", 5, False),
]  # fmt: skip
SHELF = ("nail", "pot", "soap")


@pytest.fixture(scope="module")
def had(spark: SparkSession) -> DataFrame:
    now = dt.datetime(2024, 5, 1)
    rows = [
        (user, item, now + dt.timedelta(minutes=place * 10 - repeat))
        for user, items in BASKETS.items()
        for place, item in enumerate(items)
        for repeat in range(2)
    ]
    rows += [(None, "tea", now), ("ann", None, now), ("ann", "", now)]
    return baskets(
        spark.createDataFrame(rows, "user_id string, item_id string, event_time timestamp")
    )


def allowed_items(spark: SparkSession) -> DataFrame:
    names = {item for items in BASKETS.values() for item in items}
    allowed = [(item, EVERYTHING) for item in names] + [(item, "some") for item in SHELF]
    return spark.createDataFrame(allowed, "item_id string, shelf string")


def wanted_items(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(
        [(*row, "some" if row[0] == "shelf" else EVERYTHING) for row in WANTED],
        "audience string, user_id string, items int, again boolean, shelf string",
    )


def lists(spark: SparkSession, had: DataFrame, **limits: int) -> dict[tuple[str, str], list]:
    latest = limits.get("latest", 50)
    similar = similar_items(
        had, latest=latest, popular=limits.get("popular", 15), allowed=allowed_items(spark)
    )
    titles = spark.createDataFrame([("tea", "Tea, =1+1")], "item_id string, title string")
    chosen = recommended(wanted_items(spark), had, similar, latest=latest)
    frame = listed(with_how(chosen), titles)
    return {(r["audience"], r["user_id"]): r["recommended_items"] for r in frame.collect()}


@pytest.fixture(scope="module")
def found(spark: SparkSession, had: DataFrame) -> dict[tuple[str, str], list]:
    return lists(spark, had)


def ids(items: list) -> list[str]:
    return [item["item_id"] for item in items]


def test_a_basket_has_each_item_once_the_latest_first(had: DataFrame) -> None:
    stored = {row["user_id"]: row["had"] for row in had.collect()}
    assert stored == {user: items[::-1] for user, items in BASKETS.items()}


def test_what_goes_with_the_users_items_comes_first_with_its_cause(found) -> None:
    assert ids(found["new", "ann"])[0] == "cup"
    assert found["new", "ann"][0]["because_of"] == "tea"
    # 10 users have tea and cup, 11 have tea, 10 a cup: cosine, shrunk.
    score = 10 / (11 * 10) ** 0.5 * 10 / (10 + SHRINKAGE)
    assert found["new", "ann"][0]["score"] == pytest.approx(score, abs=1e-6)
    assert ids(found["new", "bob"])[0] == "nail"


def test_a_user_without_items_gets_what_is_popular(found) -> None:
    assert ids(found["new", "nobody"]) == ["soap", "tea", "cup"]
    assert all(item["score"] is None and item["because_of"] is None
               for item in found["new", "nobody"])  # fmt: skip
    assert [item["title"] for item in found["new", "nobody"]] == [None, "Tea, =1+1", None]


def test_nothing_that_was_had_is_recommended_unless_asked_for(found) -> None:
    for (name, user), items in found.items():
        assert len(set(ids(items))) == len(items)
        if name != "again":
            assert not set(ids(items)) & set(BASKETS.get(user, []))
    assert ("new", "cy") not in found  # who has had everything
    assert ids(found["again", "ann"])[0] == "tea"


def test_only_allowed_items_are_recommended(found) -> None:
    assert set(ids(found["shelf", "ann"])) == set(SHELF)
    assert ids(found["shelf", "ann"])[:2] == ["soap", "pot"]
    assert [item["because_of"] for item in found["shelf", "ann"]] == ["tea", "tea", None]
    assert ids(found["shelf", "nobody"]) == ["soap", "nail", "pot"]


def test_an_item_that_fell_out_of_the_latest_is_still_not_recommended(
    spark: SparkSession, had: DataFrame
) -> None:
    short = lists(spark, had, latest=1)
    assert ("new", "cy") not in short or not set(ids(short["new", "cy"])) & set(BASKETS["cy"])
    assert not set(ids(short["new", "bob"])) & set(BASKETS["bob"])


def test_one_user_makes_no_pair(spark: SparkSession, had: DataFrame) -> None:
    pairs = {
        (r["item_id"], r["other"]): r["similarity"]
        for r in similar_items(had, latest=50, popular=99).collect()
    }
    assert ("odd", "globe") not in pairs
    assert ("globe", "pot") not in pairs  # only cy has both
    assert pairs["tea", "cup"] == pairs["cup", "tea"]
    assert pairs["tea", "tea"] == 1
    assert pairs[ANYTHING, "soap"] == 13


NEXT_ITEMS = [
    ("ann", 1, "globe", 9.0, "tea"), ("ann", 2, "tea", 8.0, None), ("ann", 3, "cup", 7.0, None),
    ("ann", 4, "nail", 6.0, "tea"), ("ann", 5, "hammer", 5.0, "tea"), ("bob", 1, "nail", 1.0, None),
    ("away", 1, "tea", 1.0, None),
]  # fmt: skip


def test_foretold_items_come_first_then_what_goes_together_then_what_is_popular(
    spark: SparkSession, had: DataFrame
) -> None:
    wanted = wanted_items(spark)
    next_items = spark.createDataFrame(
        NEXT_ITEMS, "user_id string, rank int, item_id string, score float, reason_item_id string"
    )
    similar = similar_items(had, latest=50, popular=15, allowed=allowed_items(spark))
    together = recommended(wanted, had, similar, latest=50)
    model = foretold(wanted, next_items, had, allowed=allowed_items(spark))
    most = F.when(F.col("audience") == "new", 3).when(F.col("audience") == "again", 3).otherwise(5)
    frame = listed(first_foretold(model, together, most=most), None)
    rows = {(r["audience"], r["user_id"]): r for r in frame.collect()}

    def both(*key: str) -> list[tuple[str, str]]:
        return list(zip(ids(rows[key]["recommended_items"]), rows[key]["item_sources"],
                        strict=True))  # fmt: skip

    assert both("new", "ann") == [("globe", "next"), ("cup", "next"), ("nail", "next")]
    first = rows["new", "ann"]["recommended_items"][0]
    assert (first["because_of"], first["score"]) == ("tea", 9.0)
    # Tea may come again where the audience says so.
    assert both("again", "ann") == [("globe", "next"), ("tea", "next"), ("cup", "next")]
    # One foretold item is on the shelf; the rest of the list goes together, or is popular.
    assert both("shelf", "ann") == [("nail", "next"), ("soap", "together"), ("pot", "together")]
    # A user without next items has what he would have had; nobody else gets a list.
    assert {how for _, how in both("shelf", "nobody")} == {"popular"}
    assert both("new", "bob")[0] == ("nail", "next")
    assert rows.keys() <= {(audience, user) for audience, user, *_ in WANTED}
