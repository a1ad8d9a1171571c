"""Normalise a text and give it its key."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass

from behavior_spark.cleaning.personal_data import mask_personal_data

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
# Control characters, soft hyphen, zero-width space, byte order mark, bidirectional controls.
# The joiners U+200C and U+200D stay: scripts and emoji need them.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
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


def normalise(text: str) -> str:
    """Unicode NFKC on one line: no control characters, single spaces, no edges.

    Source: Unicode Standard Annex 15 (normalisation form KC).

    >>> normalise("  ﬁne\\u200b  coffee\\n\\tset ")
    'fine coffee set'
    """
    text = _SURROGATE.sub("\ufffd", text)
    # Before NFKC: what a control kept apart may compose.
    text = _CONTROL.sub(lambda match: " " if match.group() in "\t\n\r\x0b\x0c\x85" else "", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _SPACE.sub(" ", text).strip()


def clean_text(text: str, *, max_chars: int, mask: bool = True) -> CleanText:
    """Normalise, mask and cap a text.

    The cap is applied after masking, and what is cut is never half a number: the
    text is first read a little past the cap, and that margin is dropped again.

    >>> clean_text("mail bob@example.org", max_chars=100).text
    'mail <email>'
    """
    text = text.strip()
    raw_cut = len(text) > max_chars * 4
    clean = normalise(text[: max_chars * 4] if raw_cut else text)
    long = len(clean) > max_chars + _MARGIN
    clean = clean[: max_chars + _MARGIN]
    masked = 0
    if mask:
        clean, masked = mask_personal_data(clean)
    limit = max_chars
    if long or raw_cut:
        limit = min(limit, max(len(clean) - _MARGIN, 0))
    shown = clean[:limit]
    if mask and len(clean) > limit:
        shown = clean[: _before_placeholder(clean, limit)]
    return CleanText(shown.rstrip(), masked, raw_cut or len(clean) > limit)


def _before_placeholder(text: str, limit: int) -> int:
    """The limit, or the start of the placeholder it would cut in two."""
    start = text.rfind("<", 0, limit)
    match = _PLACEHOLDER.match(text, start) if start >= 0 else None
    return start if match and match.end() > limit else limit


def text_hash(text: str, *, key: str | None = None) -> str:
    """SHA-256 of a clean text as 64 hex digits; HMAC-SHA256 (RFC 2104) with a key.

    Short texts are guessable from a plain hash: configure a key where that matters.
    """
    data = text.encode("utf-8", "replace")
    if key is None:
        return hashlib.sha256(data).hexdigest()
    return hmac.digest(key.encode(), data, "sha256").hex()


def pseudonym(user_id: str, *, key: str) -> str:
    """Keyed hash of a user id (HMAC-SHA256, first 128 bits) as 32 hex digits."""
    data = b"user:" + user_id.encode("utf-8", "replace")
    return hmac.digest(key.encode(), data, "sha256").hex()[:32]
