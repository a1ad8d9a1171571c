"""Declarations of operations: the part of an operation that is needed to check a config.

The other part, which builds columns, is in the same file under ``features/operations``. These
files do not import Spark at the top, so that a config can be checked without Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from behavior_spark.errors import ConfigError
from behavior_spark.extensions import OPERATIONS

if TYPE_CHECKING:
    from behavior_spark.config.declared import DeclaredFeature

# Days are stored as bits of one 64-bit integer.
MOST_DAYS_AS_BITS = 62
TEXT_KEYS = ("head", "label", "target")


@dataclass(frozen=True)
class OperationSpec:
    """How an operation may be declared.

    Attributes:
        name: ``op`` of a declared feature; also the name of its file.
        doc: Its result, in one line.
        about: Whether it is an operation on events or on texts.
        of: Allowed values of ``of``; the first is the default. Empty: ``of`` is not allowed.
        divides: Whether it needs ``to``, and divides the events ``on`` by those of ``to``.
        fewest_windows: Number of windows that it needs; 0: it uses all history and has no windows.
        days_as_bits: Whether it stores days as bits, so that windows have at most 62 days.
        text_keys: Which of ``head``, ``label`` and ``target`` it needs; others are not allowed.
    """

    name: str
    doc: str
    about: Literal["events", "texts"] = "events"
    of: tuple[str, ...] = ()
    divides: bool = False
    fewest_windows: Literal[0, 1, 2] = 1
    days_as_bits: bool = False
    text_keys: tuple[str, ...] = ()

    @property
    def takes_windows(self) -> bool:
        """Whether it has windows; otherwise it uses all history."""
        return self.fewest_windows > 0

    def counts_days(self, of: str | None) -> bool:
        """Whether it stores days as bits for this value of ``of``."""
        return self.days_as_bits or of == "day"

    def check(self, feature: DeclaredFeature) -> None:
        """Check a declared feature with this operation.

        Raises:
            ValueError: A key is missing or not allowed; the message says which are allowed.
        """
        self._check_of(feature)
        self._check_windows(feature)
        self._check_texts(feature)

    def _check_of(self, feature: DeclaredFeature) -> None:
        if feature.of is not None and feature.of not in self.of:
            options = f"of {' or '.join(self.of)}" if self.of else "without of"
            raise ValueError(
                f"{self.name} of {feature.of} is not supported: use {self.name} {options}"
            )
        if self.divides != (feature.to is not None):
            name = self.name if self.divides else "ratio"
            raise ValueError(f"{name} divides on by to: both are needed; no other op has to")

    def _check_windows(self, feature: DeclaredFeature) -> None:
        windows = feature.windows
        if windows is None:
            return
        if not self.takes_windows:
            raise ValueError(f"{self.name} uses all history: leave out windows")
        if len(windows) < self.fewest_windows:
            raise ValueError(f"{self.name} compares windows with the longest: give two or more")
        if self.counts_days(feature.of) and windows[-1] > MOST_DAYS_AS_BITS:
            raise ValueError(f"{self.name} of days supports at most {MOST_DAYS_AS_BITS} days")

    def _check_texts(self, feature: DeclaredFeature) -> None:
        for key in TEXT_KEYS:
            is_given = getattr(feature, key) is not None
            if is_given != (key in self.text_keys):
                needs = "needs" if key in self.text_keys else "has no"
                raise ValueError(f"{self.name} {needs} {key}")
        if self.about == "texts" and feature.on != type(feature.on)():
            raise ValueError(f"{self.name} is an operation on texts: leave out on")


def operation_spec(name: str) -> OperationSpec:
    """The declaration of an operation; only its file is imported.

    Raises:
        ConfigError: There is no such operation, or its file defines one with another name.
    """
    spec: OperationSpec = OPERATIONS.load(name).spec
    if spec.name != name:
        raise ConfigError(
            f"the operation {name!r} cannot be used",
            found=f"its file holds an operation named {spec.name!r}",
            fix="give the file, or the entry point, and the spec the same name",
        )
    return spec


def operation_specs() -> list[OperationSpec]:
    """Declarations of all installed operations, sorted by name."""
    return [operation_spec(name) for name in OPERATIONS.names()]
