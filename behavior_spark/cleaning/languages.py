"""In which language a text is, by py3langid: a naive Bayes over byte n-grams, of 140 languages.

M. Lui, T. Baldwin, "langid.py: an off-the-shelf language identification tool", ACL 2012;
https://github.com/adbar/py3langid. It is in the extra ``languages``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import pandas as pd
from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import StringType

from behavior_spark.errors import ConfigError

PACKAGE = "py3langid"


@cache
def _identifier() -> Any:
    """The model, loaded once for each process (three seconds)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def require_languages(codes: list[str]) -> None:
    """Check that the package is there and knows some languages.

    Raises:
        ConfigError: It is not installed, or does not know one.
    """
    if find_spec(PACKAGE) is None:
        raise ConfigError(
            "languages cannot be told apart",
            found=f"the package {PACKAGE} is not installed",
            fix="in the checkout: pip install '.[languages]' where Spark's workers run, or leave "
            "service.languages out",
        )
    known = set(_identifier().labels)
    if unknown := [code for code in codes if code not in known]:
        raise ConfigError(
            f"service.languages: no language {unknown[0]!r}",
            found=f"{len(known)} languages: {', '.join(sorted(known)[:20])}, ...",
            fix="give codes of ISO 639-1, such as en",
        )


def language_of(text: str, *, least_confidence: float) -> str | None:
    """The language of a text; None where its probability is below the least, as of short texts.

    >>> language_of("Wo ist mein Paket? Ich warte seit zwei Wochen", least_confidence=0.5)
    'de'
    >>> language_of("ok", least_confidence=0.5)
    """
    label, probability = _identifier().classify(text)
    return str(label) if probability >= least_confidence else None


def language_column(*, least_confidence: float) -> Callable[[Column], Column]:
    """A function from a text column to its language; null where it is not known."""

    def detect(values: pd.Series) -> pd.Series:
        found = [
            language_of(text, least_confidence=least_confidence) if text else None
            for text in values
        ]
        return pd.Series(found, dtype=object)

    return cast("Callable[[Column], Column]", pandas_udf(detect, StringType()))  # type: ignore[call-overload]
