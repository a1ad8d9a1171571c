"""Next items on Spark: what a user's history is, who gets items, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Audience, Settings, validate_settings
from behavior_spark.errors import ConfigError
from behavior_spark.features.altered import alter_rows
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.features.item_histories import item_histories, item_words
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.user_vectors import UserVectors
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.leakage import assert_no_leakage
from behavior_spark.pipelines.users.next_items import NextItems, predict_items_stage
from behavior_spark.pipelines.users.user_vectors import user_vectors
from behavior_spark.pipelines.uses.audience_items import recommend_items
from behavior_spark.pipelines.uses.audiences import AudiencesChosen, audiences_stage
from behavior_spark.prediction.user_vectors import UserVectorRecipe
from behavior_spark.runs.run import running
from behavior_spark.schemas import (
    AUDIENCE_MEMBERS,
    EVENTS,
    ITEMS,
    USER_FEATURES,
    USER_NEXT_ITEMS,
    USER_PROPENSITY,
)

AS_OF = dt.date(2026, 3, 1)
START = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
EVENT = (
    "event_id string, user_id string, event_time timestamp, event_type string, item_id string, "
    "value decimal(18,4), arrived_at timestamp"
)
FOLLOWS = {"mug": "tea", "tea": "pot", "pot": "mug"}


def settings_in(folder: Path, **sequence: Any) -> Settings:
    columns = {
        "event_id": "id", "user_id": "who", "event_time": "at", "event_type": "what",
        "item_id": "item",
    }  # fmt: skip
    source = {"path": str(folder / "events"), "format": "json", "columns": columns}
    small = {
        "epochs": 30,
        "width": 16,
        "dropout": 0.1,
        "min_item_events": 1,
        "next_items": 3,
        **sequence,
    }
    return validate_settings(
        {
            "warehouse": str(folder / "w"),
            "sources": {
                "events": source,
                "items": {**source, "columns": {"item_id": "id", "title": "t"}},
            },
            "features": {"event_types": ["view"]},
            "targets": {"looks": {"event": "event_type = 'view'"}},
            "sequence": small,
        }
    )


def event(name: str, user: str, hour: int, item: str | None, **changes: Any) -> tuple[Any, ...]:
    time = START + dt.timedelta(hours=hour)
    row = {"type": "view", "value": None, "arrived": time, **changes}
    return (name, user, time, row["type"], item, row["value"], row["arrived"])


def log_events() -> list[tuple[Any, ...]]:
    """A mug is followed by a tea, a tea by a pot, a pot by a mug; 4 of each kind."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(240):
        kind = str(random.choice(list(FOLLOWS)))
        for step in range(6):
            item = f"{kind} {random.integers(4)}"
            rows.append(event(f"{user}-{step}", f"u{user}", step, item))
            kind = FOLLOWS[kind]
    late = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    return [
        *rows,
        event("a1", "ann", 5, "mug 1"),
        event("a2", "ann", 9, "pot 1"),
        event("a2", "ann", 9, "tea 2", arrived=START + dt.timedelta(hours=30)),  # corrected
        event("a3", "ann", 10, None),
        event("a4", "ann", 11, "pot 3", type="refund"),
        event("a5", "ann", 12, "mug 3", arrived=late),
        event("n1", "new", 3, "saw 1"),  # an item of one event, not known
    ]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> tuple[Settings, Prepared]:
    """Tables of the shop, and features of its users but two; one of them a machine."""
    settings = settings_in(tmp_path_factory.mktemp("next"), event_types=["view"], min_item_events=2)
    warehouse = Warehouse(spark, settings.warehouse)
    names = [f"{kind} {number}" for kind in FOLLOWS for number in range(5)]  # number 4: no event
    items = [(name, f"The {name.split()[0].title()}", "kitchen", START) for name in names]
    items.append(("mug 0", "later title", "kitchen", dt.datetime(2027, 1, 1, tzinfo=dt.UTC)))
    catalogue = spark.createDataFrame(
        items, "item_id string, title string, category string, valid_from timestamp"
    )
    warehouse.append(catalogue, ITEMS)
    users = [(f"u{user}", AS_OF, user == 7) for user in range(240)]
    users += [("ann", AS_OF, False), ("new", AS_OF, False), ("away", AS_OF, False)]
    features = spark.createDataFrame(users, "user_id string, as_of date, is_bot boolean")
    warehouse.replace(
        features,
        USER_FEATURES.with_columns([features.schema["is_bot"]]),
        where=f"as_of = DATE'{AS_OF}'",
    )
    events = spark.createDataFrame(log_events(), EVENT).coalesce(1)
    inputs = Inputs(events=events, items=warehouse.read(ITEMS))
    return settings, Prepared(inputs, feature_set=None)  # type: ignore[arg-type]


