"""Days as people write them."""

from __future__ import annotations

import datetime as dt

from behavior_spark.errors import ConfigError


def day_from(text: str | None, *, option: str = "--as-of") -> dt.date | None:
    """Parse the value YYYY-MM-DD of an option; None stays None.

    Raises:
        ConfigError: The text is not such a day.
    """
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text} is not a day", fix="write YYYY-MM-DD, such as 2024-05-31"
        ) from None
