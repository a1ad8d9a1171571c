"""Errors that a user can act on.

Every error says what is wrong, what was found and what to do, in at most three lines.
Errors never contain a text or a user id, because messages are shown, logged and stored.
"""

from __future__ import annotations


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
