"""Clean a text, and compute hashes of texts and user ids."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from behavior_spark.cleaning.normal_form import NormalForm, composed, normalise, one_line
from behavior_spark.cleaning.personal_data import ALL_KINDS, Masking, mask_personal_data

__all__ = ["CleanText", "clean_text", "normalise", "pseudonym", "text_hash"]

_PLACEHOLDER = re.compile("<[a-z]+>")
_MARGIN = 256  # an e-mail address has at most 254 characters


@dataclass(frozen=True)
class CleanText:
    """A text ready to be stored.

    Attributes:
        text: Normalised and masked text of limited length; may be empty.
        masked: Number of masked spans.
        cut: Whether the text was longer than the limit.
    """

    text: str
    masked: int
    cut: bool


def clean_text(
    text: str, *, max_chars: int, mask: bool | Masking | None = True, form: NormalForm = "NFC"
) -> CleanText:
    """Normalise and mask a text, and cut it to ``max_chars`` characters. Takes linear time.

    White space is collapsed before the text is cut. Personal data is detected beyond the limit
    too, so that a number or an address at the limit is masked as a whole.

    Args:
        text: The text.
        max_chars: Maximum length of the result, in characters.
        mask: What to mask; True: all kinds, False or None: nothing.
        form: Unicode normal form.

    >>> clean_text("mail bob@example.org", max_chars=100).text
    'mail <email>'
    """
    line = one_line(text)
    read_length, masked = max_chars + _MARGIN, 0
    while True:
        is_complete = read_length >= len(line)
        clean = composed(line[:read_length], form)
        if mask:
            clean, masked = mask_personal_data(clean, ALL_KINDS if mask is True else mask)
        # Masking and composing shorten a text: read more until the margin is filled.
        if is_complete or len(clean) >= max_chars + _MARGIN:
            break
        read_length *= 2
    limit = max_chars
    if mask and len(clean) > limit:
        limit = _before_placeholder(clean, limit)
    return CleanText(clean[:limit].rstrip(), masked, not is_complete or len(clean) > max_chars)


def _before_placeholder(text: str, limit: int) -> int:
    """The limit, or the start of a placeholder that the limit would cut, unless that is all."""
    start = text.rfind("<", 0, limit)
    match = _PLACEHOLDER.match(text, start) if start >= 0 else None
    return start if start and match and match.end() > limit else limit


def text_hash(text: str, *, key: str | None = None) -> str:
    """SHA-256 of a clean text as 64 hex digits; HMAC-SHA256 (RFC 2104) with a key.

    Short texts can be guessed from a plain hash; use a key if that matters.
    """
    data = text.encode("utf-8", "surrogatepass")
    if key is None:
        return hashlib.sha256(data).hexdigest()
    return hmac.digest(key.encode(), data, "sha256").hex()


def pseudonym(user_id: str, *, key: str) -> str:
    """Keyed hash of a user id (HMAC-SHA256, first 128 bits) as 32 hex digits."""
    data = b"user:" + user_id.encode("utf-8", "surrogatepass")
    return hmac.digest(key.encode(), data, "sha256").hex()[:32]