def stage(spark: SparkSession, settings: Settings, prepared: Prepared, **asked: Any) -> NextItems:
    with running(
        "next", settings, as_of=AS_OF, spark=spark, console=Console(quiet=True), record=False
    ) as run:
        run.declared = ("predict-items",)
        return predict_items_stage(run, prepared, retrain=asked.get("retrain", False))


def test_next_items_are_those_that_follow_with_the_event_that_speaks_for_them(
    spark: SparkSession, shop: tuple[Settings, Prepared]
) -> None:
    settings, prepared = shop
    first = stage(spark, settings, prepared)
    again = stage(spark, settings, prepared)
    assert again == first, "a valid model is used again, and gives the same"
    figures = first.figures
    assert figures["next_items_model_recall_10"] >= figures["next_items_popularity_recall_10"]
    table = Warehouse(spark, settings.warehouse).read(USER_NEXT_ITEMS)
    rows = {(r["user_id"], r["rank"]): r for r in table.collect()}
    assert len(rows) == first.rows == 3 * 241, "users without a known item have none"
    assert {user for user, _ in rows} == {"ann", *(f"u{user}" for user in range(240))}
    kinds = [rows["ann", rank]["item_id"].split()[0] for rank in (1, 2, 3)]
    assert kinds == ["pot"] * 3, "the corrected event counts; neither a refund nor what came late"
    assert rows["ann", 1]["reason"] == "after tea 2 seen last"
    assert rows["ann", 1]["influence"] > 0
    history = {f"u{user}": set() for user in range(240)}
    for _, user, _, _, item, *_ in log_events()[: 240 * 6]:
        history[user].add(item)
    for (user, rank), row in rows.items():
        assert row["item_id"] not in history.get(user, set()), "seen items are left out"
        assert row["model_digest"] == first.digest
        if rank > 1:
            assert row["score"] <= rows[user, rank - 1]["score"]
    offered = {row["item_id"] for row in rows.values()}
    assert any(item.endswith("4") for item in offered), "items without an event have words"


def test_without_its_section_nothing_is_predicted(
    spark: SparkSession, shop: tuple[Settings, Prepared]
) -> None:
    settings, prepared = shop
    with pytest.raises(ConfigError, match="next items are not asked for"):
        stage(spark, settings.model_copy(update={"sequence": None}), prepared)


def test_histories_hold_the_newest_events_in_order_and_words_the_titles_of_the_day(
    spark: SparkSession, shop: tuple[Settings, Prepared]
) -> None:
    _, prepared = shop
    events: DataFrame = prepared.inputs.events.where("user_id IN ('ann', 'u0')")
    asked = item_histories(events, AS_OF, event_types=[], days=365, newest=3)
    rows = {row["user_id"]: row for row in asked.collect()}
    assert rows["ann"]["items"] == ["mug 1", "tea 2", "pot 3"]
    assert rows["ann"]["event_types"] == ["view", "view", "refund"]
    assert rows["ann"]["event_times"] == sorted(rows["ann"]["event_times"])
    assert rows["ann"]["values"] == [None, None, None]
    assert len(rows["u0"]["items"]) == 3
    assert prepared.inputs.items is not None
    words = {r["item_id"]: r["words"] for r in item_words(prepared.inputs.items, AS_OF).collect()}
    assert words["mug 0"] == ["category: kitchen", "mug", "the"]


