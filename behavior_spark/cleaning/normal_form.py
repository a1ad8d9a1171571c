"""One form for texts that differ in nothing a reader or an encoder sees.

What becomes of a character is decided here alone, for the store, the SQL functions and Python:

- White space, however much and of whatever kind: one space, and none at the ends.
- Other control characters (C0 and C1, NUL too): nothing, as in BERT's and SentencePiece's own
  tokenizers.
- Soft hyphen, zero-width space, byte-order mark, direction marks, word joiner: nothing. But a
  zero-width space that parts two letters of Thai, Lao, Burmese or Khmer stays.
- Joiners, variation selectors and other invisible characters that emoji and scripts need: they
  stay beside a visible character, and go after white space and in long runs.
- More than 30 combining marks in a row: the first 30 (UAX 15, stream-safe text).
- Halves of surrogate pairs: U+FFFD.
- All else: Unicode normal form C, or KC where asked for.

Ids of users, items and rows are no texts: none of their characters is changed here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain
from typing import Literal

NormalForm = Literal["NFC", "NFKC"]

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSEEN = chain(
    range(0x20), range(0x7F, 0xA0), (0xAD, 0x61C, 0x200E, 0x200F, 0xFEFF), range(0x202A, 0x202F),
    range(0x2060, 0x206A), range(0xFFF9, 0xFFFC),
)  # fmt: skip
_CONTROLS = {code: " " if chr(code) in "\t\n\r\x0b\x0c\x85" else None for code in _UNSEEN}
# Letters of scripts that write no space between words.
_UNSPACED = "\u0e01-\u0e4f\u0e81-\u0ecf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
_ZERO_WIDTH_SPACE = re.compile(
    f"(?<=[{_UNSPACED}])(?P<parts>\u200b)\u200b*+(?=[{_UNSPACED}])|\u200b+"
)
_INVISIBLE = (
    "\u034f\u17b4\u17b5\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0001-\U000e007f"
    "\U000e0100-\U000e01ef"
)
_FILLERS = "\u115f\u1160\u3164\uffa0"  # Hangul's, which may begin a word
_AFTER_SPACE = re.compile(rf"(?:^|(?<=\s))[{_INVISIBLE}]+")
_LONG_RUN = re.compile(rf"[{_INVISIBLE}{_FILLERS}]{{17,}}")
_MOST_MARKS = 30


def normalise(text: str, form: NormalForm = "NFC") -> str:
    """The text on one line, with single spaces, no edges and no control characters.

    Takes time in proportion to its length. Source: Unicode Standard Annex 15.

    >>> normalise("  ﬁne\\u200b  cafe\\u0301\\n\\tset ")
    'ﬁne café set'
    >>> normalise("ﬁne", "NFKC")
    'fine'
    """
    return composed(one_line(text), form)


def one_line(text: str) -> str:
    """As :func:`normalise`, before characters are composed; of what is left all can be seen."""
    if text.isascii():
        if not text.isprintable():
            text = text.translate(_CONTROLS)
        return " ".join(text.split())
    text = _SURROGATE.sub("\ufffd", text).translate(_CONTROLS)
    if "\u200b" in text:
        text = _ZERO_WIDTH_SPACE.sub(r"\g<parts>", text)
    text = _LONG_RUN.sub("", _AFTER_SPACE.sub("", text))
    return " ".join(text.split())


def composed(line: str, form: NormalForm = "NFC") -> str:
    """A text of one line in a Unicode normal form."""
    if line.isascii():
        return line
    line = _fewer_marks(unicodedata.normalize(form, _fewer_marks(line)))
    # What a character is compatible with may begin with a space.
    return " ".join(line.split()) if form == "NFKC" else line


def _fewer_marks(line: str) -> str:
    """To order many marks takes squared time; some marks are two once decomposed."""
    return _long_marks().sub(r"\1", line) if len(line) > _MOST_MARKS else line


@lru_cache(maxsize=1)
def _long_marks() -> re.Pattern[str]:
    marks = [code for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
    known = set(marks)
    ranges = zip(
        (code for code in marks if code - 1 not in known),
        (code for code in marks if code + 1 not in known),
        strict=True,
    )
    class_ = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"([{class_}]{{{_MOST_MARKS}}})[{class_}]+")
