"""Pattern recognisers of Microsoft Presidio, as an addition to the built-in finders.

They run without a language model; the extra ``presidio``. As in Presidio, a
context word of the recogniser near a match adds 0.35 to its score; a match is masked from a score
of 0.4 on. Source: https://microsoft.github.io/presidio/supported_entities/
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from behavior_spark.cleaning.personal.context import words_before
from behavior_spark.cleaning.personal.numbers import NumberedText
from behavior_spark.errors import ConfigError, SetupError

_CONTEXT_ADDS, _LEAST_SCORE = 0.35, 0.4


def find_with_presidio(numbered: NumberedText, names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Spans of the matches of recognisers in a text, in any order; they may overlap.

    Args:
        numbered: The text.
        names: Class names of pattern recognisers.

    Raises:
        ConfigError: A name is not that of a pattern recogniser of Presidio.
        SetupError: Presidio is not installed.
    """
    text = numbered.text
    for recognizer in _recognizers(names):
        for result in recognizer.analyze(text, recognizer.supported_entities, None):
            before = words_before(text, result.start)
            has_context = any(word.lower() in before for word in recognizer.context or ())
            score = result.score + (_CONTEXT_ADDS if has_context else 0)
            if score >= _LEAST_SCORE and "\0" not in text[result.start : result.end]:
                yield result.start, result.end


@lru_cache(maxsize=8)
def _recognizers(names: tuple[str, ...]) -> list[Any]:
    """Instances of the recognisers; a process makes them once."""
    try:
        from presidio_analyzer import PatternRecognizer, predefined_recognizers
    except ImportError as error:
        raise SetupError(
            "privacy.presidio_recognizers needs Presidio",
            found="no package presidio_analyzer",
            fix="in the checkout: pip install '.[presidio]', on every worker; or leave the setting "
            "out",
        ) from error
    recognizers = []
    for name in names:
        recognizer_class = getattr(predefined_recognizers, name, None)
        if not (
            isinstance(recognizer_class, type) and issubclass(recognizer_class, PatternRecognizer)
        ):
            raise ConfigError(
                "privacy.presidio_recognizers names no pattern recogniser of Presidio's",
                found=name,
                fix="use names such as UsPassportRecognizer or UkNinoRecognizer",
            )
        recognizers.append(recognizer_class())
    return recognizers