def choose(spark: SparkSession, settings: Settings) -> AudiencesChosen:
    with running(
        "choose", settings, as_of=AS_OF, spark=spark, console=Console(quiet=True), record=False
    ) as run:
        run.declared = ("audiences",)
        return audiences_stage(run)


def test_members_of_an_audience_get_the_nights_next_items_and_no_other_nights(
    spark: SparkSession, shop: tuple[Settings, Prepared]
) -> None:
    settings, prepared = shop
    stage(spark, settings, prepared)
    warehouse = Warehouse(spark, settings.warehouse)
    warehouse.append(
        prepared.inputs.events.withColumn("arrived_day", F.to_date("arrived_at")), EVENTS
    )
    table = warehouse.read(USER_NEXT_ITEMS)
    tonight = table.where(F.col("as_of") == F.lit(AS_OF))
    other = tonight.withColumns({"as_of": F.date_add("as_of", 1), "item_id": F.lit("saw 1")})
    warehouse.replace(
        other.unionByName(other.limit(1).withColumn("user_id", F.lit("new"))),
        USER_NEXT_ITEMS,
        where=f"as_of > DATE'{AS_OF}'",
    )
    found = {row["user_id"]: [] for row in tonight.select("user_id").distinct().collect()}
    for row in tonight.orderBy("user_id", "rank").collect():
        found[row["user_id"]].append(row["item_id"])
    offers = {
        "fresh": Audience(target="looks", top=9, items=4),
        "again": Audience(target="looks", top=9, items=2, items_again=True),
    }
    users = ["ann", "new", "away", "u0"]
    pairs = [(name, user) for name in offers for user in users]
    members = spark.createDataFrame(pairs, "audience string, user_id string")

    def ask(changed: Settings) -> DataFrame:
        with running(
            "ask", changed, as_of=AS_OF, spark=spark, console=Console(quiet=True), record=False
        ) as run:
            return recommend_items(run, members, offers, users=243).localCheckpoint()

    items = ask(settings)
    rows = {(r["audience"], r["user_id"]): r for r in items.collect()}
    # What makes an item his is said in `recommendations`: here any event, a refund too.
    next_of = {"ann": [item for item in found["ann"] if item != "pot 3"], "u0": found["u0"]}
    assert len(next_of["ann"]) == 2
    for user, first in next_of.items():
        ids = [item["item_id"] for item in rows["fresh", user]["recommended_items"]]
        assert ids[: len(first)] == first, "in the model's order"
        sources = rows["fresh", user]["item_sources"]
        assert sources[: len(first)] == ["next"] * len(first)
        assert "next" not in sources[len(first) :] and len(ids) == 4, "the list is filled up"
        # The model leaves out what he has: an audience that wants it again is not asked of it.
        assert "next" not in rows["again", user]["item_sources"]
    assert rows["fresh", "ann"]["recommended_items"][0]["because_of"] == "tea 2"
    for user in ("new", "away"):
        assert set(rows["fresh", user]["item_sources"]) == {"popular"}, "nothing of another night"
    off = settings.model_copy(
        update={"recommendations": settings.recommendations.model_copy(
            update={"next_items": False})}
    )  # fmt: skip
    assert not any("next" in row["item_sources"] for row in ask(off).collect())
    # The stage writes the same, and counts it.
    predictions = [
        {"user_id": user, "as_of": AS_OF, "target": "looks", "score": float(place),
         "probability": 0.1 * place, "decile": place, "model_digest": "m",
         "valid_until": AS_OF + dt.timedelta(days=30),
         "nearest_change": {"feature": "clicks", "value": 1.0, "changed": 2.0, "score": 5.0,
                            "predicted": 0.5, "decile": 1, "text": f"if {user} clicked twice"}}
        for place, user in enumerate(users, start=1)
    ]  # fmt: skip
    predicted = warehouse.frame(USER_PROPENSITY, predictions)
    warehouse.replace(predicted, USER_PROPENSITY, where=f"as_of = DATE'{AS_OF}'")
    chosen = choose(spark, settings.model_copy(update={"audiences": offers}))
    stored = {(r["audience"], r["user_id"]): r for r in warehouse.read(AUDIENCE_MEMBERS).collect()}
    assert stored.keys() == set(pairs)
    for (_, user), row in stored.items():
        assert row["nearest_change"]["text"] == f"if {user} clicked twice"
    for written, asked in (("items", "recommended_items"), ("item_sources", "item_sources")):
        expected = {pair: row[asked] for pair, row in rows.items()}
        assert {pair: row[written] for pair, row in stored.items()} == expected
    counts = {name: chosen.figures[f"audience_{name}_members_next_items"] for name in offers}
    assert counts == {"fresh": 2, "again": 0}
    for name in offers:
        sources = [how for pair in pairs if pair[0] == name for how in rows[pair]["item_sources"]]
        for how in ("next", "together", "popular"):
            assert chosen.figures[f"audience_{name}_items_{how}"] == sources.count(how)


