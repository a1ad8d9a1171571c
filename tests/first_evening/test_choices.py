"""What init chooses, by columns and a sample alone: no Spark."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from behavior_spark.pipelines.logs.starting.currencies import ask_of_currencies
from behavior_spark.pipelines.logs.starting.guesses import guess_leaves
from behavior_spark.pipelines.logs.starting.kinds import SeenKind, choose_kinds, type_expression
from behavior_spark.pipelines.logs.starting.leaves import Leaf, leaves_of
from behavior_spark.pipelines.logs.starting.mapping import ColumnMapping, map_users
from behavior_spark.pipelines.logs.starting.meanings import meaning_of
from behavior_spark.pipelines.logs.starting.numbers import read_as_number
from behavior_spark.pipelines.logs.starting.proposals import propose_targets
from behavior_spark.pipelines.logs.starting.shapes import recognise_shape
from behavior_spark.pipelines.logs.starting.times import read_as_time
from behavior_spark.schemas import EVENTS

TEXT, LONG, DOUBLE, TIME = StringType(), LongType(), DoubleType(), TimestampType()
ISO = "2024-06-29 10:00:00"


def struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


def chosen(schema: StructType, row: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
    """The shape's name, and the expression of each column."""
    leaves = leaves_of(schema, [row] * 30)
    shape = recognise_shape([leaf.key for leaf in leaves])
    found = guess_leaves(leaves, EVENTS, shape)
    return shape and shape.name, {name: leaf.expression for name, leaf in found.items()}


def test_snowplow_amplitude_rudderstack_and_ga4_are_known_by_their_columns() -> None:
    snowplow = struct(app_id=TEXT, collector_tstamp=TIME, derived_tstamp=TIME, load_tstamp=TIME,
                      event=TEXT, event_id=TEXT, user_id=TEXT, domain_userid=TEXT,
                      domain_sessionid=TEXT, event_name=TEXT, tr_total=DOUBLE)  # fmt: skip
    name, columns = chosen(snowplow, dict.fromkeys(snowplow.names))
    assert name == "Snowplow"
    assert columns == {
        "event_id": "event_id", "user_id": "user_id", "event_time": "derived_tstamp",
        "event_type": "event_name", "value": "tr_total", "session_id": "domain_sessionid",
        "anonymous_id": "domain_userid", "arrived_at": "load_tstamp",
    }  # fmt: skip

    amplitude = struct(user_id=TEXT, device_id=TEXT, event_type=TEXT, event_time=TEXT, uuid=TEXT,
                       session_id=LONG, server_received_time=TEXT,
                       event_properties=TEXT)  # fmt: skip
    name, columns = chosen(amplitude, {
        "user_id": "u", "device_id": "d", "event_type": "Buy", "event_time": ISO, "uuid": "x",
        "session_id": 17, "server_received_time": ISO,
        "event_properties": json.dumps({"product_id": "p1", "revenue": 3.5, "tags": ["a"]}),
    })  # fmt: skip
    assert name == "Amplitude"
    assert columns["event_type"] == "event_type" and columns["anonymous_id"] == "device_id"
    assert columns["value"] == "get_json_object(event_properties, '$.revenue')"
    assert columns["item_id"] == "get_json_object(event_properties, '$.product_id')"

    rudder = struct(anonymous_id=TEXT, user_id=TEXT, id=TEXT, event=TEXT, original_timestamp=TIME,
                    received_at=TIME, timestamp=TIME, rudder_id=TEXT)  # fmt: skip
    name, columns = chosen(rudder, dict.fromkeys(rudder.names))
    assert name == "RudderStack"
    assert (columns["event_id"], columns["event_time"]) == ("id", "`timestamp`")

    pair = struct(key=TEXT, value=struct(string_value=TEXT, int_value=LONG))
    nested = struct(
        event_date=TEXT, event_timestamp=LONG, event_name=TEXT, user_pseudo_id=TEXT, user_id=TEXT,
        event_params=ArrayType(pair), ecommerce=struct(purchase_revenue=DOUBLE),
        items=ArrayType(struct(item_id=TEXT, price=DOUBLE)),
    )  # fmt: skip
    number = {"string_value": None, "int_value": 17}
    name, columns = chosen(nested, {
        "event_date": "20240629", "event_timestamp": 1719655200000000, "event_name": "purchase",
        "user_pseudo_id": "1.2", "user_id": None,
        "event_params": [{"key": "ga_session_id", "value": number}],
        "ecommerce": {"purchase_revenue": 9.5}, "items": [{"item_id": "p", "price": 9.5}],
    })  # fmt: skip
    assert name == "GA4"
    assert columns["item_id"] == "get(items, 0).item_id"
    assert columns["value"] == "ecommerce.purchase_revenue"
    assert "event_id" not in columns  # it has none: one is made of the row


