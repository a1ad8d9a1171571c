"""Names of columns and of kinds of events in one form, whatever their case, script and accents."""

from __future__ import annotations

import re
import unicodedata

from behavior_spark.config.section import NAME

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def folded(text: str) -> str:
    """Lower case without accents of Latin letters; other scripts keep their marks.

    >>> folded("Añadir al CARRITO"), folded("購買")
    ('anadir al carrito', '購買')
    """
    letters = []
    for letter in unicodedata.normalize("NFC", text):
        plain = unicodedata.normalize("NFD", letter)
        letters.append(plain[0] if plain[0].isascii() else letter)
    return "".join(letters).lower().replace("ß", "ss")


def snake(text: str) -> str:
    """Words of a name joined by ``_``, folded.

    >>> snake("originalTimestamp"), snake("$session_id"), snake("Order Completed"), snake("用户 ID")
    ('original_timestamp', 'session_id', 'order_completed', '用户_id')
    """
    return re.sub(r"[\W_]+", "_", folded(_CAMEL.sub("_", text))).strip("_")


def plain_name(text: str) -> str | None:
    """The name in lower-case letters, digits and ``_``, as a config wants it; None if it has none.

    >>> plain_name("Añadir al carrito"), plain_name("$pageview"), plain_name("購買")
    ('anadir_al_carrito', 'pageview', None)
    """
    name = re.sub(r"[\W_]+", "_", folded(text)).strip("_")
    return name if NAME.match(name) else None