# The night of March 1 learns from February 22 on, as its target's week must have passed.
LEARNED, EARLIER = dt.date(2026, 2, 22), dt.date(2026, 2, 21)


def with_vectors(settings: Settings, folder: Path) -> Settings:
    """The shop with features of three dimensions, whose models are kept in a folder."""
    vector = {"dimensions": 3, "width": 8, "epochs": 2, "min_item_events": 1, "days": 60}
    plain = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["features"] |= {"groups": ["activity", "user_vector"], "user_vector": vector}
    plain["targets"]["looks"] |= {"horizon_days": 7}
    return validate_settings(plain | {"models": str(folder)})


def source_of(
    spark: SparkSession, settings: Settings, events: DataFrame, items: DataFrame | None,
    *, train: bool = True,
) -> UserVectorRecipe | None:  # fmt: skip
    with running(
        "ask", settings, as_of=AS_OF, spark=spark, console=Console(quiet=True), record=False
    ) as run:
        return user_vectors(run, events, items, train=train)


def test_user_vectors_know_nothing_of_what_followed(
    spark: SparkSession, shop: tuple[Settings, Prepared], tmp_path: Path
) -> None:
    settings = with_vectors(shop[0], tmp_path / "models")
    events, items = shop[1].inputs.events, shop[1].inputs.items
    assert source_of(spark, settings, events, items, train=False) is None, "none is trained yet"
    source = source_of(spark, settings, events, items)
    assert source is not None
    assert source.trained_through == LEARNED, "the first day that tonight's models learn from"
    assert source_of(spark, settings, events, items, train=False) == source
    # Another future gives the same model: it has not seen what followed its day.
    elsewhere = with_vectors(shop[0], tmp_path / "elsewhere")
    other = alter_rows(events, LEARNED, key="event_id", time="event_time")
    changed = source_of(spark, elsewhere, other, items)
    assert changed is not None and changed.digest == source.digest

    features = FeatureSet.make(
        settings.features, settings.targets, offer=Offer(user_vector=source.dimensions)
    )
    names = [f"user_vector_{place}" for place in (1, 2, 3)]
    assert [feature.name for feature in features.features][-3:] == names
    inputs = Inputs(events=events, user_vectors=source)
    days = [EARLIER, LEARNED, AS_OF]
    rows = {
        (r["as_of"], r["user_id"]): [r[name] for name in names]
        for r in features.build(inputs, days).select("user_id", "as_of", *names).collect()
    }
    nothing = [None] * 3
    assert {tuple(row) for (day, _), row in rows.items() if day == EARLIER} == {tuple(nothing)}
    model = SequenceModel.load(Path(source.folder) / source.digest)
    for day in (LEARNED, AS_OF):
        asked = item_histories(events, day, event_types=[], days=60, newest=200).toArrow()
        expected = UserVectors.of(model).vectors(
            model.vocabulary.histories(asked.combine_chunks().to_batches()[0])
        )
        for user, vector in zip(asked.column("user_id").to_pylist(), expected, strict=True):
            known = vector.tolist() if np.isfinite(vector).all() else nothing
            assert rows[day, user] == known, "to the bit"
    assert rows[AS_OF, "ann"] != nothing
    assert_no_leakage(lambda tables: features.build(tables, [AS_OF]), inputs, AS_OF)
