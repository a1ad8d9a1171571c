"""Find secrets: keys and tokens by documented prefixes, passwords and tokens by a name before."""

# ruff: noqa: RUF001

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from behavior_spark.cleaning.personal.numbers import NumberedText

Span = tuple[int, int]

_LONG = re.compile(r"(?<!\S)\S{16,}")
# Formats from the issuers' documentation and GitHub's list of secret-scanning partners.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z2-7]{16}(?![A-Za-z0-9])"
    r"|AIza[0-9A-Za-z_\-]{35}|GOCSPX-[\w\-]{20,}|ya29\.[\w\-]{20,}|1//0[\w\-]{30,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[\w\-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|xapp-\d-[A-Za-z0-9\-]{10,}|xoxe\.xox[bp]-[A-Za-z0-9\-]{10,}"
    r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_\-]{20,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w\-]{16,}|rubygems_[0-9a-f]{40,}|dckr_pat_[\w\-]{20,}"
    r"|SG\.[\w\-]{16,32}\.[\w\-]{16,64}|(?:AC|SK)[0-9a-f]{32}|key-[0-9a-f]{32}"
    r"|[0-9a-f]{32}-us\d{1,2}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|do[opr]_v1_[0-9a-f]{64}"
    r"|[MNO][\w\-]{23,27}\.[\w\-]{6}\.[\w\-]{27,40}"
    r"|sq0(?:atp|csp|idp)-[\w\-]{22,43}|EAAC[A-Za-z0-9]{20,}|dapi[0-9a-f]{32}|sl\.[\w\-]{60,}"
    r"|ATATT3[\w\-=]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}|lin_api_[A-Za-z0-9]{32,}"
    r"|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.\-]{20,}|hv[sb]\.[\w\-]{20,}|NRAK-[A-Z0-9]{20,}"
    r"|PMAK-[0-9a-f\-]{30,}|gl(?:sa|c)_[\w=+/]{30,}|secret_[A-Za-z0-9]{40,}|ntn_[A-Za-z0-9]{40,}"
    r"|figd_[\w\-]{30,}|pat-(?:na|eu)1-[0-9a-f\-]{30,}|rdme_[a-z0-9]{40,}|tfp_[\w\-]{40,}"
    r"|[A-Za-z0-9_~.]{3}8Q~[A-Za-z0-9_~.\-]{31,34}"  # Azure client secret
    r")"
)
# Prefixes that a long ordinary name may have too: a digit is required as well.
_WORDLIKE = ("sk-", "sl.", "hvs.", "hvb.", "dp.", "secret_", "SG.", "M", "N", "O", "pat-", "pypi-")
_TELEGRAM = re.compile(r"(?:(?<=/bot)|(?<![A-Za-z0-9_]))\d{8,10}:AA[\w\-]{32,35}")
_HOOK = re.compile(
    r"(?:hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/\d{1,20}/)"
    r"([\w/\-]{16,})"
)
_JWT = re.compile(r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{12,}(?:\.[A-Za-z0-9_\-]*){0,4}")
_IN_URL = re.compile(
    r"://(?P<user>[^\s/@:?#<>]{0,256}:[^\s/@?#<>]{1,256}|[^\s/@:?#<>]{20,256})@"
    r"|[?&;#,\"'](?P<name>[\w.\-]{0,24}(?:token|api_?key|apikey|secret|passw(?:or)?d|passwd|pwd|"
    r"signature|credential|jwt|sessionid|sessid)|pass|key|auth|code|sig|session|sid|ticket|state|"
    r"otp|hash|s?key)=(?P<value>[^\s&#\"'<>;]{3,2048})"
    r"|/[\w\-]{0,24}(?:reset|token|verify|verification|confirm|activate|invite|magic|unsubscribe|"
    r"password|login)[\w\-]{0,16}/(?P<path>[\w\-.~=]{16,512})",
    re.I,
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_PEM_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s,:.\-()@]|\\[nr])*+")
_PEM_CUT = re.compile(r"(?:\s|\\[nr]|[A-Za-z0-9+/=]{16,}+|[A-Z][A-Za-z\-]{2,20}: ?\S+)*+")
_LONGEST_KEY = 20_000
_BEARER = re.compile(
    r"\b(?:bearer|token|apikey|api-key)[ :]{1,3}(?P<bearer>[A-Za-z0-9._~+/\-]{16,2048}=*)"
    r"|\bbasic +(?P<basic>[A-Za-z0-9+/]{8,1024}={0,2})(?![A-Za-z0-9+/=])",
    re.I,
)

