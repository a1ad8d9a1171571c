"""Words beside a number that tell what kind of number it is."""

# ruff: noqa: RUF001

from __future__ import annotations

import re

# Letters of scripts without spaces, which may be directly beside a word of another script.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af"
_LETTER = rf"[^\W\d_{UNSPACED}]"
_WORD = rf"[^\W_{UNSPACED}]"

# Currencies, units and things that are counted; a number before them is not a phone number.
_UNITS = (
    r"ft|huf|forints?|eur|euros?|usd|dollars?|gbp|pounds?|quid|kr|sek|nok|dkk|isk|pln|z[lł]|czk|"
    r"k[cč]|rub|rubles?|руб|рублей|грн|uah|yen|jpy|inr|rs|rupees?|rupiah|idr|lei|ron|лв|bgn|rsd|"
    r"din|try|tl|brl|reais|mxn|pesos?|clp|cop|ars|chf|francs?|krw|won|cny|rmb|yuan|vnd|đ|dong|"
    r"thb|baht|zar|rand|naira|ngn|元|円|원|万|"
    r"pieces|pcs|units|items|rows|records|lines|people|inhabitants|users|customers|orders|copies|"
    r"votes|views|downloads|steps|shots|samples|tokens|parameters|million|billion|thousand|mio|"
    r"mrd|millionen|millions|millones|percent|prozent|points?|km|m|mm|cm|nm|kg|g|mg|lbs?|"
    r"miles?|meters?|metres?|litres?|liters?|hz|khz|mhz|ghz|kwh|mwh|watts?|bytes?|bits?|"
    r"[kmgt]i?b|ms|ns|seconds?|secs?|minutes?|mins?|hours?|days?|years?"
)
_MONEY_AFTER = re.compile(
    rf"(?:[.,]\d{{1,2}}(?!\d))?[ .,\-]{{0,2}}(?:[$€£¥₹₽₩₺₴₫₪฿%‰°]|(?:{_UNITS})(?!\w))", re.I
)
_MONEY_BEFORE = re.compile(
    r"(?:[$€£¥₹₽₩₺₴₫₪฿]|(?<![^\W_])(?:usd|eur|gbp|huf|ft|rs|inr|chf|sek|nok|dkk|pln|jpy|brl|r|"
    r"price|cost|costs|total|sum|amount|revenue|turnover|budget|salary|population|betrag|preis|"
    r"summe|prix|montant|precio|importe|prezzo|cena|kwota))[ :.=]{0,3}-?$"
)

# Labels of numbers that are not personal, directly before the number.
_REFERENCE = (
    r"orders?|order ?id|purchase|tracking|track(?:ed)?|awb|waybill|parcels?|packages?|shipments?|"
    r"consignment|invoices?|inv|receipts?|bill|ref|reference|tickets?|case|booking|reservation|"
    r"confirmation|transactions?|txn|batch|lot|serial|s/?n|sku|ean|ean-?1?[38]|gtin|upc|isbn|"
    r"isbn-?1[03]|issn|asin|barcode|parts?|p/?n|items?|articles?|art|products?|models?|versions?|"
    r"ver|builds?|revision|release|commit|uuid|guid|hash|checksum|timestamp|epoch|unix|ts|pages?|"
    r"pp|vol|section|chapter|figure|table|port|imei|iccid|firmware|counter|score|result|"
    r"(?:user|client|customer|session|device|object|post|message|thread|comment|tweet|status|"
    r"video|job|run|task|process|request|trace|span|event|row|record|document|doc|file)[ _-]?id|"
    r"p?id|bestell\w*|auftrag\w*|rechnung\w*|sendung\w*|paket\w*|artikel\w*|commande|facture|"
    r"colis|pedido|factura|ordine|fattura|fatura|encomenda|zam[oó]wieni\w*|faktur\w*|paczk\w*|"
    r"rendel[eé]s\w*|sz[aá]ml\w*|заказ\w*|накладн\w*|счет\w*"
)
_GLUE = (
    r"(?:[\s:#=\-.,\"'(\[№°º/]|(?<!\w)(?:no|nr|num|number|numbers|nummer|numéro|numero|número|"
    r"id|code|is|was|ist|est|es|the|n|szám\w*|numer|номер)(?!\w))*+$"
)
_REFERENCE_BEFORE = re.compile(
    rf"(?:(?<!{_WORD})(?:{_REFERENCE})(?:number|nummer|no|nr|id|code)?(?!{_LETTER}){_GLUE}"
    r"|(?:订单号?|訂單號?|单号|注文番号|注文|追跡番号|주문번호|주문|#)[\s:#是は]*$)"
)


def words_before(text: str, start: int, width: int = 40) -> str:
    """Lower-case text before ``start``, up to ``width`` characters, after the last marker in it."""
    left = text[max(start - width, 0) : start]
    space = left.find(" ")
    if start > width and space >= 0 and ">" not in left[:space]:
        left = left[space:]  # leave out a word that is cut
    return left[left.rfind(">") + 1 :].lower()


def words_after(text: str, end: int, width: int = 24) -> str:
    """Lower-case text after ``end``, up to ``width`` characters, before the next marker in it."""
    return text[end : end + width].partition("<")[0].lower()


def label(*words: str, glyphs: str = "") -> re.Pattern[str]:
    """A pattern for any of these words in lower-case text.

    Args:
        words: Regular expressions of whole words.
        glyphs: Words of scripts without spaces, separated by ``|``; they may be part of a word.
    """
    alternatives = rf"(?<!{_LETTER})(?:{'|'.join(words)})(?!{_LETTER})"
    return re.compile(f"{alternatives}|{glyphs}" if glyphs else alternatives)


def is_amount(text: str, start: int, end: int) -> bool:
    """Whether a currency, a unit or a counted thing is beside a number."""
    return bool(
        _MONEY_AFTER.match(text, end, end + 24)
        or _MONEY_BEFORE.search(words_before(text, start, 16))
    )


def is_reference(text: str, start: int) -> bool:
    """Whether a number is labelled as that of an order, a parcel, a part, a version or the like."""
    return _REFERENCE_BEFORE.search(words_before(text, start)) is not None
