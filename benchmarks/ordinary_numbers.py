"""Made-up numbers that are nobody's: times, orders, parts, versions, amounts, parcels, books."""

from __future__ import annotations

import random

from stdnum import ean

from benchmarks.personal_examples import ALNUM_UPPER, DIGITS, UPPER, Make, digits, grouped, some


def _amount(rng: random.Random) -> str:
    sign, point = rng.choice(
        [(" ", ","), ("\u00a0", ","), (",", "."), (".", ","), ("'", "."), ("\u202f", ",")]
    )
    whole = f"{rng.randint(10**3, 10 ** rng.randint(4, 12)):,}".replace(",", sign)
    cents = f"{point}{rng.randint(0, 99):02}" if rng.random() < 0.4 else ""
    return rng.choice(
        [
            "{} Ft",
            "{} EUR",
            "€{}",
            "${}",
            "{} USD",
            "{} kr",
            "{} zł",
            "{}",
            "£{}",
            "{} \u0440\u0443\u0431",
            "{} people",
            "{}",
        ]
    ).format(whole + cents)


def _order(rng: random.Random) -> str:
    return rng.choice(
        [
            f"order {digits(rng, rng.randint(5, 12))}",
            f"#{digits(rng, 3)}-{digits(rng, 7)}",
            f"order no. {digits(rng, 3)}-{digits(rng, 7)}-{digits(rng, 7)}",
            f"ORD-{rng.randint(2015, 2030)}-{some(rng, DIGITS, 6)}",
            f"SO{digits(rng, 9)}",
            f"Bestellnummer {digits(rng, 10)}",
            f"PO {digits(rng, 4)}-{digits(rng, 5)}",
            f"invoice {digits(rng, 8)}",
            f"ticket {digits(rng, 7)}",
            digits(rng, 10),
        ]
    )


def _part(rng: random.Random) -> str:
    return rng.choice(
        [
            f"{some(rng, UPPER, 2)}-{digits(rng, 4)}-{digits(rng, 5)}",
            f"{some(rng, UPPER, 3)}{digits(rng, 7)}",
            f"{digits(rng, 5)}-{some(rng, UPPER, 2)}",
            f"{digits(rng, 3)}-{digits(rng, 5)}-{digits(rng, 2)}",
            f"{digits(rng, 4)}-{digits(rng, 4)}",
            f"{some(rng, UPPER, 1)}{digits(rng, 3)}.{digits(rng, 3)}.{digits(rng, 2)}",
            f"P/N {digits(rng, 6)}-{digits(rng, 3)}",
            f"{digits(rng, 2)}/{digits(rng, 3)}/{digits(rng, 4)}",
            f"part {digits(rng, 5)}-{digits(rng, 5)}",
            f"{digits(rng, 8)}{rng.choice(UPPER)}",
            f"{digits(rng, 6)}.{digits(rng, 3)}",
            f"{some(rng, UPPER, 2)} {digits(rng, 3)} {digits(rng, 4)}",
        ]
    )


def _version(rng: random.Random) -> str:
    parts = [str(rng.randint(0, 30)) for _ in range(rng.randint(2, 4))]
    number = ".".join(parts)
    return rng.choice(
        [
            f"version {number}",
            f"v{number}",
            f"release {number}",
            f"{number}-rc1",
            f"numpy-{number}",
            f"upgraded to {number}",
            f"firmware {number}",
            f"build {number}",
            f"Chrome/{rng.randint(90, 140)}.0.{digits(rng, 4)}.{digits(rng, 2)}",
            f"10.0.{digits(rng, 5)}.{digits(rng, 4)}",
        ]
    )


_DAY_FORMS = (
    "{y}-{m:02}-{d:02}",
    "{d:02}.{m:02}.{y}",
    "{d:02}/{m:02}/{y}",
    "{m}/{d}/{y}",
    "{y}{m:02}{d:02}",
    "{d:02}-{m:02}-{y}",
)


def _day(rng: random.Random, form: str | None = None) -> str:
    year, month, day = rng.randint(1950, 2035), rng.randint(1, 12), rng.randint(1, 28)
    return (form or rng.choice(_DAY_FORMS)).format(y=year, m=month, d=day)


_YEARS_APART = "-\u2013/"


def _days(rng: random.Random) -> str:
    sign = rng.choice(["-", "\u2013", " - ", " \u2013 ", " to ", "/", " bis "])
    if rng.random() < 0.2:
        return f"{rng.randint(1900, 2020)}{rng.choice(_YEARS_APART)}{rng.randint(2021, 2040)}"
    form = rng.choice(_DAY_FORMS)
    return _day(rng, form) + sign + _day(rng, form)


