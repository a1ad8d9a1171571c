"""Pairs of texts of one session, blind to what came later."""

import datetime as dt

from behavior_spark.features.text_pairs import text_pairs
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS
from tests.features.frames import table

AS_OF = dt.date(2026, 3, 1)


def at(day, hour=0):
    return dt.datetime(2026, 2, day, hour, tzinfo=dt.UTC)


def event(number, user, day, *, item=None, text=None, session=None, kind="purchase", known=None):
    return {
        "event_id": f"e{number}", "user_id": user, "event_time": at(day), "event_type": kind,
        "item_id": item, "text_id": text, "session_id": session,
        "arrived_at": known or at(day),
    }  # fmt: skip


EARLY = at(1)


def item(name, title, known=EARLY):
    return {"item_id": name, "title": title, "valid_from": known}


def text(name, content, known=EARLY):
    return {"text_id": name, "user_id": "u", "text_time": known, "text": content,
            "text_hash": content, "arrived_at": known}  # fmt: skip


def pairs(spark, events, items, texts=(), **options):
    frame = text_pairs(
        table(spark, EVENTS, events),
        table(spark, ITEMS, items),
        table(spark, TEXTS, texts) if texts else None,
        as_of=AS_OF,
        **options,
    )
    return sorted((row["left"], row["right"]) for row in frame.collect())


def test_texts_of_one_session_pair_up_and_those_of_two_do_not(spark):
    events = [
        event(1, "u", 3, item="a", session="s"), event(2, "u", 4, item="b", session="s"),
        event(3, "u", 4, item="c"), event(4, "u", 4, text="t"),
        event(5, "v", 4, item="d"), event(6, "v", 5, item="e"),
    ]  # fmt: skip
    items = [item(name, f"title {name}") for name in "abcde"]
    found = pairs(spark, events, items, [text("t", "a search")])
    assert found == [("a search", "title c"), ("title a", "title b")]


def test_a_large_session_gives_one_pair_less_than_texts_and_every_text_is_in_one(spark):
    events = [event(n, "u", 3, item=f"i{n}", session="s") for n in range(40)]
    found = pairs(spark, events, [item(f"i{n}", f"title {n}") for n in range(40)])
    assert len(found) == 39 and len({name for pair in found for name in pair}) == 40


def test_nothing_later_than_the_night_moves_a_pair(spark):
    events = [event(1, "u", 3, item="a"), event(2, "u", 3, item="b"), event(3, "w", 3, item="a")]
    items = [item("a", "old title"), item("b", "title b"), item("c", "title c")]
    before = pairs(spark, events, items)
    late = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    events += [event(4, "u", 3, item="c", known=late), event(1, "u", 3, item="c", known=late)]
    assert before == [("old title", "title b")]
    assert pairs(spark, events, [*items, item("a", "new title", late)]) == before


def test_only_events_of_the_types_asked_for_and_different_texts_count(spark):
    events = [
        event(1, "u", 3, item="a"), event(2, "u", 3, item="b", kind="view"),
        event(3, "u", 3, item="same"), event(4, "u", 3, item="a"),
    ]  # fmt: skip
    items = [item("a", "title a"), item("b", "title b"), item("same", "title a")]
    assert pairs(spark, events, items, event_types=["purchase"]) == []
    assert pairs(spark, events, items) == [("title a", "title b")]
