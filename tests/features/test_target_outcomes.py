"""What a kind of target makes of events, as far as it needs no Spark job."""

from __future__ import annotations

from behavior_spark.config import Target
from behavior_spark.features.targets import labels_otherwise, past_column, with_own_history

BOUGHT = "event_type = 'purchase'"
FEATURES = [
    "purchase_count_30d", "purchase_count_90d", "purchase_count_all", "purchase_value_90d",
    "bags_count_30d", "bags_count_90d", "event_count_90d",
]  # fmt: skip


def of_kind(kind: str, event: str = BOUGHT, item: str | None = None) -> Target:
    return Target(kind=kind, event=event, item=item)


def test_a_user_without_events_did_not_do_it_and_spent_nothing() -> None:
    targets = {kind: of_kind(kind) for kind in ("does", "does_not", "count", "amount")}
    assert labels_otherwise(targets) == {
        "label_does": 0, "label_does_not": 1, "label_count": 0, "label_amount": 0.0,
    }  # fmt: skip


def test_what_does_not_happen_has_no_history_under_its_name() -> None:
    event = "value > 5"
    targets = {kind: of_kind(kind, event) for kind in ("does", "does_not", "count", "amount")}
    assert with_own_history(targets, ["purchase"]) == ["does", "count", "amount"]
    bare = {kind: of_kind(kind) for kind in ("does", "count", "amount")}
    assert with_own_history(bare, ["purchase"]) == []


def test_the_own_past_is_that_of_the_target_or_of_its_event_type_over_the_longest_window() -> None:
    assert past_column("orders", of_kind("count"), FEATURES) == "purchase_count_90d"
    assert past_column("spend", of_kind("amount"), FEATURES) == "purchase_value_90d"
    bags = of_kind("amount", item="title LIKE '%BAG%'")  # whose values no feature sums
    assert past_column("bags", bags, FEATURES) == "bags_count_90d"
    assert past_column("other", of_kind("count", "value > 5"), FEATURES) is None