TIMES = [
    (LONG, [1719655200, 1719655201], "timestamp_seconds(x)"),
    (LONG, [1719655200123], "timestamp_millis(x)"),
    (LONG, [1719655200123456], "timestamp_micros(x)"),
    (LONG, [1719655200123456789], "timestamp_micros(x div 1000)"),
    (DOUBLE, [1719655200.5], "timestamp_seconds(try_cast(x AS decimal(20,6)))"),
    (TEXT, ["1719655200123"],
     "timestamp_millis(try_cast(try_cast(x AS decimal(38,0)) AS bigint))"),
    (TEXT, ["2024-06-29T10:00:00Z"], "x"),
    (TEXT, ["29.06.2024", "1.7.2024"], "try_to_timestamp(trim(x), 'd.M.y')"),
    (TEXT, ["06/29/2024 10:00"], "try_to_timestamp(trim(x), 'M/d/y H:mm')"),
    (TEXT, ["29/06/2024 10:00"], "try_to_timestamp(trim(x), 'd/M/y H:mm')"),
    (TEXT, ["2024年6月29日"], "try_to_timestamp(trim(x), 'y年M月d日')"),
    (LONG, [20240629], "try_to_timestamp(trim(cast(x AS string)), 'yyyyMMdd')"),
    (LONG, [17, 42], None),
    (TEXT, ["view", "buy"], None),
    (TEXT, ["2024-06-29"] * 30 + ["soon"], "x"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "expression"), TIMES)
def test_a_time_is_read_by_the_years_in_which_it_lies(
    kind: DataType, values: list[Any], expression: str | None
) -> None:
    reading = read_as_time(Leaf("x", ("x",), kind, tuple(values)))
    assert (reading and reading.expression) == expression


NUMBERS = [
    (["12.5", "-3"], "x"),
    (["12,50", "1.234,00"], "replace(replace(x, '.', ''), ',', '.')"),
    (["12,5", "3"], "replace(x, ',', '.')"),
    (["1,234.50", "12.00"], "replace(x, ',', '')"),
    (["€ 12,50", "€ 3,00"], "replace(regexp_replace(x, '[^0-9.,+-]', ''), ',', '.')"),
    (["¥88.00"], "regexp_replace(x, '[^0-9.,+-]', '')"),
    (["1 234,50 Ft", "12,00 Ft"], "replace(regexp_replace(x, '[^0-9.,+-]', ''), ',', '.')"),
    (["A-12", "B-13"], None),
    (["2024-06-29"], None),
]


@pytest.mark.parametrize(("values", "expression"), NUMBERS)
def test_a_number_is_read_as_its_country_writes_it(
    values: list[str], expression: str | None
) -> None:
    assert read_as_number(Leaf("x", ("x",), TEXT, tuple(values))) == expression


MEANT = {
    "purchase": "Order Completed|purchase|Compra realizada|Achat effectué|Kauf abgeschlossen|"
    "Acquisto completato|购买|購入|구매|Покупка|شراء|vásárlás",
    "cancel": "Order Cancelled|pedido cancelado|Kündigung|取消订单|キャンセル|Отмена заказа|إلغاء",
    "refund": "Order Refunded|Reembolso|Remboursement|Rückerstattung|rimborso|退款|返金|возврат",
    "sign_up": "Signed Up|registration_completed|Inscription|注册|회원가입|Регистрация|"
    "regisztráció",
    "add_to_cart": "Product Added|Añadir al carrito|Ajouté au panier|In den Warenkorb|加入购物车|"
    "カートに追加|장바구니 담기|Добавлено в корзину|kosárba|سلة",
    "search": "Products Searched|Buscar|Recherche|Suche|ricerca|搜索|検索|검색|Поиск|keresés|بحث",
    "view": "Product Viewed|$pageview|Cart Viewed|visto producto|Artikel angesehen|浏览|閲覧|조회",
    "login": "Logged In|User Login|Inicio de sesión|登录|ログイン|Вход|bejelentkezés",
    "payment": "payment_succeeded|Pago realizado|Paiement|bezahlt|支付成功|決済|Оплата|fizetés",
    "failure": "Payment Failed|pago rechazado|支付失败",
}


@pytest.mark.parametrize(("meaning", "names"), MEANT.items())
def test_a_kind_is_known_by_what_it_means_in_many_languages(meaning: str, names: str) -> None:
    understood = {name: meaning_of(name) for name in names.split("|")}
    wrong = {n: m and m.name for n, m in understood.items() if m is None or m.name != meaning}
    assert wrong == {}


def seen(**counts: int) -> list[SeenKind]:
    return [SeenKind.of(name.replace("__", " "), n, n) for name, n in counts.items()]


