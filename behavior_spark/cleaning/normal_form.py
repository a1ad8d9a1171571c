"""Normalise texts, so that texts that look the same to a reader or an encoder are equal.

These rules for characters are the only ones, for stored texts, SQL functions and Python:

- A run of white space of any kind becomes one space; white space at the ends is removed.
- Other control characters (C0 and C1, NUL too) are removed, as by the tokenizers of BERT and
  SentencePiece.
- Soft hyphen, zero-width space, byte-order mark, direction marks and word joiner are removed. A
  zero-width space between two letters of Thai, Lao, Burmese or Khmer is kept.
- Joiners, variation selectors and other invisible characters that emoji and scripts need are kept
  next to a visible character, and removed after white space and in long runs.
- Of more than 30 combining marks in a row, the first 30 are kept (UAX 15, stream-safe text).
- A pair of surrogates is the character that it encodes; a lone one becomes U+FFFD.
- All other characters get Unicode normal form C, or KC if asked for.

Ids of users, items and rows are not texts: they are not changed here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain
from typing import Literal

NormalForm = Literal["NFC", "NFKC"]

_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSEEN = chain(
    range(0x20), range(0x7F, 0xA0), (0xAD, 0x61C, 0x200E, 0x200F, 0xFEFF), range(0x202A, 0x202F),
    range(0x2060, 0x206A), range(0xFFF9, 0xFFFC),
)  # fmt: skip
_CONTROLS = {code: " " if chr(code) in "\t\n\r\x0b\x0c\x85" else None for code in _UNSEEN}
# Letters of scripts without spaces between words.
_UNSPACED = "\u0e01-\u0e4f\u0e81-\u0ecf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
_ZERO_WIDTH_SPACE = re.compile(
    f"(?<=[{_UNSPACED}])(?P<parts>\u200b)\u200b*+(?=[{_UNSPACED}])|\u200b+"
)
_INVISIBLE = (
    "\u034f\u17b4\u17b5\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0001-\U000e007f"
    "\U000e0100-\U000e01ef"
)
_FILLERS = "\u115f\u1160\u3164\uffa0"  # Hangul fillers, which may begin a word
_AFTER_SPACE = re.compile(rf"(?:^|(?<=\s))[{_INVISIBLE}]+")
_LONG_RUN = re.compile(rf"[{_INVISIBLE}{_FILLERS}]{{17,}}")
_MOST_MARKS = 30
# Quick check for runs that may have too many marks. Latin, Greek and Cyrillic letters, Han, kana
# and Hangul are excluded: most long runs of text consist of them, and they are not marks.
_PERHAPS_MARKS = re.compile(
    r"[^\x00-\u02ff\u0370-\u0482\u048a-\u0590\u30a0-\ua66e\uac00-\ud7ff]"
    rf"{{{_MOST_MARKS + 1}}}"
)
# Quick check: most texts contain none of these characters.
_RARE = re.compile(
    "["
    + "".join(map(re.escape, map(chr, _CONTROLS)))
    + rf"\u200b\ud800-\udfff{_INVISIBLE}{_FILLERS}]"
)


def normalise(text: str, form: NormalForm = "NFC") -> str:
    """The text on one line, normalised by the rules of this module.

    Takes linear time. Source: Unicode Standard Annex 15.

    >>> normalise("  ﬁne\\u200b  cafe\\u0301\\n\\tset ")
    'ﬁne café set'
    >>> normalise("ﬁne", "NFKC")
    'fine'
    """
    return composed(one_line(text), form)


def one_line(text: str) -> str:
    """Like :func:`normalise`, without the Unicode normal form."""
    if text.isascii():
        if not text.isprintable():
            text = text.translate(_CONTROLS)
        return " ".join(text.split())
    if _RARE.search(text):
        text = _SURROGATE.sub("\ufffd", _PAIR.sub(_character, text)).translate(_CONTROLS)
        text = _ZERO_WIDTH_SPACE.sub(r"\g<parts>", text)
        text = _LONG_RUN.sub("", _AFTER_SPACE.sub("", text))
    return " ".join(text.split())


def _character(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def composed(line: str, form: NormalForm = "NFC") -> str:
    """A text of one line in a Unicode normal form, with at most 30 combining marks in a row."""
    if line.isascii():
        return line
    limited = _fewer_marks(line)
    line = unicodedata.normalize(form, limited)
    if len(line) > len(limited):
        line = _fewer_marks(line)
    # The compatible form of a character may begin with a space.
    return " ".join(line.split()) if form == "NFKC" else line


def _fewer_marks(line: str) -> str:
    """The text with at most 30 combining marks in a row.

    Normalisation takes quadratic time in the number of marks. It may also decompose one mark into
    two, so marks are limited again afterwards.
    """
    return _long_marks().sub(r"\1", line) if _PERHAPS_MARKS.search(line) else line


@lru_cache(maxsize=1)
def _long_marks() -> re.Pattern[str]:
    marks = [code for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
    mark_set = set(marks)
    ranges = zip(
        (code for code in marks if code - 1 not in mark_set),
        (code for code in marks if code + 1 not in mark_set),
        strict=True,
    )
    class_ = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"([{class_}]{{{_MOST_MARKS}}})[{class_}]+")
