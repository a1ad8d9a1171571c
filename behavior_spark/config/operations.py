"""What an operation may be declared with: the half of it that the config reads.

The other half, which makes columns, stands in the same file under ``features/operations``. Nothing
there needs Spark to be imported, so that a config is checked where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from behavior_spark.errors import ConfigError
from behavior_spark.extensions import OPERATIONS

if TYPE_CHECKING:
    from behavior_spark.config.features import DeclaredFeature

# Days in a row are kept as bits of one 64-bit integer.
MOST_DAYS_AS_BITS = 62
TEXT_KEYS = ("head", "label", "target")


@dataclass(frozen=True)
class OperationSpec:
    """An operation as a config sees it.

    Attributes:
        name: ``op`` in a declared feature; the name of its file.
        doc: What it gives, in one line.
        about: Whether it looks at events or at texts.
        of: What it may be done ``of``; the first is meant where nothing is said. Empty: ``of`` is
            left out.
        divides: Whether it divides the events ``on`` by those of ``to``.
        fewest_windows: How many windows it needs; 0: it looks at all history and takes none.
        days_as_bits: Whether it keeps days as bits, and so looks back over 62 days at most.
        text_keys: Which of ``head``, ``label`` and ``target`` it needs; it takes no other.
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
        """Whether it looks back over windows, not over all history."""
        return self.fewest_windows > 0

    def counts_days(self, of: str | None) -> bool:
        """Whether it keeps days as bits when it is done of this."""
        return self.days_as_bits or of == "day"

    def check(self, feature: DeclaredFeature) -> None:
        """Refuse what cannot be declared with the operation.

        Raises:
            ValueError: Says what cannot be, and what can.
        """
        self._check_of(feature)
        self._check_windows(feature)
        self._check_texts(feature)

    def _check_of(self, feature: DeclaredFeature) -> None:
        if feature.of is not None and feature.of not in self.of:
            options = f"of {' or '.join(self.of)}" if self.of else "without of"
            raise ValueError(f"{self.name} of {feature.of} cannot be: {self.name} goes {options}")
        if self.divides != (feature.to is not None):
            name = self.name if self.divides else "ratio"
            raise ValueError(f"{name} divides on by to: both are needed, and to by no other op")

    def _check_windows(self, feature: DeclaredFeature) -> None:
        windows = feature.windows
        if windows is None:
            return
        if not self.takes_windows:
            raise ValueError(f"{self.name} looks at all history: leave windows out")
        if len(windows) < self.fewest_windows:
            raise ValueError(f"{self.name} compares windows with the longest: give two or more")
        if self.counts_days(feature.of) and windows[-1] > MOST_DAYS_AS_BITS:
            raise ValueError(f"{self.name} of days goes over {MOST_DAYS_AS_BITS} days at most")

    def _check_texts(self, feature: DeclaredFeature) -> None:
        for key in TEXT_KEYS:
            given = getattr(feature, key) is not None
            if given != (key in self.text_keys):
                needs = "needs" if key in self.text_keys else "has no"
                raise ValueError(f"{self.name} {needs} {key}")
        if self.about == "texts" and feature.on != type(feature.on)():
            raise ValueError(f"{self.name} is about texts: leave on out")


def operation_spec(name: str) -> OperationSpec:
    """What an operation may be declared with; only its own file is imported.

    Raises:
        ConfigError: There is no such operation, or its file does not hold one of this name.
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
    """All operations that are installed, by name."""
    return [operation_spec(name) for name in OPERATIONS.names()]
