"""The section ``privacy``: what is hidden before anything is stored."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, field_validator

from behavior_spark.config.section import Section

PersonalKind = Literal["secret", "email", "iban", "ip", "id", "card", "phone"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
# Countries whose national phone numbers have a typical grouping and no leading zero.
PHONE_REGIONS = ("US", "IN", "CN", "BR", "IT", "RU", "MX", "TR", "GR", "CO")


class Privacy(Section):
    """What is masked or replaced before anything is stored."""

    pseudonymise_key: str | None = Field(
        None,
        description="secret key: user ids and text hashes become keyed hashes (HMAC-SHA256)",
        repr=False,
    )
    mask_personal_data: bool = Field(
        True, description="mask personal numbers, addresses and secrets in texts"
    )
    masked_kinds: tuple[PersonalKind, ...] = Field(
        PERSONAL_KINDS, min_length=1, description="kinds to mask; id: national identity numbers"
    )
    phone_regions: tuple[str, ...] = Field(
        PHONE_REGIONS,
        description="countries (ISO 3166) whose national phone numbers are detected by their "
        "grouping; others need a '+', a leading 0 or a word such as 'tel' nearby",
    )
    presidio_recognizers: tuple[str, ...] = Field(
        (),
        description="additional pattern recognisers of Presidio, such as UsPassportRecognizer; "
        "needs the extra presidio",
    )
    min_group: int = Field(
        10,
        ge=1,
        description="reports for people show no group of fewer users; hidden groups are counted",
    )

    @field_validator("phone_regions")
    @classmethod
    def _regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if invalid := [region for region in value if not re.fullmatch("[A-Z]{2}", region)]:
            raise ValueError(f"{', '.join(invalid)}: write two capital letters, such as GB")
        return value

    @field_validator("pseudonymise_key")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        if value is not None and 0 < len(value) < 16:
            raise ValueError("a key must have at least 16 characters")
        return value or None