# Lower-case beginnings of the names of secrets. The whole names are in _PASSWORD and _KEY.
_STEMS = (
    "passw", "passp", "passc", "pass", "pwd", "p/w", "pw", "secret", "token", "key", "credential",
    "session", "sessid", "connect.sid", "authorization", "kennwort", "mot de passe", "mdp",
    "contrase", "clave", "senha", "wachtwoord", "hasł", "haslo", "hesl", "jelsz", "lösenord",
    "adgangskode", "kodeord", "salasana", "şifre", "sifre", "parol", "schlüssel", "jeton",
    "lozink", "gesl",
)  # fmt: skip
_STEMS_OF_OTHER_SCRIPTS = (
    "парол", "лозинк", "סיסמ", "ключ", "токен", "密码", "密碼", "口令", "パスワード",
    "비밀번호", "암호", "mật khẩu", "kata sandi", "รหัสผ่าน", "كلمة المرور", "पासवर्ड", "密钥", "令牌",
)  # fmt: skip
# With the endings that a word gets where a sentence goes on: "A jelszavam: ...".
_PASSWORD = re.compile(
    r"pass ?w(?:or)?ds?|passw(?:ort(?:e?s)?|örter|d)|passord(?:et)?|passphrase|passcode|pass|pwd|"
    r"p/w|pw|kennwort|mot de passe|mdp|contrase[nñ]a|clave|senha|wachtwoord|has[lł](?:o|a|u|em)|"
    r"hesl(?:o|a|u|em)|jelsz(?:ó|av)\w{0,5}|lösenord(?:et)?|adgangskoden?|kodeord(?:et)?|"
    r"salasana\w{0,4}|[sş]ifre\w{0,4}|parol(?:a\w{0,3}|[ăeo])?|lozink[aue]|gesl[oau]|"
    r"парол(?:ь|я|ю|ем)|лозинк[аеу]|סיסמ\w{1,2}|密码|密碼|口令|"
    r"パスワード|비밀번호|암호|mật khẩu|kata sandi|รหัสผ่าน|كلمة المرور|पासवर्ड"
)
_OWNER = re.compile(r" (?:mitt|mea|mia|moje|của tôi|saya|שלי)(?=[ :])")
_KEY = re.compile(
    r"secret(?:[ _\-]?(?:access[ _\-]?)?(?:key|token))?|token|key|credentials?|session[ _\-]?(?:id|"
    r"key|token)|sessid|connect\.sid|authorization|schlüssel|jeton|ключ|токен|密钥|令牌"
)
_KIND_OF_KEY = re.compile(
    r"(?:api|access|secret|private|encryption|account|shared|signing|client|master|auth|app|"
    r"aws|azure|gcp|license|ssh|deploy|webhook|host)[ _\-]?(?:access[ _\-]?)?$"
)
_VALUE = re.compile(
    r"(?P<quote>[\"'`*\]]{0,2}) {0,3}"
    r"(?P<sign>:=|=>|==?|:|(?:is:|is|was|ist|lautet|est|es|è|é|to|är|er|je|"
    r"jest|este|là|adalah|on)(?= )|は|是|为|為|[은는](?= )|-(?= )|(?= ))"
    r"[ *`]{0,3}(?:\"(?P<double>[^\"]{3,256})\"|'(?P<single>[^']{3,256})'"
    r"|(?P<bare>[^\s\"'<>`]{3,1024}))",
    re.I,
)
_NO_VALUE = re.compile(
    r"(?:none|null|nil|true|false|str|string|undefined|required|optional|empty|invalid|wrong|"
    r"incorrect|reset|change[d]?|forgot\w*|expired?|missing|your|the|and|not|n/a|tba|todo|"
    r"protected|please|must|should|will|has|was|for|field|input|manager|policy|yes|no|ok|failed|"
    r"забыл\w*|vergessen|oubli\w+|olvid\w+|esquec\w+|dimentic\w+|zapomn\w+|elfelejt\w+|"
    r"unut\w+|glömt|glemt|vergeten)$|"
    r"(?:[$%{]|os\.|env[.\[(_]|process\.|self\.|\*{3}|x{3,}$|\.{3}|\\|https?://)",
    re.I,
)
_CODE = re.compile(r"[(\[{]")
_ELEMENT = re.compile(
    r"<(?P<name>[\w:.\-]{0,24}(?:password|passwd|pwd|secret|token|apikey))>"
    r"(?P<value>[^<>]{3,256})</(?P=name)>",
    re.I,
)
_OPTION = re.compile(
    r"(?<!\S)--(?:[a-z]{1,16}-)?(?:password|passwd|pass|pwd|secret) "
    r"['\"]?(?P<value>[^\s'\"\-<][^\s'\"<]{3,256})"
    r"|(?<!\S)(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,64}:(?P<login>[^\s'\"/<]{3,256})",
    re.I,
)


