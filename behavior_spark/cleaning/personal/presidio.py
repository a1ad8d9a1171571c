"""Pattern recognisers of Microsoft Presidio, by name, beside the project's own finders.

They run without a language model; ``pip install behavior-spark[presidio]``. As Presidio's own
enhancer does, a word of a recogniser's context near a match adds 0.35 to its score; from 0.4 on it
is masked. Source: https://microsoft.github.io/presidio/supported_entities/
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
    """Spans that the named recognisers find in a text, in no order; they may overlap.

    Raises:
        ConfigError: A name is none of Presidio's pattern recognisers.
        SetupError: Presidio is not installed.
    """
    text = numbered.text
    for recognizer in _recognizers(names):
        for result in recognizer.analyze(text, recognizer.supported_entities, None):
            before = words_before(text, result.start)
            named = any(word.lower() in before for word in recognizer.context or ())
            score = result.score + (_CONTEXT_ADDS if named else 0)
            if score >= _LEAST_SCORE and "\0" not in text[result.start : result.end]:
                yield result.start, result.end


@lru_cache(maxsize=8)
def _recognizers(names: tuple[str, ...]) -> list[Any]:
    """One instance of each recogniser a process."""
    try:
        from presidio_analyzer import PatternRecognizer, predefined_recognizers
    except ImportError as error:
        raise SetupError(
            "privacy.presidio_recognizers needs Presidio",
            found="no package presidio_analyzer",
            fix="pip install 'behavior-spark[presidio]' on every worker, or leave the setting out",
        ) from error
    made = []
    for name in names:
        kind = getattr(predefined_recognizers, name, None)
        if not (isinstance(kind, type) and issubclass(kind, PatternRecognizer)):
            raise ConfigError(
                "privacy.presidio_recognizers names no pattern recogniser of Presidio's",
                found=name,
                fix="use names such as UsPassportRecognizer or UkNinoRecognizer",
            )
        made.append(kind())
    return made
