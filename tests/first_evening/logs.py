"""Six small logs of one made-up shop, each in the shape of a tool's export.

A user comes on some days, looks at items, sometimes puts one into the cart and buys it; who came
lately comes again. Each writer says what it wrote: rows, copies of rows, and rows that no reading
can save.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

FIRST, DAYS = dt.datetime(2024, 3, 1), 120
LAST_DAY = dt.date(2024, 6, 28)
USERS = 150


@dataclass(frozen=True)
class Event:
    """What a user did."""

    user: str
    time: dt.datetime
    kind: str
    item: str | None = None
    worth: float | None = None


@dataclass(frozen=True)
class WrittenLog:
    """A log as it lies on the disk, and what a reader must make of it.

    Attributes:
        path: File.
        rows: Rows of the file.
        duplicates: Rows that are copies of others.
        refused: Rows without a usable time.
        kept: Events by the name that a config gives them, without copies and refused rows.
        buys: Name of the kind that is a purchase.
        worth: Value of all events together.
    """

    path: Path
    rows: int
    duplicates: int
    refused: int
    kept: dict[str, int]
    buys: str
    worth: float
    names: dict[str, str] = field(default_factory=dict)


def make_events(seed: int = 11) -> list[Event]:
    """Events of the shop in order of time; the last is in the evening of ``LAST_DAY``."""
    dice = random.Random(seed)
    events: list[Event] = []
    for number in range(USERS):
        user, day = f"u{number:03d}", dice.uniform(0, 40)
        pause, keen = dice.choice((4, 9, 25)), dice.uniform(0.1, 0.6)
        while day < DAYS:
            events += _visit(dice, user, FIRST + dt.timedelta(days=day), keen)
            day += dice.expovariate(1 / pause)
    end = dt.datetime.combine(LAST_DAY, dt.time(21, 30))
    events = [event for event in events if event.time < end]
    events.append(Event("u000", end, "view", "i01"))
    return sorted(events, key=lambda event: event.time)


def _visit(dice: random.Random, user: str, start: dt.datetime, keen: float) -> list[Event]:
    minute, items = dt.timedelta(minutes=1), [f"i{n:02d}" for n in range(1, 31)]
    start = start.replace(microsecond=0)
    events = [Event(user, start, dice.choice(("view", "search")), None)]
    item = dice.choice(items)
    events.append(Event(user, start + minute, "view", item))
    if dice.random() < keen:
        events.append(Event(user, start + 3 * minute, "cart", item))
        if dice.random() < 0.6:
            worth = round(dice.uniform(500, 250_000)) / 100
            events.append(Event(user, start + 5 * minute, "purchase", item, worth))
            if dice.random() < 0.1:
                events.append(Event(user, start + 9 * minute, "refund", item, worth))
    if dice.random() < 0.05:
        events.append(Event(user, start + 12 * minute, "contact"))
    if dice.random() < 0.3:
        events.append(Event(user, start + 13 * minute, "hint"))
    return events


def write_segment(folder: Path) -> WrittenLog:
    """Segment's calls as JSON lines; visitors have no user before their first purchase."""
    names = {"view": "Product Viewed", "search": "Products Searched", "cart": "Product Added",
             "purchase": "Order Completed", "refund": "Order Refunded",
             "contact": "Support Ticket Opened", "hint": "Tooltip Shown"}  # fmt: skip
    known: set[str] = set()
    rows = []
    for number, event in enumerate(make_events()):
        if event.kind == "purchase":
            known.add(event.user)
        money = event.kind in ("purchase", "refund")
        products = [{"product_id": event.item, "quantity": 1}] if money else None
        page = event.kind == "view" and event.item is None
        rows.append({
            "messageId": f"m-{number}", "anonymousId": f"a-{event.user}",
            "userId": event.user if event.user in known else None,
            "type": "page" if page else "track", "event": None if page else names[event.kind],
            "originalTimestamp": _iso(event.time), "timestamp": _iso(event.time),
            "receivedAt": _iso(event.time + dt.timedelta(seconds=2)),
            "context": {"library": {"name": "analytics.js", "version": "4.1"}, "ip": "10.0.0.1"},
            "properties": {"product_id": None if money else event.item, "products": products,
                           "revenue": event.worth, "currency": "EUR" if money else None},
        })  # fmt: skip
    slugs = {"Product Viewed": "product_viewed", "page": "page",
             "Products Searched": "products_searched", "Product Added": "product_added",
             "Order Completed": "order_completed", "Order Refunded": "order_refunded",
             "Support Ticket Opened": "support_ticket_opened",
             "Tooltip Shown": "tooltip_shown"}  # fmt: skip
    kinds = [slugs[row["event"] or "page"] for row in rows]  # type: ignore[index]
    broken = [{**rows[5], "messageId": f"b-{n}", "timestamp": "soon"} for n in range(4)]
    return _json_lines(folder / "segment.jsonl", rows, kinds, broken, buys="order_completed")


