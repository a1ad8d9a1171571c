"""Errors that a user can act on.

Every error says what is wrong, what was found and what to do, in at most three lines.
Errors never contain a text or a user id, because messages are shown, logged and stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MOST_PROBLEMS = 9  # of several, told in one error


class BehaviorError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        problem: What is wrong, and where.
        found: What was found instead.
        fix: What the user can do about it.

    >>> print(BehaviorError("no such table", found="events, texts", fix="check the name"))
    no such table
      found: events, texts
      fix: check the name
    """

    exit_code = 1

    def __init__(self, problem: str, *, found: str | None = None, fix: str | None = None) -> None:
        self.problem, self.found, self.fix = problem, found, fix
        lines = [problem]
        if found:
            lines.append(f"  found: {found}")
        if fix:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(lines))

    @property
    def line(self) -> str:
        """The error as a part of a sentence.

        >>> BehaviorError("no such table", found="events, texts", fix="check the name").line
        'no such table: events, texts (check the name)'
        """
        text = f"{self.problem}: {self.found}" if self.found else self.problem
        text = f"{text} ({self.fix})" if self.fix else text
        return " ".join(text.split())


class ConfigError(BehaviorError):
    """A setting is missing, unknown or of the wrong type."""

    exit_code = 2


class InputError(BehaviorError):
    """A source or table cannot be read, or does not hold what the config says."""

    exit_code = 2


class MissingInputError(InputError):
    """A source is not there: no such path or table."""


class ModelError(BehaviorError):
    """A model, encoder or head cannot be loaded, trained or trusted."""

    exit_code = 2


class SetupError(BehaviorError):
    """The machine lacks something the job needs (a JDK, a jar, a package)."""

    exit_code = 2


class LeakageError(BehaviorError):
    """A feature depends on something that was not known at its as_of."""


def to_install(extra: str) -> str:
    """How to install one of the package's extras; the package is on no index.

    >>> to_install("model")
    "in the checkout: pip install '.[model]'"
    """
    return f"in the checkout: pip install '.[{extra}]'"


def joined(errors: Sequence[BehaviorError]) -> BehaviorError:
    """Several errors as one: the first whole, of the others what is wrong.

    >>> print(joined([ConfigError("a is missing", fix="map a"), InputError("no file b")]))
    a is missing (and 1 more)
      found: also no file b
      fix: map a
    """
    first, *others = errors
    if not others:
        return first
    also = "also " + "; ".join(other.problem for other in others[:MOST_PROBLEMS])
    if len(others) > MOST_PROBLEMS:
        also += f"; and {len(others) - MOST_PROBLEMS} more"
    found = f"{first.found}; {also}" if first.found else also
    return type(first)(f"{first.problem} (and {len(others)} more)", found=found, fix=first.fix)


class Problems:
    """Errors of several checks, raised together: who edits a config wants to know all of them."""

    def __init__(self) -> None:
        self._errors: list[BehaviorError] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep an error of a setting or of an input for later."""
        try:
            yield
        except (ConfigError, InputError) as error:
            self._errors.append(error)

    def raise_any(self) -> None:
        """Raise what was gathered.

        Raises:
            BehaviorError: All of it, as one of the class of the first.
        """
        if self._errors:
            raise joined(self._errors)
