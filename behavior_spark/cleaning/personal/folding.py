"""Fold a text to a copy in which numbers and addresses are detected, and map positions back.

In the copy, digits of every script are 0 to 9, dashes of every kind are ``-``, spaces of every
kind are a space, and fullwidth characters are ASCII. Invisible characters are removed, and
``%40``, ``&#64;``, ``&commat;`` and ``\\u0040`` are decoded.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field

_LEFT_OUT = "\uffff"  # placeholder of a removed character until positions are computed


def _one_to_one() -> dict[int, str]:
    table = {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(0x80, sys.maxunicode)
        if unicodedata.category(chr(code)) == "Nd"
    }
    table |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # fullwidth ASCII
    same_meaning = {
        "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\u058a\u05be\u1806\u02d7"
        "\u207b\u208b\u2e3a\u2e3b\u2500\u00af\u2e0f",
        " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028"
        "\u2029\u202f\u205f\u3000\u2800\u0085",
        ".": "\u00b7\u2022\u2024\u2027\u30fb\uff65\u2219\u22c5\u066b\ufe52\u06d4",
        ",": "\u060c\u066c\u3001\ufe50\u201a",
        "/": "\u2044\u2215",
        "@": "\ufe6b",
        "+": "\ufe62\u207a",
        ":": "\u2236\ufe55\ua789\u02d0",
        '"': "\u201c\u201d\u201e\u00ab\u00bb",
        "'": "\u2018\u2019\u02bc\u201b",
        "I": "\u0130",  # the only capital whose lower-case form has two characters
        "[": "\u3010\u3014",
        "]": "\u3011\u3015",
        _LEFT_OUT: "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d"
        "\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u20e3\ufeff"
        + "".join(map(chr, range(0xFE00, 0xFE10))),
    }
    for plain, characters in same_meaning.items():
        table |= {ord(character): plain for character in characters}
    return table


_PLAIN = _one_to_one()
# In words of kana it is a long vowel, elsewhere a dash: 03ー1234ー5678.
_LONG_VOWEL = re.compile("(?<![\u3041-\u30fa\u30fc-\u30fe\uff66-\uff9f])[\u30fc\uff70]")
_FOLDABLE = re.compile("[" + re.escape("".join(map(chr, _PLAIN))) + "]")
_ENCODED = re.compile(
    rf"{_LEFT_OUT}+"
    r"|(?:%25)*+%(?:25)*+(?P<percent>[2-7][0-9A-Fa-f])"
    r"|&(?:amp;)?(?P<entity>\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});"
    r"|\\u00(?P<escape>[2-7][0-9A-Fa-f])"
)


@dataclass(frozen=True)
class FoldedText:
    """The folded copy of a text.

    Attributes:
        text: The copy.
        places: Segments, ascending: ``(position in the copy, position in the text, length)``. The
            length is that of one decoded character in the text, or 0 for a segment that has the
            same length in both. Empty if all positions are equal.
    """

    text: str
    places: list[tuple[int, int, int]] = field(default_factory=list)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text for the span ``[start, end)`` of the copy."""
        if not self.places:
            return start, end
        place, source, length = self._segment(end - 1)
        return self._start(start), source + (length or end - place)

    def _start(self, position: int) -> int:
        place, source, length = self._segment(position)
        return source if length else source + position - place

    def _segment(self, position: int) -> tuple[int, int, int]:
        return self.places[bisect_right(self.places, (position, sys.maxsize, 0)) - 1]


def fold_text(text: str) -> FoldedText:
    """Fold a text. Takes linear time."""
    plain = text
    if not text.isascii():
        if _FOLDABLE.search(text):
            plain = text.translate(_PLAIN)
        if "\u30fc" in plain or "\uff70" in plain:
            plain = _LONG_VOWEL.sub("-", plain)
    if not ("%" in plain or "&" in plain or "\\u00" in plain or _LEFT_OUT in plain):
        return FoldedText(plain)
    pieces: list[str] = []
    places: list[tuple[int, int, int]] = []
    copy_length, text_position = 0, 0
    for match in _ENCODED.finditer(plain):
        character = _decoded(match)
        if character is None:
            continue
        if match.start() > text_position:
            places.append((copy_length, text_position, 0))
            pieces.append(plain[text_position : match.start()])
            copy_length += match.start() - text_position
        if character:
            places.append((copy_length, match.start(), match.end() - match.start()))
            pieces.append(character)
            copy_length += 1
        text_position = match.end()
    if text_position == 0:
        return FoldedText(plain)
    if text_position < len(plain):
        places.append((copy_length, text_position, 0))
        pieces.append(plain[text_position:])
    return FoldedText("".join(pieces), places)


def _decoded(match: re.Match[str]) -> str | None:
    """The decoded character, "" for a removed one, None if the match is not an encoding."""
    if code := match["percent"] or match["escape"]:
        return chr(int(code, 16)) if code.lower() != "7f" else None
    if match["entity"] is None:
        return ""
    character = html.unescape(f"&{match['entity']};")
    if len(character) != 1:
        return None
    character = _PLAIN.get(ord(character), character)
    return "" if character == _LEFT_OUT else character
