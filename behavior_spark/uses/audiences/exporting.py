"""Members as flat rows, with contacts in the form that mail and ad tools compare."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

EMAIL, PHONE = "email", "phone"
REASONS = 3


def normal_email(email: Column) -> Column:
    """Trimmed and in lower case; null where nothing is left."""
    # White space of Unicode, no-break and zero-width spaces and the byte-order mark.
    edges = r"^[\s\p{Z}\u200B-\u200D\uFEFF]+|[\s\p{Z}\u200B-\u200D\uFEFF]+$"
    return _not_empty(F.lower(F.regexp_replace(email, edges, "")))


def normal_phone(phone: Column) -> Column:
    """Digits alone, without zeros in front; null where nothing is left. It needs a country code."""
    digits = F.regexp_replace(phone, r"[^0-9]", "")
    return _not_empty(F.regexp_replace(digits, "^0+", ""))


def _not_empty(text: Column) -> Column:
    return F.when(text != "", text)


def with_contact_keys(contacts: DataFrame, *, plain: bool) -> DataFrame:
    """One row per user, with SHA-256 (hexadecimal) of e-mail and phone instead of them.

    Args:
        contacts: ``user_id`` and columns of strings; of several rows of a user one with the fewest
            nulls is taken, of these the first by content.
        plain: Whether e-mail and phone are kept beside their hashes, normalised.

    Returns:
        The columns, with ``email_sha256``; ``phone_sha256`` (of digits, as Meta compares them) and
        ``phone_e164_sha256`` (of ``+`` and digits, as Google does).
    """
    others = [c for c in contacts.columns if c not in ("user_id", EMAIL, PHONE)]
    made: dict[str, Column] = {}
    if EMAIL in contacts.columns:
        email = normal_email(F.col(EMAIL))
        made |= ({EMAIL: email} if plain else {}) | {"email_sha256": F.sha2(email, 256)}
    if PHONE in contacts.columns:
        phone = normal_phone(F.col(PHONE))
        made |= ({PHONE: phone} if plain else {}) | {
            "phone_sha256": F.sha2(phone, 256),
            "phone_e164_sha256": F.sha2(F.concat(F.lit("+"), phone), 256),
        }
    keys = contacts.where("user_id IS NOT NULL").select(
        "user_id", *[column.alias(name) for name, column in made.items()], *others
    )
    names = [*made, *others]
    lacks = [F.col(name).isNull().cast("int") for name in names]
    fewest = reduce(lambda a, b: a + b, lacks, F.lit(0))
    best = F.min(F.struct(fewest, *lacks, F.struct(*names).alias("row"))).alias("_best")
    return keys.groupBy("user_id").agg(best).select("user_id", "_best.row.*")


def flat_members(members: DataFrame, *, items: int) -> DataFrame:
    """One row per member with plain columns: reasons and the change in words, items by number.

    Args:
        members: Table ``audience_members``.
        items: Items for which there are columns.
    """
    reasons = [
        F.get(F.col("reasons"), F.lit(place))["text"].alias(f"reason_{place + 1}")
        for place in range(REASONS)
    ]
    listed = [
        F.get(F.col("items"), F.lit(place))[part].alias(f"{name}_{place + 1}")
        for place in range(items)
        for part, name in (("item_id", "item"), ("title", "item_title"))
    ]
    change = F.col("nearest_change")["text"].alias("nearest_change")
    return members.select(*_PLAIN, *reasons, change, *listed)


_PLAIN: Sequence[str] = (
    "user_id", "audience", "as_of", "arm", "rank", "probability", "expected_value",
    "expected_profit", "intent", "emotion", "preference",
)  # fmt: skip
