"""Find e-mail addresses (RFC 5322; RFC 6531 for other scripts), also written in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from behavior_spark.cleaning.personal.context import UNSPACED
from behavior_spark.cleaning.personal.numbers import NumberedText

Span = tuple[int, int]

_LOCAL_LENGTH = 64
# Matched backwards from the '@'.
_LOCAL = re.compile(rf"(?:[^\W{UNSPACED}]|[.+%~!#$&'*/=?^`{{|}}\-])+|(?:\w|[.+%~'\-])+")
_PLAIN_LOCAL = re.compile(rf"(?:[^\W{UNSPACED}]|[.+%~'\-])+|(?:\w|[.+%~'\-])+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.){1,64}"\Z')
_LABEL_ASCII, _LABEL_ANY = r"[A-Za-z0-9][A-Za-z0-9\-_]{0,62}+", r"\w[\w\-]{0,62}+"
_DOMAIN = re.compile(
    rf"(?:{_LABEL_ASCII}\.)++(?P<top>xn--[A-Za-z0-9\-]{{1,59}}|[A-Za-z]{{2,24}}(?![^\W{UNSPACED}]|-[A-Za-z0-9]))"
    rf"|(?:{_LABEL_ANY}\.){{1,8}}(?:xn--[A-Za-z0-9\-]{{1,59}}|[^\W\d_]{{2,24}})"
    r"|\[(?:IPv6:)?[0-9A-Fa-f:.]{3,45}\]"
)
FILE_ENDINGS = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "scss", "html", "htm", "json", "yaml",
     "yml", "xml", "csv", "txt", "pdf", "zip", "gz", "exe", "dll")
)  # fmt: skip
_IN_ADDRESS = re.compile(r"://|[/?]\S*=|^www\.")
_KEY = re.compile(r"^[\w\-]{1,32}=(?=.)")
_SPELT_AT = re.compile(r" {0,2}[\[({<] ?(?:at|AT|At|@|arroba|ät) ?[\])}>] {0,2}| (?:at|AT) ")
_BRACKETED_AT = re.compile(r"[\[({<] ?(?:at|AT|At|@|arroba|ät) ?[\])}>]")
_SPELT_LOCAL = re.compile(r"[\w+%\-](?:[\w.+%\-]{0,63})")
_DOT = r"(?:\.| {0,2}[\[({<] ?(?:dot|DOT|Dot|punkt|punto|\.) ?[\])}>] {0,2})"
_SPELT_DOMAIN = re.compile(rf"[\w\-]{{1,63}}(?:{_DOT}[\w\-]{{1,63}}){{1,4}}")
_SPOKEN_DOMAIN = re.compile(
    r"[\w\-]{1,63}(?: (?:dot|DOT) [\w\-]{1,63}){0,3} (?:dot|DOT) "
    r"(?:com|net|org|edu|gov|io|co|info|de|uk|fr|eu|ch|at|nl|es|it|pl|se)(?!\w)"
)


def find_emails(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the e-mail addresses in a text, in order."""
    text = numbered.text
    previous_end = 0
    at = text.find("@")
    while at >= 0:
        span = _around(text, at, previous_end)
        if span:
            yield span
            previous_end = span[1]
        at = text.find("@", max(at + 1, previous_end))
    yield from _spelt_out(text)


def _around(text: str, at: int, previous_end: int) -> Span | None:
    """Span of the address with the '@' at ``at``, starting at ``previous_end`` or later."""
    domain = _DOMAIN.match(text, at + 1, at + 256)
    if domain is None or (domain["top"] or "").lower() in FILE_ENDINGS:
        return None
    left = text[max(at - _LOCAL_LENGTH - 2, previous_end) : at]
    if left.endswith('"'):
        start = left.rfind('"', 0, -1)
        while start > 0 and left[start - 1] == "\\":
            start = left.rfind('"', 0, start)
        quoted = _QUOTED.match(left, start) if start >= 0 else None
        return (at - len(left) + start, domain.end()) if quoted else None
    backwards = _LOCAL.match(left[::-1])
    if backwards is None:
        return None
    local = backwards.group()[::-1]
    word = text[max(at - 256, previous_end) : at].rpartition(" ")[2]
    if _IN_ADDRESS.search(word):
        plain = _PLAIN_LOCAL.match(left[::-1])
        local = plain.group()[::-1] if plain else ""
    if key := _KEY.match(local):
        local = local[key.end() :]
    local = re.sub(r"^\W+(?=.*\w)", "", local[-_LOCAL_LENGTH:])
    if not local or local.isspace():
        return None
    return at - len(local), domain.end()


def _spelt_out(text: str) -> Iterator[Span]:
    """Spans of addresses such as ``ann (at) example.com`` and ``ann at example dot com``."""
    if not (" dot " in text or " DOT " in text or _BRACKETED_AT.search(text)):
        return
    previous_end = 0
    for match in _SPELT_AT.finditer(text):
        spoken = match.group().isalpha() or not match.group().strip(" atAT")
        pattern = _SPOKEN_DOMAIN if spoken else _SPELT_DOMAIN
        domain = pattern.match(text, match.end(), match.end() + 300)
        left = text[max(match.start() - _LOCAL_LENGTH, previous_end) : match.start()]
        local = _SPELT_LOCAL.match(left[::-1])
        if domain and local:
            previous_end = domain.end()
            yield match.start() - local.end(), domain.end()