def test_a_rare_purchase_is_kept_before_common_noise_and_the_rest_is_told() -> None:
    noise = {f"widget__{letter}": 10_000 for letter in "abcdefghijklmnop"}
    kinds = choose_kinds(seen(**noise, Order__Completed=60, Refund__Issued=12, session=50))
    assert list(kinds.kept)[:2] == ["order_completed", "refund_issued"]
    assert len(kinds.kept) == 12
    left = {kind.raw: reason for kind, reason in kinds.left_out}
    assert len(left) == 7 and "12 kinds are kept" in left["widget p"]
    first, churn = propose_targets(kinds, days=120)
    assert (first.event, first.horizon_days) == ("event_type = 'order_completed'", 30)
    assert (churn.kind, churn.event) == ("does_not", "true")


def test_names_get_the_simplest_rule_that_gives_them() -> None:
    plain = choose_kinds(seen(view=900, Purchase=90))
    assert type_expression("e", plain) == "e"  # types are stored in lower case anyway
    spaced = choose_kinds(seen(view=900, Order__Completed=90))
    assert type_expression("e", spaced).startswith("trim(BOTH '_' FROM regexp_replace(lower(e)")
    foreign = choose_kinds(seen(購買=90, 浏览=900, 弹窗=800))
    assert type_expression("e", foreign).splitlines() == [
        "CASE trim(e)", "WHEN '購買' THEN 'purchase'", "WHEN '浏览' THEN 'view'",
        "ELSE lower(trim(e)) END",
    ]  # fmt: skip
    assert [reason for _, reason in foreign.left_out] == [
        "no name in Latin letters: give it one in event_type"
    ]


def test_users_are_visitors_where_nobody_logs_in_and_links_where_some_do() -> None:
    leaves = {name: Leaf(name, (name,), TEXT, ("x",)) for name in ("user_id", "anonymous_id")}

    def mapped(share: float) -> ColumnMapping:
        mapping = ColumnMapping({"event_time": "t"})
        map_users(mapping, leaves, without_user=share)
        return mapping

    assert mapped(0.0).links is None
    assert mapped(0.4).links == {
        "anonymous_id": "anonymous_id", "user_id": "user_id", "linked_at": "t",
    }  # fmt: skip
    assert mapped(0.97).columns["user_id"] == "coalesce(user_id, anonymous_id)"
    assert mapped(1.0).columns["user_id"] == "anonymous_id"


UGLY = struct(
    What=TEXT, campaign=TEXT, meta=struct(eventUid=TEXT, schema=LONG),
    money=struct(amount=TEXT, currency=TEXT), when=struct(epoch=TEXT, local=TEXT),
    who=struct(Account=struct(Id=TEXT), lang=TEXT),
)  # fmt: skip


def ugly_row(kind: str, currency: str | None = None) -> dict[str, Any]:
    return {
        "What": kind, "campaign": "spring", "meta": {"eventUid": "e1", "schema": 3},
        "money": {"amount": "12.50", "currency": currency} if currency else None,
        "when": {"epoch": "1714525220699", "local": "2024-05-01T10:00:20+09:00"},
        "who": {"Account": {"Id": "acc-0200"}, "lang": "de"},
    }  # fmt: skip


def test_columns_of_other_names_are_known_by_what_they_hold_and_by_the_end_of_their_path() -> None:
    kinds = ["Page View", "PAGE VIEW", "Order Placed", "Add To Cart", "tooltip"]
    leaves = leaves_of(UGLY, [ugly_row(kind) for kind in kinds])
    found = {name: leaf.expression for name, leaf in guess_leaves(leaves, EVENTS).items()}
    assert found["event_type"] == "What"
    assert found["event_id"] == "meta.eventUid"
    assert found["user_id"] == "who.Account.Id"
    assert found["event_time"] == "when.epoch"
    # Words without a known meaning, or of one alone, tell nothing of kinds.
    words = leaves_of(struct(a=TEXT, b=TEXT), [{"a": "view", "b": "red"}, {"a": "seen", "b": "x"}])
    assert "event_type" not in guess_leaves(words, EVENTS)


def test_of_amounts_in_several_currencies_it_is_asked_how_to_add_them() -> None:
    def asked(*currencies: str | None) -> ColumnMapping:
        mapping = ColumnMapping({"value": "money.amount"})
        rows = [ugly_row("Order Placed", currency) for currency in currencies]
        ask_of_currencies(mapping, leaves_of(UGLY, rows))
        return mapping

    assert asked("EUR", "EUR", None).questions == []
    mapping = asked("EUR", "USD", None)
    assert "money.currency holds EUR, USD" in mapping.questions[0]
    assert "CASE money.currency WHEN 'USD' THEN" in mapping.questions[0]
    assert mapping.remarks["value"].startswith("TODO: ")
