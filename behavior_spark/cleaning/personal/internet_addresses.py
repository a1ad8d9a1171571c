"""Find IP addresses (version 4 and 6), but not software versions with four parts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from behavior_spark.cleaning.personal.context import is_amount, label, words_after, words_before
from behavior_spark.cleaning.personal.numbers import NumberedText

Span = tuple[int, int]

_DOT = r"(?:\.|\[\.\]|\(\.\))"
_V4 = re.compile(
    rf"(?<![A-Za-z0-9_.])(?:(?<=[^\W_])|(?<!\w))\d{{1,3}}(?:{_DOT}\d{{1,3}}){{3}}"
    r"(?![A-Za-z0-9_]|\.\d|[-+][A-Za-z]|,\d\d(?![\d.]))"
)
_V6 = re.compile(
    r"(?:(?<![0-9A-Za-z_:.])|(?<=[g-zG-Z_]:)|(?<=[g-zG-Z_][A-Za-z]:)|(?<=[g-zG-Z_][A-Za-z]{2}:))"
    r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"
    r"(?::(?:\d{1,3}\.){3}\d{1,3}|(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z_:]|\.\d)"
)
_V6_MAPPED = re.compile(
    r"(?<![0-9A-Za-z_:.])::(?:ffff:)?(?:\d{1,3}\.){3}\d{1,3}(?![\w:]|\.\d)", re.I
)
_VERSION_RIGHT_BEFORE = re.compile(
    r"(?:(?<![a-z0-9])(?:v|rv|ver|version|versions|release|releases|rel|build|builds|rev|revision|"
    r"firmware|fw|driver|drivers|sdk|api|patch|section|sections|sec|chapter|clause|figure|fig|"
    r"table|article|paragraph|para|step|appendix|rfc|iso|version nummer|fassung|abschnitt|kapitel|"
    r"versión|versão|versione|wersja|wersji|verzió|версия|версии|版本|バージョン|버전)"
    r"(?:[\s.:#=(]|no|number|is|was|to|from|up|now)*|§\s?|[a-z]/|[a-z0-9][_\-])$"
)
_VERSION = label(
    r"versions?", r"updat\w+", r"upgrad\w+", r"downgrad\w+", r"releas\w+", r"firmware", r"build",
    r"install\w*", r"changelog", r"patch\w*", r"plugins?", r"packages?", r"pip", r"npm", r"dll",
    r"drivers?", r"aktualisier\w+", r"mise à jour", r"actualiz\w+", r"обновл\w+",
)  # fmt: skip
_NETWORK = label(
    r"ips?", r"ipv4", r"ip-?address\w*", r"address\w*", r"hosts?", r"servers?", r"ping\w*",
    r"dns", r"gateway", r"subnet", r"vpn", r"proxy", r"router", r"ssh", r"login\w*", r"logged",
    r"network", r"client", r"connect\w*", r"from", r"adresse", r"dirección", r"adres", r"serveur",
)  # fmt: skip
_ENDING_OF_FILE = re.compile(r"\.(?:zip|tar|gz|tgz|exe|msi|jar|deb|rpm|whl|dmg|apk|dll|so)\b")
_MANY_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")


def find_internet_addresses(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the IP addresses in a text, in order."""
    text = numbered.text
    spans: list[Span] = []
    if _MANY_COLONS.search(text):
        spans = [match.span() for match in _V6_MAPPED.finditer(text)]
        spans += [match.span() for match in _V6.finditer(text) if _is_v6(match.group())]
    if text.count(".") >= 3 and numbered.words:
        masked_to = 0
        for match in _V4.finditer(text):
            if _is_v4(text, match, masked_to):
                spans.append(match.span())
                masked_to = match.end()
    previous_end = 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= previous_end:
            yield start, end
            previous_end = end


def _is_v6(candidate: str) -> bool:
    try:
        ipaddress.IPv6Address(candidate)
    except ValueError:
        return False
    parts = [part for part in candidate.split(":") if part]
    if candidate.isdigit():
        return False
    if not any(c.isdigit() for c in candidate):
        return len(parts) >= 3 and sum(map(len, parts)) >= 8  # abc::face is a name in code
    if not candidate.replace(":", "").isdigit():
        # Short ones may be names in code, such as A1::B2.
        size = sum(map(len, parts))
        return size >= 8 or (size >= 4 and len(parts[0]) >= 3)
    # Only digits: a time or a slice such as 10::2, unless the first part is that of a public or
    # local address.
    long_first = len(parts[0]) >= 3 and not candidate.startswith(":")
    return (long_first and parts[0][0] in "123f" and len(parts) > 1 and parts[0] != "1000") or (
        sum(map(len, parts)) >= 8 and any(len(part) > 2 for part in parts)
    )


def _is_v4(text: str, match: re.Match[str], masked_to: int) -> bool:
    """Whether it is an address; what stands before ``masked_to`` says nothing of it."""
    parts = re.findall(r"\d+", match.group())
    padded = all(len(part) == 3 for part in parts)
    if any(int(part) > 255 or (part[0] == "0" and part != "0" and not padded) for part in parts):
        return False
    if is_amount(text, match.start(), match.end()):
        return False
    before = words_before(text, match.start())
    before = before[-(match.start() - masked_to) :] if masked_to < match.start() else ""
    if _VERSION_RIGHT_BEFORE.search(before) or _ENDING_OF_FILE.match(text, match.end()):
        return False
    if max(map(int, parts)) >= 100:
        return True
    network = _NETWORK.search(before)
    if _VERSION.search(before) or _VERSION.search(words_after(text, match.end())):
        return False
    return network is not None or any(len(part) > 1 for part in parts)