def write_nested(folder: Path) -> WrittenLog:
    """JSON lines with structs, and times in milliseconds since 1970."""
    names = {"view": "view_item", "search": "search", "cart": "add_to_cart",
             "purchase": "purchase", "refund": "refund", "contact": "chat_opened",
             "hint": "hint"}  # fmt: skip
    rows = [
        {
            "event": {"id": f"n{number}", "name": names[event.kind]},
            "user": {"id": event.user, "agent": "app/7"},
            "ts": int(event.time.replace(tzinfo=dt.UTC).timestamp() * 1000),
            "item": {"sku": event.item, "shelf": 3} if event.item else None,
            "order": {"total": event.worth, "currency": "USD"} if event.worth else None,
        }
        for number, event in enumerate(make_events(12))
    ]
    kinds = [row["event"]["name"] for row in rows]  # type: ignore[index]
    broken = [{**rows[3], "event": {"id": f"x{n}", "name": "search"}, "ts": None} for n in (1, 2)]
    return _json_lines(folder / "nested.jsonl", rows, kinds, broken, buys="purchase")


def write_ga4(folder: Path) -> WrittenLog:
    """GA4's export, flattened: microseconds, days as text, no user and no event id."""
    names = {"view": "view_item", "search": "search", "cart": "add_to_cart",
             "purchase": "purchase", "refund": "refund", "contact": "contact_support",
             "hint": "scroll"}  # fmt: skip
    events = make_events(13)
    frame = pd.DataFrame({
        "event_date": [f"{event.time:%Y%m%d}" for event in events],
        "event_timestamp": [int(e.time.replace(tzinfo=dt.UTC).timestamp()) * 10**6 for e in events],
        "event_name": [names[event.kind] for event in events],
        "user_pseudo_id": [f"{event.user}.17" for event in events],
        "user_id": pd.array([None] * len(events), dtype="string"),
        "ga_session_id": [int(event.time.timestamp()) // 86_400 for event in events],
        "item_id": [event.item for event in events],
        "purchase_revenue": [event.worth for event in events],
        "platform": "WEB",
    })  # fmt: skip
    frame = frame.drop_duplicates()
    path = folder / "ga4.parquet"
    copies = frame.sample(9, random_state=1)
    pd.concat([frame, copies]).to_parquet(path, index=False)
    return WrittenLog(path, len(frame) + 9, 9, 0, dict(frame["event_name"].value_counts()),
                      "purchase", float(frame["purchase_revenue"].sum()))  # fmt: skip


def write_posthog(folder: Path) -> WrittenLog:
    """PostHog's events as CSV, with properties as a JSON text."""
    names = {"view": "$pageview", "search": "search performed", "cart": "Added to Cart",
             "purchase": "Purchase Completed", "refund": "Purchase Refunded",
             "contact": "chat started", "hint": "$autocapture"}  # fmt: skip
    rows = [
        {
            "uuid": str(uuid.UUID(int=number + 10**30)), "event": names[event.kind],
            "distinct_id": event.user, "timestamp": f"{event.time:%Y-%m-%d %H:%M:%S}.000000+00:00",
            "properties": json.dumps({
                "$current_url": "https://shop.example/x", "$session_id": f"s{event.time:%Y%m%d}",
                **({"product_id": event.item} if event.item else {}),
                **({"revenue": event.worth} if event.worth else {}),
            }),
        }
        for number, event in enumerate(make_events(14))
    ]  # fmt: skip
    slugs = {"$pageview": "pageview", "search performed": "search_performed",
             "Added to Cart": "added_to_cart", "Purchase Completed": "purchase_completed",
             "Purchase Refunded": "purchase_refunded", "chat started": "chat_started",
             "$autocapture": "autocapture"}  # fmt: skip
    frame = pd.DataFrame(rows)
    worth = sum(json.loads(row["properties"]).get("revenue", 0) for row in rows)
    path = folder / "posthog.csv"
    pd.concat([frame, frame.head(6)]).to_csv(path, index=False)
    kept = frame["event"].map(slugs).value_counts()
    return WrittenLog(path, len(frame) + 6, 6, 0, dict(kept), "purchase_completed", worth)


def write_shop_export(folder: Path) -> WrittenLog:
    """A German shop's CSV: semicolons, decimal commas, days first, Windows' encoding."""
    names = {"view": "Artikel angesehen", "search": "Suche", "cart": "In den Warenkorb",
             "purchase": "Gekauft", "refund": "Zurückgegeben", "contact": "Beschwerde",
             "hint": "Gutschein gezeigt"}  # fmt: skip
    slugs = {"view": "artikel_angesehen", "search": "suche", "cart": "in_den_warenkorb",
             "purchase": "gekauft", "refund": "refund", "contact": "beschwerde",
             "hint": "gutschein_gezeigt"}  # fmt: skip
    events = make_events(15)
    lines = ["Belegnr;Kundennummer;Zeitpunkt;Vorgang;Artikelnummer;Betrag"]
    for number, event in enumerate(events):
        price = "" if event.worth is None else _german(event.worth)
        lines.append(f"{10_000 + number};{event.user};{event.time:%d.%m.%Y %H:%M:%S};"
                     f"{names[event.kind]};{event.item or ''};{price}")  # fmt: skip
    lines += [f"{90_000 + n};u001;heute;Suche;;" for n in range(3)]
    path = folder / "export.csv"
    path.write_bytes("\r\n".join(lines).encode("windows-1252"))
    kept = dict(pd.Series([slugs[event.kind] for event in events]).value_counts())
    worth = sum(event.worth or 0 for event in events)
    return WrittenLog(path, len(events) + 3, 0, 3, kept, "gekauft", worth)


def write_chinese(folder: Path) -> WrittenLog:
    """A Chinese shop's CSV: columns and kinds in Chinese, times as ``2024/03/01 10:00:00``."""
    names = {"view": "浏览商品", "search": "搜索", "cart": "加入购物车", "purchase": "购买",
             "refund": "申请退款", "contact": "联系客服", "hint": "弹窗"}  # fmt: skip
    slugs = {"view": "view", "search": "search", "cart": "add_to_cart", "purchase": "purchase",
             "refund": "refund", "contact": "message", "hint": "弹窗"}  # fmt: skip
    events = make_events(16)
    frame = pd.DataFrame({
        "日志ID": [f"c{number}" for number in range(len(events))],
        "用户ID": [event.user for event in events],
        "时间": [f"{event.time:%Y/%m/%d %H:%M:%S}" for event in events],
        "事件": [names[event.kind] for event in events],
        "商品编号": [event.item for event in events],
        "金额": [event.worth for event in events],
    })  # fmt: skip
    path = folder / "chinese.csv"
    pd.concat([frame, frame.tail(5)]).to_csv(path, index=False)
    kept = dict(pd.Series([slugs[event.kind] for event in events]).value_counts())
    worth = float(frame["金额"].sum())
    return WrittenLog(path, len(frame) + 5, 5, 0, kept, "purchase", worth)


LOGS: dict[str, Callable[[Path], WrittenLog]] = {
    "segment": write_segment, "ga4": write_ga4, "posthog": write_posthog, "nested": write_nested,
    "shop_export": write_shop_export, "chinese": write_chinese,
}  # fmt: skip


def _json_lines(
    path: Path, rows: list[dict[str, Any]], kinds: list[str], broken: list[Any], *, buys: str
) -> WrittenLog:
    copies = rows[10:17]
    lines = [json.dumps(row) for row in [*rows, *copies, *broken]]
    path.write_text("\n".join(lines), encoding="utf-8")
    worths = [(row.get("properties") or {}).get("revenue") or (row.get("order") or {}).get("total")
              for row in rows]  # fmt: skip
    return WrittenLog(path, len(lines), len(copies), len(broken),
                      dict(pd.Series(kinds).value_counts()), buys,
                      sum(worth or 0 for worth in worths))  # fmt: skip


def _iso(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.000Z"


def _german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


if __name__ == "__main__":
    place = Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{LOGS[sys.argv[1]](place).path}\n")
