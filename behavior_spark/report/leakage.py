"""The findings of the leakage check, as Markdown."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from behavior_spark.markdown import table_row
from behavior_spark.model.propensity.leakage import ShuffledLabels

_ROWS = "_rows"


@dataclass(frozen=True)
class Suspicious:
    """A feature that alone ranks the outcomes of a target nearly perfectly.

    Attributes:
        target: Name of the target.
        feature: Name of the feature.
        auc: AUC of the feature alone; a value near 0 is as suspicious as one near 1.
    """

    target: str
    feature: str
    auc: float


@dataclass
class LeakageReport:
    """Findings of the three checks.

    Attributes:
        as_of: The as_of that was checked.
        leaks: Features that changed when later data changed, with the number of users affected.
        features: Number of features compared.
        suspicious: Features that alone rank a target too well.
        shuffled: Models fitted on shuffled outcomes.
    """

    as_of: dt.date
    leaks: dict[str, int]
    features: int
    suspicious: list[Suspicious] = field(default_factory=list)
    shuffled: list[ShuffledLabels] = field(default_factory=list)

    def markdown(self) -> str:
        """The findings as a Markdown page."""
        lines = [f"# Leakage check at {self.as_of}", "", "## Another future", ""]
        if self.leaks:
            lines += ["These change with what became known after as_of:", ""]
            lines += ["| feature | users |", "| --- | ---: |"]
            lines += [
                table_row(["users that have a row" if name == _ROWS else name, f"{users:,}"])
                for name, users in sorted(self.leaks.items())
            ]
        else:
            lines.append(
                f"{self.features} features and the users that have a row are exactly the same "
                "after rows known from as_of on were deleted, changed and added."
            )
        lines += ["", "## Shuffled outcomes", "", "| target | AUC | by chance | |"]
        lines += ["| --- | ---: | --- | --- |"]
        lines += [
            table_row(
                [
                    model.target,
                    f"{model.auc:.3f}",
                    f"{model.low:.3f} to {model.high:.3f}",
                    "as it should be" if model.by_chance else "LEAKS",
                ]
            )
            for model in self.shuffled
        ]
        lines += ["", "## Features that rank a target alone", ""]
        if self.suspicious:
            lines += ["Look at these; a good feature may be among them.", ""]
            lines += ["| target | feature | AUC |", "| --- | --- | ---: |"]
            lines += [table_row([e.target, e.feature, f"{e.auc:.3f}"]) for e in self.suspicious]
        else:
            lines.append("None ranks suspiciously well.")
        return "\n".join(lines) + "\n"
