"""Normalise a text and give it its key."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from behavior_spark.cleaning.normal_form import NormalForm, composed, normalise, one_line
from behavior_spark.cleaning.personal_data import mask_personal_data

__all__ = ["CleanText", "clean_text", "normalise", "pseudonym", "text_hash"]

_PLACEHOLDER = re.compile("<[a-z]+>")
_MARGIN = 64


@dataclass(frozen=True)
class CleanText:
    """A text ready to be stored.

    Attributes:
        text: Normalised, masked, capped; empty when nothing was left.
        masked: Numbers and addresses masked.
        cut: Whether the cap took something away.
    """

    text: str
    masked: int
    cut: bool


def clean_text(
    text: str, *, max_chars: int, mask: bool = True, form: NormalForm = "NFC"
) -> CleanText:
    """Normalise, mask and cap a text: its beginning is kept, and no number or address is halved.

    White space is collapsed before anything is cut, and what is masked is read a little past the
    cap. Takes time in proportion to the text's length.

    >>> clean_text("mail bob@example.org", max_chars=100).text
    'mail <email>'
    """
    line = one_line(text)
    read, masked = max_chars + _MARGIN, 0
    while True:
        whole = read >= len(line)
        clean = composed(line[:read], form)
        if mask:
            clean, masked = _masked(clean)
        # The margin may end in half a number; masking and composing make a text shorter.
        if whole or len(clean) >= max_chars + _MARGIN:
            break
        read *= 2
    limit = max_chars
    if mask and len(clean) > limit:
        limit = _before_placeholder(clean, limit)
    return CleanText(clean[:limit].rstrip(), masked, not whole or len(clean) > max_chars)


def _masked(line: str) -> tuple[str, int]:
    """A line masked; its compatible form where more shows there, such as fullwidth digits."""
    shown, count = mask_personal_data(line)
    if not line.isascii() and (folded := composed(line, "NFKC")) != line:
        shown_folded, more = mask_personal_data(folded)
        if more > count:
            return shown_folded, more
    return shown, count


def _before_placeholder(text: str, limit: int) -> int:
    """The limit, or the start of the placeholder it would cut in two."""
    start = text.rfind("<", 0, limit)
    match = _PLACEHOLDER.match(text, start) if start >= 0 else None
    return start if match and match.end() > limit else limit


def text_hash(text: str, *, key: str | None = None) -> str:
    """SHA-256 of a clean text as 64 hex digits; HMAC-SHA256 (RFC 2104) with a key.

    Short texts are guessable from a plain hash: configure a key where that matters.
    """
    data = text.encode("utf-8", "surrogatepass")
    if key is None:
        return hashlib.sha256(data).hexdigest()
    return hmac.digest(key.encode(), data, "sha256").hex()


def pseudonym(user_id: str, *, key: str) -> str:
    """Keyed hash of a user id (HMAC-SHA256, first 128 bits) as 32 hex digits."""
    data = b"user:" + user_id.encode("utf-8", "surrogatepass")
    return hmac.digest(key.encode(), data, "sha256").hex()[:32]