def find_secrets(numbered: NumberedText) -> Iterator[Span]:
    """Spans of the secrets in a text, in any order; they may overlap."""
    text = numbered.text
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    for long in _LONG.finditer(text):
        yield from _in_long_word(text, *long.span())
    yield from _named(text)
    if "</" in text:
        yield from (match.span("value") for match in _ELEMENT.finditer(text))
    if " -" in text or text.startswith("-"):
        yield from _of_options(text)
    if "earer" in text or "asic " in text or "BEARER" in text or "oken" in text:
        for match in _BEARER.finditer(text):
            if match["basic"] is None:
                if any(c.isdigit() for c in match["bearer"]):
                    yield match.span("bearer")
            elif _is_user_and_password(match["basic"]):
                yield match.span("basic")


def _private_keys(text: str) -> Iterator[Span]:
    """Spans of PEM blocks (RFC 7468); of a block without its end, the part that may be a key."""
    ends = [match.end() for match in _PEM_END.finditer(text)]
    previous_end, index = 0, 0
    while begin := _PEM.search(text, previous_end):
        while index < len(ends) and ends[index] < begin.end():
            index += 1
        end = ends[index] if index < len(ends) else len(text)
        if end - begin.end() > _LONGEST_KEY or not _PEM_BODY.fullmatch(text, begin.end(), end):
            cut = _PEM_CUT.match(text, begin.end(), begin.end() + _LONGEST_KEY)
            end = cut.end() if cut else begin.end()
        yield begin.start(), end
        previous_end = end


def _in_long_word(text: str, start: int, end: int) -> Iterator[Span]:
    for match in _ISSUED.finditer(text, start, end):
        wordlike = match.group().startswith(_WORDLIKE)
        if not wordlike or any(c.isdigit() for c in match.group()):
            yield match.span()
    if "eyJ" in text[start:end]:
        yield from (match.span() for match in _JWT.finditer(text, start, end))
    if ":AA" in text[start:end]:
        yield from (match.span() for match in _TELEGRAM.finditer(text, start, end))
    if not ("/" in text[start:end] or "=" in text[start:end]):
        return
    for match in _HOOK.finditer(text, start, end):
        yield match.span(1)
    for match in _IN_URL.finditer(text, start, end):
        if match["user"] or (match["path"] and any(c.isdigit() for c in match["path"])):
            yield match.span("user" if match["user"] else "path")
        elif match["value"] and _is_url_secret(match["name"].lower(), match["value"]):
            yield match.span("value")


def _is_url_secret(name: str, value: str) -> bool:
    if _NO_VALUE.match(value):
        return False
    if name.endswith(("password", "passwd", "pwd", "pass", "secret")):
        return True
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    short_names = ("key", "auth", "code", "sig", "session", "sid", "ticket", "state", "hash", "otp")
    return len(value) >= (12 if name in short_names else 6) and (mixed or len(value) >= 20)


