"""SQL expressions that map a log's leaves to the columns of a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql.types import ArrayType, MapType, NumericType, StringType, StructType

from behavior_spark.io.expressions import sql_name
from behavior_spark.names import sql_text
from behavior_spark.pipelines.logs.starting.kinds import ChosenKinds
from behavior_spark.pipelines.logs.starting.leaves import Leaf
from behavior_spark.pipelines.logs.starting.numbers import read_as_number
from behavior_spark.pipelines.logs.starting.shapes import Shape
from behavior_spark.pipelines.logs.starting.times import read_as_time

TIMES = ("event_time", "text_time", "arrived_at", "valid_from", "linked_at")
NUMBERS = ("value", "price")
MOSTLY_ANONYMOUS = 0.9  # share of rows without a user
_IDENTIFIED = 0.001
_MONEY_RANK = 1
_PRICES = {
    "price", "preis", "precio", "prix", "prezzo", "preco", "ar", "цена", "价格", "價格", "価格",
    "가격", "price_per_unit", "unit_price", "item_price", "einzelpreis", "单价", "単価",
}  # fmt: skip


@dataclass
class ColumnMapping:
    """Columns of a contract, each an SQL expression, and what to say about them.

    Attributes:
        columns: By name.
        remarks: Why a column is mapped, or is not, by name.
        links: ``sources.identities``: its columns, where visitors turn out to be users.
        questions: What only a person can answer, to be shown.
    """

    columns: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] | None = None
    questions: list[str] = field(default_factory=list)


def expression_of(ours: str, leaf: Leaf) -> tuple[str, str]:
    """The leaf as a time, a number or as it stands, and its form in words where it is not plain."""
    if ours in TIMES and (reading := read_as_time(leaf)):
        return reading.expression, reading.form
    if ours in NUMBERS and (number := read_as_number(leaf)):
        return number, "" if number == leaf.expression else "read as a number"
    return leaf.expression, ""


def map_plainly(leaves: Mapping[str, Leaf], names: Sequence[str]) -> ColumnMapping:
    """Each column from its leaf alone."""
    mapping = ColumnMapping()
    for name in names:
        if name in leaves:
            mapping.columns[name], form = expression_of(name, leaves[name])
            if form:
                mapping.remarks[name] = form
    return mapping


def type_source(leaves: Mapping[str, Leaf], all_leaves: Sequence[Leaf], shape: Shape | None) -> str:
    """Expression of the log's own name of an event.

    Segment's calls of other types than ``track`` have no event: there the type of call is the kind.
    """
    if "event_type" not in leaves:
        return ""
    named = leaves["event_type"].expression
    if shape and shape.name in ("Segment", "RudderStack"):
        calls = [leaf.expression for leaf in all_leaves if leaf.key == "type"]
        if calls and calls[0] != named:
            return f"coalesce({named}, {calls[0]})"
    return named


def map_users(mapping: ColumnMapping, leaves: Mapping[str, Leaf], *, without_user: float) -> None:
    """Users, visitors and the links between them.

    Args:
        mapping: Gets ``user_id``, ``anonymous_id`` and ``links``.
        leaves: Of the contract's columns.
        without_user: Share of rows whose user is null.
    """
    user, visitor = leaves.get("user_id"), leaves.get("anonymous_id")
    if user is None and visitor is None:
        return
    if user is None or visitor is None:
        mapping.columns["user_id"] = (user or visitor).expression  # type: ignore[union-attr]
        return
    if without_user > MOSTLY_ANONYMOUS:
        if without_user == 1:
            mapping.columns["user_id"] = visitor.expression
            mapping.remarks["user_id"] = (
                f"{user.expression} is null in all rows: visitors are users"
            )
            return
        first = user.expression if _is_text(user) else f"cast({user.expression} AS string)"
        mapping.columns["user_id"] = f"coalesce({first}, {visitor.expression})"
        mapping.remarks["user_id"] = (
            f"{without_user:.0%} of the rows have no {user.expression}: visitors count as users"
        )
        return
    mapping.columns["user_id"] = user.expression
    mapping.columns["anonymous_id"] = visitor.expression
    if without_user > _IDENTIFIED and "event_time" in mapping.columns:
        mapping.remarks["user_id"] = f"null in {without_user:.0%} of the rows; see identities"
        mapping.links = {
            "anonymous_id": visitor.expression,
            "user_id": user.expression,
            "linked_at": mapping.columns["event_time"],
        }


def map_session(mapping: ColumnMapping, leaves: Sequence[Leaf], shape: Shape | None) -> None:
    """GA4 counts sessions for each visitor anew: the visitor is part of the id."""
    if shape is None or shape.name != "GA4":
        return
    number = [leaf for leaf in leaves if leaf.name == "ga_session_id" and leaf.values]
    visitor = [leaf for leaf in leaves if leaf.key == "user_pseudo_id"]
    if number and visitor:
        joined = f"concat_ws('-', {visitor[0].expression}, {number[0].expression})"
        mapping.columns["session_id"] = joined


def map_item_and_value(
    mapping: ColumnMapping,
    leaves: Mapping[str, Leaf],
    all_leaves: Sequence[Leaf],
    shape: Shape | None,
    chosen: ChosenKinds,
    named: str,
) -> None:
    """The item and the worth of an event; a price is the worth of what costs money alone.

    Args:
        mapping: Gets ``item_id`` and ``value``.
        leaves: Of the contract's columns.
        all_leaves: Of the log.
        shape: Of the log.
        chosen: Kinds of events.
        named: Expression of the log's own name of an event.
    """
    if "item_id" in leaves:
        items = [leaf.expression for leaf in _alternatives("item_id", leaves, all_leaves, shape)]
        mapping.columns["item_id"] = (
            items[0] if len(items) == 1 else f"coalesce({', '.join(items)})"
        )
    quantity, price = leaves.get("quantity"), leaves.get("unit_price")
    value = leaves.get("value")
    if quantity and price and (value is None or value.name in _PRICES):
        parts = [_as_decimal(quantity), _as_decimal(price)]
        mapping.columns["value"] = f"{parts[0]} * {parts[1]}"
        mapping.remarks["value"] = "number times price of one"
        return
    if value is None:
        return
    worths = [expression_of("value", leaf) for leaf in
              _alternatives("value", leaves, all_leaves, shape)]  # fmt: skip
    texts = [text for text, _ in worths]
    expression = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    if worths[0][1]:
        mapping.remarks["value"] = worths[0][1]
    money = [
        kind.raw for kinds in chosen.kept.values() for kind in kinds
        if kind.meaning and kind.meaning.rank <= _MONEY_RANK
    ]  # fmt: skip
    if value.name in _PRICES and named and money and len(chosen.kept) > 1:
        kinds = ", ".join(sql_text(raw) for raw in money)
        expression = f"CASE WHEN trim({named}) IN ({kinds}) THEN {expression} END"
        mapping.remarks["value"] = "a price seen is not a price paid"
    mapping.columns["value"] = expression


def row_id(schema: StructType) -> str:
    """An id made of a row's own columns: equal rows have equal ids."""
    names = [sql_name(field.name) for field in schema.fields]
    nested = any(isinstance(f.dataType, StructType | ArrayType | MapType) for f in schema.fields)
    if nested:
        return f"md5(to_json(struct({', '.join(names)})))"
    return f"md5(concat_ws('|', {', '.join(names)}))"


def _alternatives(
    ours: str, leaves: Mapping[str, Leaf], all_leaves: Sequence[Leaf], shape: Shape | None
) -> list[Leaf]:
    """The chosen leaf, and others of the shape that hold the same where it is null."""
    first = leaves[ours]
    keys = shape.keys.get(ours, ()) if shape else ()
    others = [
        leaf for key in keys for leaf in all_leaves
        if leaf.key == key and leaf.values and leaf.expression != first.expression
        and isinstance(leaf.kind, NumericType) == isinstance(first.kind, NumericType)
    ]  # fmt: skip
    return [first, *others]


def _as_decimal(leaf: Leaf) -> str:
    number = read_as_number(leaf) or leaf.expression
    return number if isinstance(leaf.kind, NumericType) else f"try_cast({number} AS decimal(18,4))"


def _is_text(leaf: Leaf) -> bool:
    return isinstance(leaf.kind, StringType)
