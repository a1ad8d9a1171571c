"""Made-up personal data, from published formats and not from the detector's.

Phone numbers are libphonenumber's examples of every country, IBANs follow SWIFT's registry, cards
the issuers' prefixes, national numbers the documents behind ``stdnum``; check digits are computed
here or by brute force. Separators are changed afterwards, whatever the kind is.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import random
import string
from collections.abc import Callable, Iterator

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import luhn, numdb, verhoeff
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.iso7064 import mod_97_10
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

Make = Callable[[random.Random], str]

UPPER, DIGITS = string.ascii_uppercase, string.digits
ALNUM_UPPER = UPPER + DIGITS
_ALNUM = string.ascii_letters + string.digits


def some(rng: random.Random, alphabet: str, size: int) -> str:
    """``size`` characters of an alphabet."""
    return "".join(rng.choices(alphabet, k=size))


def digits(rng: random.Random, size: int) -> str:
    """``size`` digits, the first not zero."""
    return rng.choice("123456789") + some(rng, DIGITS, size - 1)


# --- personal ---------------------------------------------------------------------------------


def email(rng: random.Random) -> str:
    """Addresses as they are registered: plain, with tags, rare characters, other scripts."""
    first, last = (
        rng.choice(["ann", "bob", "zoë", "jürgen", "o'neil", "мария"]),
        rng.choice(["smith", "li", "garcía", "x", "van-dijk"]),
    )
    local = rng.choice(
        [
            f"{first}.{last}",
            f"{first}{rng.randint(1, 99)}",
            f"{first}+{last}",
            f"{first}_{last}",
            f'"{first} {last}"',
            f"{first}/{last}",
            f"{first}!{last}",
            f"{last}%{first}",
            f"{first}-",
        ]
    )
    domain = rng.choice(
        [
            "example.com",
            "mail.example.co.uk",
            "bücher.example",
            "xn--bcher-kva.example",
            "a-b.io",
            "пример.рф",
            "例え.テスト",
            "sub.dept.uni-köln.de",
            "EXAMPLE.ORG",
        ]
    )
    return f"{local}@{domain}"


def email_encoded(rng: random.Random) -> str:
    """The '@' as a link or a page has it."""
    sign = rng.choice(["%40", "&#64;", "&#x40;", "&commat;", "\uff20", " (at) ", "[at]"])
    return f"{rng.choice(['ann', 'bob.li', 'c_d'])}{sign}example.{rng.choice(['com', 'org', 'de'])}"


def _examples() -> Iterator[phonenumbers.PhoneNumber]:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield number


_EXAMPLES = list(_examples())


def phone_abroad(rng: random.Random) -> str:
    """An example of any country with its country code."""
    number = rng.choice(_EXAMPLES)
    form = rng.choice([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL])
    return phonenumbers.format_number(number, form)


def phone_zeros(rng: random.Random) -> str:
    """An example of any country behind 00, as it is dialled in most of Europe."""
    return "00" + phone_abroad(rng).removeprefix("+")


def phone_national(rng: random.Random) -> str:
    """An example of any country as it is written there; seven digits and more."""
    while True:
        written = phonenumbers.format_number(rng.choice(_EXAMPLES), PhoneNumberFormat.NATIONAL)
        if sum(c.isdigit() for c in written) >= 7:
            return written


_CARDS = (
    ("4", 16, (4, 4, 4, 4)),
    ("4", 19, (4, 4, 4, 4, 3)),
    ("51", 16, (4, 4, 4, 4)),
    ("55", 16, (4, 4, 4, 4)),
    ("2221", 16, (4, 4, 4, 4)),
    ("2720", 16, (4, 4, 4, 4)),
    ("34", 15, (4, 6, 5)),
    ("37", 15, (4, 6, 5)),
    ("6011", 16, (4, 4, 4, 4)),
    ("65", 16, (4, 4, 4, 4)),
    ("36", 14, (4, 6, 4)),
    ("305", 14, (4, 6, 4)),
    ("3530", 16, (4, 4, 4, 4)),
    ("62", 16, (4, 4, 4, 4)),
    ("62", 19, (6, 13)),
    ("2202", 16, (4, 4, 4, 4)),
    ("6304", 18, (4, 4, 4, 4, 2)),
)


def card(rng: random.Random) -> str:
    """A card number of an issuer, in one piece or in its printed groups."""
    prefix, size, groups = rng.choice(_CARDS)
    body = prefix + some(rng, DIGITS, size - len(prefix) - 1)
    number = body + luhn.calc_check_digit(body)
    return number if rng.random() < 0.4 else grouped(number, groups, " ")


def grouped(number: str, sizes: tuple[int, ...], sign: str) -> str:
    """A number in groups of these sizes."""
    parts, read = [], 0
    for size in sizes:
        parts.append(number[read : read + size])
        read += size
    return sign.join(parts)


def iban(rng: random.Random) -> str:
    """An account number of any country of the registry."""
    entry = rng.choice(numdb.get("iban").prefixes)
    account = ""
    for field in (
        entry[3]["bban"]
        .replace("!", " ")
        .replace("n", "n|")
        .replace("a", "a|")
        .replace("c", "c|")
        .strip("|")
        .split("|")
    ):
        size, kind = field.split()
        alphabet = {"n": DIGITS, "a": UPPER, "c": UPPER + DIGITS}[kind]
        account += some(rng, alphabet, int(size))
    number = entry[1] + mod_97_10.calc_check_digits(account + entry[1]) + account
    if rng.random() < 0.5:
        number = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    return number.lower() if rng.random() < 0.1 else number


def ipv4(rng: random.Random) -> str:
    """Any unicast address."""
    return str(ipaddress.IPv4Address(rng.randrange(0x0B000000, 0xE0000000)))


def ipv6(rng: random.Random) -> str:
    """A global address, compressed or not."""
    address = ipaddress.IPv6Address((0x20010DB8 << 96) | rng.getrandbits(rng.choice([16, 64, 96])))
    return address.exploded if rng.random() < 0.3 else str(address)


def _until(rng: random.Random, make: Make, is_valid: Callable[[str], bool]) -> str:
    while not is_valid(number := make(rng)):
        pass
    return number


def national_id(rng: random.Random) -> str:
    """A valid number of one of twelve countries, behind its name in the country's language."""
    name, make = rng.choice(_IDS)
    return f"{name}\0{make(rng)}"


