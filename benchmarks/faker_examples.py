"""Personal data as Faker makes it: formats by people who know neither this project nor its tables.

Phone numbers follow the habits of each country's Faker provider, not libphonenumber; national
numbers come from its ``ssn`` providers of countries whose check digits it computes
(others give numbers of the United States, or wrong check digits). Left out: phone numbers of less
than seven digits (hotlines), cards that begin 35 outside JCB's published range, 3528 to 3589, and
barcodes that begin 756, which GS1 gives to nobody.
Needs ``faker`` (benchmarks/requirements.txt).
"""

# ruff: noqa: RUF001

from __future__ import annotations

import logging
import random

from faker import Faker

from benchmarks.personal_examples import Make

# What each country calls the number that Faker's ``ssn`` gives.
_NATIONAL = {
    "de_AT": "Sozialversicherungsnummer",
    "de_CH": "AHV-Nummer", "el_GR": "ΑΜΚΑ", "en_CA": "SIN", "en_US": "SSN", "es_AR": "CUIL",
    "et_EE": "isikukood", "fi_FI": "henkilötunnus", "fr_FR": "sécurité sociale",
    "fr_CH": "AVS", "he_IL": "תעודת זהות", "hr_HR": "OIB", "it_IT": "codice fiscale",
    "nl_BE": "rijksregisternummer", "nl_NL": "BSN",
    "no_NO": "fødselsnummer", "pl_PL": "PESEL", "pt_BR": "CPF", "ro_RO": "CNP",
    "sv_SE": "personnummer", "th_TH": "เลขประจำตัว", "tr_TR": "kimlik", "uk_UA": "РНОКПП",
    "zh_CN": "身份证",
}  # fmt: skip
_PHONES = (
    "ar_AE", "bg_BG", "cs_CZ", "da_DK", "de_AT", "de_CH", "de_DE", "el_GR", "en_AU", "en_CA",
    "en_GB", "en_IN", "en_NZ", "en_US", "es_AR", "es_CL", "es_CO", "es_ES", "es_MX",
    "fi_FI", "fr_CH", "fr_FR", "he_IL", "hi_IN", "hr_HR", "hu_HU", "id_ID", "it_IT", "ja_JP",
    "ko_KR", "lt_LT", "lv_LV", "nl_BE", "nl_NL", "no_NO", "pl_PL", "pt_BR", "pt_PT", "ro_RO",
    "ru_RU", "sk_SK", "sl_SI", "sv_SE", "th_TH", "tr_TR", "uk_UA", "vi_VN", "zh_CN", "zh_TW",
)  # fmt: skip
_CURRENT = ["visa16", "visa19", "mastercard", "amex", "discover", "diners", "jcb16"]
_IBANS = ("de_DE", "en_GB", "es_ES", "fr_FR", "it_IT", "nl_NL", "pl_PL", "pt_PT", "tr_TR", "de_AT")
logging.getLogger("faker").setLevel(logging.ERROR)
_FAKERS = {locale: Faker(locale) for locale in {*_NATIONAL, *_PHONES, *_IBANS}}


def _from(rng: random.Random, locale: str, name: str) -> str:
    """One value of a Faker provider, from this generator's own randomness."""
    fake = _FAKERS[locale]
    fake.seed_instance(rng.getrandbits(32))
    return str(getattr(fake, name)())


def phone(rng: random.Random) -> str:
    """A number of seven digits or more."""
    while True:
        number = _from(rng, rng.choice(_PHONES), "phone_number")
        if sum(c.isdigit() for c in number) >= 7:
            return number


def card(rng: random.Random) -> str:
    """A number of a length that its issuer gives today."""
    while True:
        number = _card(rng, _CURRENT)
        if not number.startswith("35") or "3528" <= number[:4] <= "3589":
            return number


def old_card(rng: random.Random) -> str:
    """A number as long as other numbers are, behind a word for it."""
    return f"card \0{_card(rng, ['visa13', 'jcb15', 'maestro'])}"


def _card(rng: random.Random, issuers: list[str]) -> str:
    fake = _FAKERS["en_US"]
    fake.seed_instance(rng.getrandbits(32))
    return str(fake.credit_card_number(card_type=rng.choice(issuers)))


def national_id(rng: random.Random) -> str:
    """A number of one of these countries, behind its name there."""
    locale = rng.choice(sorted(_NATIONAL))
    return f"{_NATIONAL[locale]}\0{_from(rng, locale, 'ssn')}"


def barcode(rng: random.Random) -> str:
    """An EAN or ISBN with a prefix that GS1 gives: 756 is that of Swiss insurance numbers."""
    while True:
        number = _from(rng, "en_US", rng.choice(["ean13", "isbn13", "isbn10"]))
        if not number.startswith("756"):
            return number


FAKER_PERSONAL: dict[str, Make] = {
    "e-mail (Faker)": lambda r: _from(r, r.choice(_PHONES), "email"),
    "phone (Faker)": phone,
    "card (Faker)": card,
    "card of rare length, named (Faker)": old_card,
    "IBAN (Faker)": lambda r: _from(r, r.choice(_IBANS), "iban"),
    "IPv4 (Faker)": lambda r: _from(r, "en_US", "ipv4_public"),
    "IPv6 (Faker)": lambda r: _from(r, "en_US", "ipv6"),
    "national id (Faker)": national_id,
}
FAKER_ORDINARY: dict[str, Make] = {
    "EAN, ISBN (Faker)": barcode,
    "UUID, hash (Faker)": lambda r: _from(r, "en_US", r.choice(["uuid4", "sha1", "md5"])),
    "browser (Faker)": lambda r: _from(r, "en_US", "user_agent"),
    "file, MAC, colour (Faker)": lambda r: _from(
        r, "en_US", r.choice(["file_path", "mac_address", "hex_color", "unix_device"])
    ),
    "place, time, price (Faker)": lambda r: _from(
        r, "en_US", r.choice(["local_latlng", "date_time", "pricetag", "iso8601", "latitude"])
    ),
    "plate, postcode (Faker)": lambda r: _from(
        r, r.choice(["en_US", "en_GB", "de_DE", "pl_PL"]), r.choice(["license_plate", "postcode"])
    ),
}
