"""Things that are added by name: one module each, found without a list of them anywhere.

A place of extension is a package. Each module in it is one extension, known by the module's name,
and holds it under an attribute. Another installed package adds to the place by an entry point
(https://packaging.python.org/en/latest/specifications/entry-points/) in the place's group: its
name is the extension's, its value such as ``my_package.twice``, the module. Names are known without
an import, so that a config can be checked where neither Spark nor XGBoost is there.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from behavior_spark.errors import ConfigError


@dataclass(frozen=True)
class ExtensionPoint:
    """A place where extensions are added.

    Attributes:
        what: One extension in words, for messages.
        package: Its modules are the extensions that come with this package.
        group: Entry points of other packages.
        attribute: What a module holds.
    """

    what: str
    package: str
    group: str
    attribute: str

    def names(self) -> list[str]:
        """Names of all extensions, sorted."""
        return sorted({*self._own_names(), *self._added()})

    def require(self, name: str) -> None:
        """Refuse a name that is not known; no extension is imported.

        Raises:
            ConfigError: It names those that are.
        """
        if name not in self._own_names() and name not in self._added():
            raise ConfigError(
                f"there is no {self.what} {name!r}",
                found=f"known: {', '.join(self.names())}",
                fix="take one of these, or install the package that has it",
            )

    def load(self, name: str) -> Any:
        """The extension of a name; of two with one name, ours.

        Raises:
            ConfigError: The name is not known, or its module lacks the attribute.
        """
        self.require(name)
        own = name in self._own_names()
        path = f"{self.package}.{name}" if own else self._added()[name].value
        module = importlib.import_module(path)
        if not hasattr(module, self.attribute):
            raise ConfigError(
                f"the {self.what} {name!r} cannot be used",
                found=f"{path} has no {self.attribute}",
                fix=f"set {self.attribute} in that module",
            )
        return getattr(module, self.attribute)

    def _own_names(self) -> list[str]:
        spec = importlib.util.find_spec(self.package)
        places = (spec.submodule_search_locations if spec else None) or []
        return [module.name for module in pkgutil.iter_modules(places)]

    def _added(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


OPERATIONS = ExtensionPoint(
    what="operation",
    package="behavior_spark.features.operations",
    group="behavior_spark.operations",
    attribute="OPERATION",
)
FAMILIES = ExtensionPoint(
    what="feature family",
    package="behavior_spark.features.families",
    group="behavior_spark.families",
    attribute="FAMILY",
)
TARGET_KINDS = ExtensionPoint(
    what="target kind",
    package="behavior_spark.model.propensity.kinds",
    group="behavior_spark.target_kinds",
    attribute="KIND",
)
TARGET_OUTCOMES = ExtensionPoint(
    what="outcome of a target kind",
    package="behavior_spark.features.target_outcomes",
    group="behavior_spark.target_outcomes",
    attribute="OUTCOME",
)
LEARNERS = ExtensionPoint(
    what="learner",
    package="behavior_spark.model.propensity.learners",
    group="behavior_spark.learners",
    attribute="LEARNER",
)
HEAD_KINDS = ExtensionPoint(
    what="kind of head",
    package="behavior_spark.model.heads.kinds",
    group="behavior_spark.head_kinds",
    attribute="KIND",
)
ALERT_KINDS = ExtensionPoint(
    what="kind of alert",
    package="behavior_spark.uses.alerts.kinds",
    group="behavior_spark.alert_kinds",
    attribute="KIND",
)
