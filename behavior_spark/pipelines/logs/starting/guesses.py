"""Which leaf is which column of a contract, by its name and by what it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql.types import (
    BooleanType,
    DateType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from behavior_spark.io.sources import DERIVED
from behavior_spark.pipelines.logs.starting.leaves import Leaf
from behavior_spark.pipelines.logs.starting.meanings import meaning_of
from behavior_spark.pipelines.logs.starting.numbers import read_as_number
from behavior_spark.pipelines.logs.starting.shapes import Shape
from behavior_spark.pipelines.logs.starting.times import holds_moments, read_as_time
from behavior_spark.schemas import Contract


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace("\n", " ").split())


# Names that people give such columns, in order of preference, as ``words.snake`` writes them.
GUESSES = {
    "event_id": _names("""event_id event_uuid event_uid event_guid id uuid message_id insert_id
        log_id row_id 事件id 事件编号 日志id 流水号 记录id 編號"""),
    "user_id": _names("""user_id userid uid user_key user customer_id customerid customer_number
        customer member_id visitor_id account_id client_id distinct_id buyer_id actor_id
        id_usuario usuario_id usuario id_cliente cliente_id cliente kunden_id kundennummer
        kundennr kunden_nr kunde benutzer_id benutzer id_client client utilisateur_id utilisateur
        id_utilisateur id_utente utente codice_cliente id_klienta klant_id klantnummer ugyfel_id
        ugyfelazonosito felhasznalo_id felhasznalo vevo_id пользователь id_пользователя
        клиент id_клиента 用户id 用户编号 用户 用戶id 用戶 会员id 会员编号 会员 會員編號 客户id
        客户编号 客户 买家id
        顧客id ユーザーid ユーザー 会員id 사용자id 사용자 회원번호 고객id 고객번호 المستخدم
        العميل"""),
    "event_time": _names("""event_time event_timestamp timestamp ts time occurred_at event_date
        created_at datetime date_time date order_date purchase_date invoice_date fecha_hora fecha
        fecha_pedido hora bestelldatum datum zeitpunkt zeit zeitstempel horodatage date_commande
        data_ora data data_ordine data_pedido data_hora idopont datum_ido rendeles_datuma дата
        время дата_заказа 时间 时间戳 事件时间 发生时间 下单时间 日期 時間 日時 日付 発生日時
        시간 일시 날짜
        التاريخ الوقت"""),
    "event_type": _names("""event_type event_name event action activity type name event_kind
        verb behavior behaviour evento tipo_evento tipo accion ereignis ereignistyp aktion
        vorgang evenement type_evenement azione tipo_de_evento acao esemeny muvelet событие
        тип_события действие 事件 事件类型 事件名称 事件名 行为 行为类型 操作 动作 類型 イベント
        イベント名 行動
        이벤트 이벤트명 행동 الحدث status order_status estado statut stato статус 状态"""),
    "item_id": _names("""item_id itemid product_id productid sku article_id stockcode stock_code
        asin content_id listing_id item product producto_id id_producto producto articulo
        artikelnummer artikel_nr artikelnr artikel produkt_id produkt produktnummer id_produit
        produit reference id_prodotto prodotto codice_articolo id_produto produto termek_id
        termek cikkszam товар id_товара артикул 商品id 商品编号 商品 产品id 产品编号 產品編號
        商品編號
        商品コード 商品番号 상품id 상품번호 상품코드 상품 المنتج"""),
    "value": _names("""value revenue amount total order_total order_value total_amount
        total_price gross_amount net_amount purchase_value grand_total price importe monto
        total_pedido
        betrag summe gesamtbetrag umsatz bestellwert montant total_ttc chiffre importo totale
        valor osszeg vegosszeg ar сумма стоимость цена 金额 总金额 订单金额 支付金额 价格 金額
        価格 売上
        금액 결제금액 가격 المبلغ السعر preis precio prix prezzo preco"""),
    "quantity": _names("""quantity qty units menge anzahl cantidad quantite quantita quantidade
        mennyiseg количество 数量 個数 수량 الكمية"""),
    "unit_price": _names("""unit_price price_per_unit item_price einzelpreis stueckpreis stuckpreis
        preis precio_unitario precio prix_unitaire prix prezzo_unitario prezzo preco_unitario
        egysegar цена 单价 單價 単価 단가 price"""),
    "session_id": _names("""session_id session sessionid visit_id 会话id 会话 セッションid"""),
    "anonymous_id": _names("""anonymous_id visitor_id cookie_id client_id device_id fullvisitorid
        设备id 设备号"""),
    "text_id": _names("text_id message_id id uuid"),
    "arrived_at": _names("""arrived_at received received_at ingested_at _ingested loaded_at
        inserted_at server_received_time ingestion_time"""),
    "text_time": _names("""text_time timestamp ts time created_at sent_at posted_at date fecha
        datum data дата 时间 日時"""),
    "kind": _names("kind type channel source"),
    "text": _names("""text body message content comment review texto mensaje nachricht texte
        testo szoveg uzenet текст сообщение 内容 文本 评论 本文 내용"""),
    "title": _names("""title name description product_name item_name titulo nombre bezeichnung
        name_de titre nom nome megnevezes nev название 标题 名称 商品名称 商品名 상품명"""),
    "category": _names("""category department group product_type item_category categoria kategorie
        categorie kategoria категория 类别 分类 品类 カテゴリ 카테고리"""),
    "price": _names("""price list_price unit_price precio preis prix prezzo preco ar цена 价格 価格
        가격"""),
    "valid_from": _names("valid_from updated_at created_at listed_on"),
}  # fmt: skip
_FEWEST_MEANINGS = 2
# Too general to be trusted inside a struct, where they tell of something else.
_TOP_ALONE = {
    "id", "name", "type", "date", "time", "ts", "value", "total", "user", "item", "product",
    "status", "title", "group", "source", "kind", "text", "content", "timestamp", "data",
}  # fmt: skip


def guess_leaves(
    leaves: Sequence[Leaf], contract: Contract, shape: Shape | None = None
) -> dict[str, Leaf]:
    """The leaf of each column of a contract, by names that hold what the column wants.

    Columns that are not found are absent. A leaf whose sample is all null comes after all others.
    """
    chosen: dict[str, Leaf] = {}
    names = [name for name in contract.names if name not in DERIVED]
    for ours in (*names, "quantity", "unit_price"):
        if shape and ours in shape.without:
            continue
        guesses = GUESSES.get(ours, (ours,))
        if shape and ours in shape.keys:
            guesses = (*shape.keys[ours], *guesses) if shape.keys[ours] else ()
        taken = [leaf.expression for leaf in chosen.values()]
        free = [
            leaf for leaf in leaves
            if (ours in ("quantity", "unit_price") or leaf.expression not in taken)
            and _can_be(ours, leaf)
        ]  # fmt: skip
        guessed = _by_name(free, guesses) or _by_content(ours, free)
        if guessed is not None:
            chosen[ours] = guessed
    return chosen


def _by_name(leaves: Sequence[Leaf], guesses: Sequence[str]) -> Leaf | None:
    for with_values in (True, False):
        among = [leaf for leaf in leaves if bool(leaf.values) == with_values]
        for guess in guesses:
            compact = guess.replace("_", "")
            whole = [leaf for leaf in among if leaf.key.replace("_", "") == compact]
            if not whole and guess not in _TOP_ALONE:
                whole = [leaf for leaf in among if leaf.name.replace("_", "") == compact]
            if not whole and "_" in guess:
                whole = [leaf for leaf in among if leaf.key.endswith(f"_{guess}")]
            if whole:
                return min(whole, key=lambda leaf: len(leaf.path))
    return None


def _by_content(ours: str, leaves: Sequence[Leaf]) -> Leaf | None:
    """A time and a kind are known by what they hold, too: the first column that holds only such."""
    if ours == "event_type":
        return next((leaf for leaf in leaves if _tells_kinds(leaf)), None)
    if not ours.endswith("_time"):
        return None
    typed = TimestampType | TimestampNTZType | DateType
    named = [n for n in leaves if re.search("date|time|fecha|datum", n.key)]
    others = [n for n in leaves if isinstance(n.kind, typed)]
    written = [n for n in leaves if n.values and holds_moments(n)]
    return next(iter([*named, *others, *written]), None)


def _tells_kinds(leaf: Leaf) -> bool:
    """Whether most values are names of kinds whose meaning is known, of two meanings at least."""
    if not isinstance(leaf.kind, StringType):
        return False
    known = {value: meaning_of(value) for value in set(leaf.values)}
    meanings = {meaning.name for meaning in known.values() if meaning}
    told = sum(known[value] is not None for value in leaf.values)
    return len(meanings) >= _FEWEST_MEANINGS and told > len(leaf.values) / 2


def _can_be(ours: str, leaf: Leaf) -> bool:
    if ours.endswith("_time") or ours in ("arrived_at", "valid_from", "linked_at"):
        return read_as_time(leaf) is not None
    if ours in ("value", "price", "quantity", "unit_price"):
        return read_as_number(leaf) is not None
    timed = isinstance(leaf.kind, TimestampType | TimestampNTZType | BooleanType)
    return not timed and (ours != "event_type" or _has_few_values(leaf))


def _has_few_values(leaf: Leaf) -> bool:
    """Kinds repeat; ids and sentences do not."""
    distinct = set(leaf.values)
    return len(distinct) <= max(20, len(leaf.values) // 2) and all(
        not isinstance(value, str) or len(value) <= 120 for value in distinct
    )