def _tracking(rng: random.Random) -> str:
    return rng.choice(
        [
            "1Z" + some(rng, ALNUM_UPPER, 6) + digits(rng, 10),
            f"tracking {digits(rng, 12)}",
            "94" + some(rng, DIGITS, 20),
            f"RR{digits(rng, 9)}GB",
            f"JD01{some(rng, DIGITS, 14)}",
            f"parcel {digits(rng, 14)}",
            f"AWB {digits(rng, 3)}-{digits(rng, 8)}",
            "9400 " + " ".join(some(rng, DIGITS, 4) for _ in range(4)) + " " + some(rng, DIGITS, 2),
        ]
    )


def _book(rng: random.Random) -> str:
    body = rng.choice(["978", "979"]) + some(rng, DIGITS, 9)
    number = body + ean.calc_check_digit(body)
    if rng.random() < 0.5:
        return number
    return "ISBN " + grouped(number, (3, 1, 5, 3, 1), rng.choice("- "))


def _barcode(rng: random.Random) -> str:
    body = "756"  # given to no barcode: Swiss insurance numbers begin so
    while body.startswith("756"):
        body = digits(rng, 12)
    return rng.choice(["", "EAN ", "barcode "]) + body + ean.calc_check_digit(body)


def _padded(rng: random.Random) -> str:
    """A number filled up with zeros, behind what it is: 00 is also how a phone dials abroad."""
    if rng.random() < 0.5:
        body = "00" + some(rng, DIGITS, 10)
        name = rng.choice(["EAN", "barcode", "GTIN", "UPC:", "SKU"])
        return f"{name} {body}{ean.calc_check_digit(body)}"
    name = rng.choice(["order", "invoice no.", "Bestellnummer", "ref:", "customer id", "ticket #"])
    return f"{name} {'0' * rng.randint(2, 4)}{digits(rng, rng.randint(6, 9))}"


def _swiss(rng: random.Random) -> str:
    body = "756" + some(rng, DIGITS, 9)
    return body + ean.calc_check_digit(body)


def _scores(rng: random.Random) -> str:
    sets = [f"{rng.randint(0, 21)}-{rng.randint(0, 21)}" for _ in range(rng.randint(1, 5))]
    three = f"{rng.randint(1, 30)}-{rng.randint(1, 30)}-{rng.randint(1, 30)}"
    return rng.choice(
        [" ".join(sets), three, ", ".join(sets), f"{digits(rng, 3)}:{digits(rng, 2)}"]
    )


def _other(rng: random.Random) -> str:
    return rng.choice(
        [
            f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
            f"{digits(rng, 3)} x {digits(rng, 3)} mm",
            f"{rng.randbytes(16).hex()}",
            f"{rng.randbytes(20).hex()}",
            f"arXiv:{digits(rng, 4)}.{digits(rng, 5)}",
            f"quant-ph/{some(rng, DIGITS, 7)}",
            f"10.{digits(rng, 4)}/j.{digits(rng, 5)}",
            f"pp. {digits(rng, 4)}\u2013{digits(rng, 4)}",
            f"{rng.random():.12f}",
            f"0x{rng.randbytes(8).hex()}",
            f"{digits(rng, 2)}% of {digits(rng, 6)}",
            f"{digits(rng, 1)}.{some(rng, DIGITS, 6)}e-{digits(rng, 2)}",
            f"{rng.randint(0, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
            f"{rng.randbytes(4).hex()}-{rng.randbytes(2).hex()}-4{rng.randbytes(2).hex()[1:]}-a{rng.randbytes(2).hex()[1:]}-{rng.randbytes(6).hex()}",
        ]
    )


ORDINARY: dict[str, Make] = {
    "seconds since 1970": lambda r: str(r.randint(10**9, 2 * 10**9)),
    "milliseconds since 1970": lambda r: str(r.randint(10**12, 2 * 10**12)),
    "microseconds since 1970": lambda r: str(r.randint(10**15, 2 * 10**15)),
    "order number": _order,
    "part code": _part,
    "version": _version,
    "day": _day,
    "span of days": _days,
    "grouped amount": _amount,
    "score": _scores,
    "tracking number": _tracking,
    "ISBN": _book,
    "EAN-13": _barcode,
    "filled up with zeros, named": _padded,
    "other": _other,
}

# What a number alone does not tell: it may be somebody's or nobody's, so that it is masked.
EITHER: dict[str, Make] = {
    "bare EAN-13 that begins 756, as Swiss insurance numbers do": _swiss,
    "the same behind EAN": lambda r: f"EAN {_swiss(r)}",
    "bare number that begins 00": lambda r: "00" + some(r, DIGITS, r.randint(7, 11)),
}
