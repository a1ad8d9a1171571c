"""Sentences about the values of features, for people who do not know the features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Unit = Literal["number", "amount", "days", "share", "seconds", "lift"]
# Shares are float32: up to so many, one of another number differs by more than this.
_MOST_COUNTED, _OF_A_COUNT = 100, 1e-3


@dataclass(frozen=True)
class Saying:
    """How the value of a feature is told.

    Attributes:
        some: With ``{n}`` for the value, such as "{n} purchases in the last 30 days".
        one: Of the value 1; ``some`` if empty.
        zero: Of 0; ``some`` if empty.
        none: Of a missing value; "... unknown" if empty.
        counted: Of a share whose count is known, with ``{k}`` and ``{m}``: "{k} of the {m} texts".
        unit: How the value is written: a number, an amount (of money), days, a share of 1,
            seconds, or of the logarithm of a lift the lift.
    """

    some: str
    one: str = ""
    zero: str = ""
    none: str = ""
    unit: Unit = "number"
    counted: str = ""

    def of(self, value: float | None, among: float = math.nan) -> str:
        """The sentence for a value; None or NaN: the user has none.

        Args:
            value: The value.
            among: Of a share, how many there are that may count; NaN: not known.

        >>> bought = Saying("{n} purchases", one="1 purchase", zero="no purchase")
        >>> bought.of(1234.0), bought.of(1.0), bought.of(0.0)
        ('1,234 purchases', '1 purchase', 'no purchase')
        >>> Saying("last purchase {n} ago", unit="days").of(5.522)
        'last purchase 5 days ago'
        >>> texts = Saying("{n} of the texts", unit="share", counted="{k} of the {m} texts")
        >>> texts.of(0.125), texts.of(0.25, among=4.0), texts.of(0.25, among=12.0)
        ('12 % of the texts', '1 of the 4 texts', '25 % of the texts')
        """
        if value is None or math.isnan(value):
            return self.none or self.some.replace("{n}", "unknown")
        if value == 0 and self.zero:
            return self.zero
        if value == 1 and self.one:
            return self.one
        if self.counted and (count := known_count(value, among)) is not None:
            told = self.counted.replace("{k}", number_words(count))
            return told.replace("{m}", number_words(among))
        return self.some.replace("{n}", _WRITTEN[self.unit](value))

    def instead_of(self, value: float, other: float) -> str:
        """The sentence for a value, and the other value that it takes the place of.

        >>> bought = Saying("{n} purchases", one="1 purchase", zero="no purchase")
        >>> bought.instead_of(5.0, 2.0), bought.instead_of(2.0, 0.0)
        ('5 purchases rather than 2', '2 purchases rather than none')
        >>> Saying("last offer {n} ago", unit="days").instead_of(2.0, 9.3)
        'last offer 2 days ago rather than 9 days'
        >>> Saying("it began with a view", zero="it began otherwise").instead_of(1.0, 0.0)
        'it began with a view rather than: it began otherwise'
        >>> Saying("{n} items a visit").instead_of(2.17, 2.21)
        '2.17 items a visit rather than 2.21'
        """
        if "{n}" not in self.some:
            return f"{self.of(value)} rather than: {self.of(other)}"
        if self.unit == "number":  # to the digits of a change, which is what the model was asked
            return replace(self, unit="amount").instead_of(value, other)
        none = other == 0 and self.zero
        return f"{self.of(value)} rather than {'none' if none else _WRITTEN[self.unit](other)}"

    def is_absence(self, value: float) -> bool:
        """Whether it says that there is nothing: a missing value, or a zero with own words."""
        return math.isnan(value) or (value == 0 and bool(self.zero))

    @property
    def whole(self) -> bool:
        """Whether its value is told without fractions: days and seconds."""
        return self.unit in ("days", "seconds")


def known_count(share: float, among: float) -> int | None:
    """How many a share is of, if it can only be of all that may count.

    Some of them may not count, such as texts without a label: 25 % of 12 texts may be 1 of 4 that
    have one. Three of seven is of no fewer. None where it is not known.

    >>> known_count(3 / 7, 7.0), known_count(0.25, 12.0), known_count(0.3, 7.0)
    (3, None, None)
    """
    if math.isnan(among) or not 1 < among <= _MOST_COUNTED:
        return None
    total = int(among)
    count = round(share * total)
    exact = abs(share * total - count) < _OF_A_COUNT
    return count if exact and math.gcd(count, total) == 1 else None


def number_words(value: float) -> str:
    """Whole numbers whole, others to two digits: means, ratios, likeness.

    >>> number_words(1234.0), number_words(99.7), number_words(0.0695), number_words(-2.17)
    ('1,234', '100', '0.07', '-2.2')
    """
    return _to_digits(value, 2)


def amount_words(value: float) -> str:
    """Whole numbers whole, others to three digits: money.

    >>> amount_words(1234.56), amount_words(12.5), amount_words(5.256), amount_words(0.0312)
    ('1,235', '12.5', '5.26', '0.0312')
    """
    return _to_digits(value, 3)


def _to_digits(value: float, digits: int) -> str:
    """Significant digits, and all those before the point; never with an exponent.

    >>> _to_digits(99.96, 3), _to_digits(0.000041, 2), _to_digits(-1e-9, 2)
    ('100', '0.000041', '-0.000000001')
    """
    if value == int(value):
        return f"{int(value):,}"
    leading = math.floor(math.log10(abs(value))) + 1
    told = f"{value:,.{max(digits - leading, 0)}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _days(value: float) -> str:
    """Whole days that have passed.

    >>> _days(0.4), _days(1.9), _days(12.0)
    ('less than a day', '1 day', '12 days')
    """
    days = math.floor(value)
    if days < 1:
        return "less than a day"
    return "1 day" if days == 1 else f"{days:,} days"


def share_words(value: float) -> str:
    """In per cent: whole ones, below ten to two digits, and near all to what is lacking.

    >>> share_words(0.3158), share_words(0.0263), share_words(1.0), share_words(0.9966)
    ('32 %', '2.6 %', '100 %', '99.7 %')
    """
    percent = 100 * value
    if 99 < percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.2g} %" if abs(percent) < 10 else f"{percent:.0f} %"


def _seconds(value: float) -> str:
    """Hours and minutes, or minutes and seconds.

    >>> _seconds(42.4), _seconds(200.0), _seconds(7260.0)
    ('42 s', '3 min 20 s', '2 h 1 min')
    """
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def _lift(value: float) -> str:
    """How many times as often.

    >>> _lift(0.0), _lift(0.6931), _lift(-0.7)
    ('1', '2', '0.5')
    """
    return number_words(math.exp(value))


_WRITTEN = {
    "number": number_words, "amount": amount_words, "days": _days, "share": share_words,
    "seconds": _seconds, "lift": _lift,
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a reason says of a feature.

    Attributes:
        subject: What the feature is about, such as "purchase"; features of one subject are one
            reason.
        aspect: Which side of the subject it shows, such as "count"; a reason tells at most one
            feature of each.
        saying: How its value is told.
        among: Of a share, the feature that says how many there are.
    """

    subject: str
    aspect: str
    saying: Saying
    among: str = ""


def told_of(told: Mapping[str, Told], feature: str) -> Told:
    """What is said of a feature; its name if nothing is."""
    return told.get(feature) or Told(feature, "", Saying(f"{feature}: {{n}}"))