def _nir(rng: random.Random) -> str:
    body = f"{rng.choice('12')}{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(21, 95)}"
    body += some(rng, DIGITS, 6)
    return body + nir.calc_check_digits(body)


def _hetu(rng: random.Random) -> str:
    day = f"{rng.randint(1, 28):02}{rng.randint(1, 12):02}{rng.randint(30, 99)}"
    return _until(
        rng, lambda r: f"{day}-{r.randint(2, 899):03}{r.choice(UPPER + DIGITS)}", hetu.is_valid
    )


def _ric(rng: random.Random) -> str:
    body = rng.choice(["110101", "310104", "440305", "510104"]) + "19"
    body += f"{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body += some(rng, DIGITS, 3)
    return body + ric.calc_check_digit(body + "0")


def _codice(rng: random.Random) -> str:
    body = (
        "RSSMRA" + f"{rng.randint(40, 99)}{rng.choice('ABCDEHLMPRST')}{rng.randint(1, 28):02}H501"
    )
    return body + codicefiscale.calc_check_digit(body)


def _pesel(rng: random.Random) -> str:
    body = f"{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body += some(rng, DIGITS, 4)
    return body + pesel.calc_check_digit(body)


def _personnummer(rng: random.Random) -> str:
    body = f"{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    serial = some(rng, DIGITS, 3)
    return f"{body}-{serial}{luhn.calc_check_digit(body + serial)}"


def _nie(rng: random.Random) -> str:
    body = rng.choice("XYZ") + some(rng, DIGITS, 7)
    return body + nie.calc_check_digit(body)


def _aadhaar(rng: random.Random) -> str:
    body = rng.choice("23456789") + some(rng, DIGITS, 10)
    return grouped(body + verhoeff.calc_check_digit(body), (4, 4, 4), " ")


_IDS: tuple[tuple[str, Make], ...] = (
    (
        "SSN",
        lambda r: _until(
            r,
            lambda q: f"{some(q, DIGITS, 3)}-{some(q, DIGITS, 2)}-{some(q, DIGITS, 4)}",
            ssn.is_valid,
        ),
    ),
    (
        "National Insurance number",
        lambda r: (
            f"{r.choice('ABCEHJKL')}{r.choice('ABCEHJLM')} "
            f"{some(r, DIGITS, 2)} {some(r, DIGITS, 2)} {digits(r, 2)} {r.choice('ABCD')}"
        ),
    ),
    ("Steuer-ID", lambda r: _until(r, lambda q: digits(q, 11), idnr.is_valid)),
    ("numéro de sécurité sociale", _nir),
    ("codice fiscale", _codice),
    ("PESEL", _pesel),
    ("DNI", lambda r: (n := some(r, DIGITS, 8)) + dni.calc_check_digit(n)),
    ("NIE", _nie),
    ("BSN", lambda r: _until(r, lambda q: digits(q, 9), bsn.is_valid)),
    ("CPF", lambda r: cpf.format((n := some(r, DIGITS, 9)) + cpf._calc_check_digits(n))),
    ("personnummer", _personnummer),
    ("henkilötunnus", _hetu),
    ("身份证", _ric),
    ("Aadhaar", _aadhaar),
)