def _of_options(text: str) -> Iterator[Span]:
    """Spans of passwords in command lines: ``--password x``, ``curl -u name:x``."""
    for match in _OPTION.finditer(text):
        if match["value"]:
            if any(c.isdigit() for c in match["value"]) and not _NO_VALUE.match(match["value"]):
                yield match.span("value")
        elif "curl" in text[max(match.start() - 256, 0) : match.start()]:
            yield match.span("login")


def _named(text: str) -> Iterator[Span]:
    """Spans of values after the name of a password, key or token."""
    lower = text.lower()
    if len(lower) != len(text):  # a capital becomes two letters: lowercase ASCII only
        lower = "".join(c.lower() if c.isascii() else c for c in text)
    stems = _STEMS if lower.isascii() else _STEMS + _STEMS_OF_OTHER_SCRIPTS
    for stem in stems:
        position = lower.find(stem)
        while position >= 0:
            span = _named_here(text, lower, position)
            if span:
                yield span
            position = lower.find(stem, max(position + 1, span[1] if span else 0))


def _named_here(text: str, lower: str, position: int) -> Span | None:
    password = _PASSWORD.match(lower, position)
    before = text[position - 1 : position]
    if (
        password
        and before.isalnum()
        and before.isascii()
        and not (before.islower() and text[position].isupper())
        and not text.startswith("PASSWORD=", position)
    ):
        return None
    name = password or _KEY.match(lower, position)
    if name is None:
        return None
    if name.group() == "key" and not _KIND_OF_KEY.search(lower[max(position - 24, 0) : position]):
        return None
    owner = _OWNER.match(lower, name.end()) if password else None
    match = _VALUE.match(text, owner.end() if owner else name.end())
    if match is None or (match["sign"] == "on" and not name.group().startswith("salasana")):
        return None
    group = next(group for group in ("double", "single", "bare") if match[group])
    start, end = match.span(group)
    if group == "bare":
        end = start + len(_without_end(match["bare"], match["sign"]))
    is_password = password is not None
    return (start, end) if _is_secret_value(text, match, start, end, is_password) else None


def _without_end(value: str, sign: str) -> str:
    value = re.sub(r"\\[nrt].*", "", value)
    if sign == "=":
        value = re.split(r"[&;]", value, maxsplit=1)[0]
    return value.rstrip(".,;:!?)]}*`")


def _is_secret_value(
    text: str, match: re.Match[str], start: int, end: int, is_password: bool
) -> bool:
    value, sign, bare = text[start:end], match["sign"], bool(match["bare"])
    if len(value) < 3 or "<" in value or _NO_VALUE.match(value) or (bare and _CODE.search(value)):
        return False
    digit, letter = any(c.isdigit() for c in value), any(c.isalpha() for c in value)
    if not is_password or not sign:
        if not sign and len(value) < 16:
            return False
        if " " in value:
            return False
        return (len(value) >= 8 and digit and letter) or (len(value) >= 24 and "/" not in value)
    if not bare or sign in ("=", "=>", ":=", "=="):
        return True
    unusual = digit or (not value.isalnum() and re.search(r"[^\w\-/.,']", value) is not None)
    if not sign.startswith((":", "は", "是", "为", "為")):
        return len(value) >= 4 and unusual
    joined = text[start - 1 : start] != " "
    ends = re.match(r"[\s]*(?:$|[.,;!\n)])", text[end : end + 8]) is not None
    return bool(unusual) or joined or ends or not (value.islower() or value.istitle())


def names_a_password(text: str) -> bool:
    """Whether a word for a password or a key is in a text; a quick check."""
    lower = text.lower()
    stems = _STEMS if lower.isascii() else _STEMS + _STEMS_OF_OTHER_SCRIPTS
    return any(stem in lower for stem in stems)


def _is_user_and_password(encoded: str) -> bool:
    try:
        return b":" in base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return False