def key(rng: random.Random) -> str:
    """A key or token by its issuer's documented form."""
    hexa = string.hexdigits[:16]
    return rng.choice(
        [
            "AKIA" + some(rng, UPPER + "234567", 16),
            "AIza" + some(rng, _ALNUM + "_-", 35),
            "ghp_" + some(rng, _ALNUM, 36),
            "github_pat_" + some(rng, _ALNUM, 22) + "_" + some(rng, _ALNUM, 59),
            "glpat-" + some(rng, _ALNUM, 20),
            "xoxb-" + digits(rng, 12) + "-" + digits(rng, 12) + "-" + some(rng, _ALNUM, 24),
            "sk_live_" + some(rng, _ALNUM, 24),
            "rk_test_" + some(rng, _ALNUM, 24),
            "SG." + some(rng, _ALNUM, 22) + "." + some(rng, _ALNUM, 43),
            "npm_" + some(rng, _ALNUM, 36),
            "dapi" + some(rng, hexa, 32),
            "hf_" + some(rng, string.ascii_letters, 32) + "42",
        ]
    )


def jwt(rng: random.Random) -> str:
    """A JSON web token (RFC 7519)."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    signature = base64.urlsafe_b64encode(rng.randbytes(32)).decode().rstrip("=")
    return ".".join(
        [part({"alg": "HS256", "typ": "JWT"}), part({"sub": digits(rng, 10)}), signature]
    )


def password(rng: random.Random) -> str:
    """A named value; only what is behind the last NUL must go."""
    name = rng.choice(
        [
            "password: ",
            "passwd=",
            "Passwort: ",
            "mot de passe : ",
            "contraseña: ",
            "api_key=",
            "token=",
            "API key: ",
            "пароль: ",
            "client_secret = ",
            "Authorization: Bearer ",
            "AccountKey=",
        ]
    )
    long = not name.lower().startswith(("pass", "mot", "contr", "пар"))
    return f"{name}\0{some(rng, _ALNUM, 24 if long else 8)}{rng.randint(10, 99)}"


def in_url(rng: random.Random) -> str:
    """A token or a password inside an address; only what is behind the last NUL must go."""
    head, tail = rng.choice(
        [
            ("https://example.com/reset?token=", "&lang=en"),
            ("https://bob:", "@example.com/x"),
            ("https://api.example.com/v1?api_key=", ""),
            ("https://x.example/?access_token=", "#a"),
            ("postgres://app:", "@db.example:5432/x"),
            ("https://example.com/reset-password/", ""),
        ]
    )
    return f"{head}\0{some(rng, _ALNUM, 24)}{rng.randint(10, 99)}\0{tail}"


PERSONAL: dict[str, Make] = {
    "e-mail": email,
    "e-mail, encoded": email_encoded,
    "phone, country code": phone_abroad,
    "phone, 00": phone_zeros,
    "phone, national": phone_national,
    "card": card,
    "IBAN": iban,
    "IPv4": ipv4,
    "IPv6": ipv6,
    "national id": national_id,
    "key by prefix": key,
    "JWT": jwt,
    "named secret": password,
    "secret in URL": in_url,
}

# --- frames and separators --------------------------------------------------------------------

FRAMES = [
    "{}", "I wrote {} down.", "see {} please", "Hello, ({}) thanks", "c'est {} merci",
    "das ist {}, danke", "es {} gracias", "это {} спасибо", "我的是{}谢谢", "here:{}\nbye",
    "\"{}\"",
    "- {} -", "two things: {} and more", "<td>{}</td>",
]  # fmt: skip
PHONE_FRAMES = [
    "call me at {}", "Tel. {}", "my phone number is {}.", "Rufen Sie {} an", "appelez-moi au {}",
    "mi teléfono es {}", "il mio cellulare: {}", "мой телефон {}", "我的电话是{}",
    "WhatsApp: {}, thanks",
    "mobile={}", "ligue para {} por favor", "電話:{}", "हमारा फोन {} है", "tel:{}",
]  # fmt: skip
_DASHES, _SPACES = "-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d", " \u00a0\u2009\u202f\u2007\u3000"
_ZEROS = (0x30, 0x660, 0x6F0, 0x966, 0xFF10)


def with_other_signs(rng: random.Random, item: str) -> str:
    """The same number in other separators, in digits of another script or with invisible signs."""
    way = rng.randrange(6)
    if way == 0:
        return item.replace("-", rng.choice(_DASHES)).replace(" ", rng.choice(_SPACES))
    if way == 1:
        return item.replace(" ", rng.choice([*_DASHES, "."]))
    if way == 2:
        place = rng.randrange(1, len(item))
        return item[:place] + rng.choice("\u200b\u200c\u200d\u2060\ufeff\u00ad") + item[place:]
    if way == 3:
        zero = rng.choice(_ZEROS)
        return "".join(chr(zero + int(c)) if c in DIGITS else c for c in item)
    return item
