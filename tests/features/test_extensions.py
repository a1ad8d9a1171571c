"""An operation is one file and a feature family one module: those of CONTRIBUTING, and ours."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings
from behavior_spark.config.declared import DeclaredFeature
from behavior_spark.config.features import ALWAYS_BUILT, GROUPS
from behavior_spark.config.operations import operation_spec, operation_specs
from behavior_spark.errors import ConfigError
from behavior_spark.extensions import FAMILIES, OPERATIONS
from behavior_spark.features.choosing import built_families
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer, Request
from behavior_spark.features.operation import EventOperation
from behavior_spark.features.text_operation import TextOperation
from behavior_spark.pipelines import assert_no_leakage
from behavior_spark.schemas import EVENTS
from tests.added_package import blocks_under, install
from tests.features.frames import as_table, assert_same, table

ROOT = Path(__file__).resolve().parents[2]
DAY = dt.date(2024, 3, 10)
COUNT_AND_INTENSITY = [
    {"op": "count", "on": {"type": "view"}, "windows": [5]},
    {"op": "intensity", "on": {"type": "view"}, "windows": [5]},
]


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another installed package, with the operation and the family of CONTRIBUTING."""
    family = "Add a feature family: 1 module"
    modules = {
        "intensity": blocks_under("Add an operation: 1 file")[0],
        "nights": blocks_under(family)[0],
    }
    points = tomllib.loads(blocks_under(family, "text")[0])["project"]["entry-points"]
    install(tmp_path, "acme", modules, points, monkeypatch)
    yield tmp_path / "acme"
    for name in [name for name in sys.modules if name.split(".")[0] == "acme"]:
        del sys.modules[name]


def settings_of(*declared: dict[str, Any], groups: list[str] | None) -> FeatureSettings:
    return FeatureSettings.model_validate(
        {"event_types": ["view"], "windows_days": [5], "declared": list(declared), "groups": groups}
    )


def test_an_operation_and_a_family_of_another_package_give_features(
    spark: SparkSession, acme: Path
) -> None:
    def view(number: int, clock: str) -> dict[str, Any]:
        time = dt.datetime.fromisoformat(f"2024-03-{clock}+00:00")
        return {"event_id": f"e{number}", "user_id": "ann", "event_type": "view",
                "event_time": time, "arrived_at": time}  # fmt: skip

    clocks = ["01T02:00", "06T01:00", "06T05:59", "06T06:00", "08T23:00", "10T00:00"]
    events = [view(number, clock) for number, clock in enumerate(clocks)]
    inputs = Inputs(table(spark, EVENTS, events))
    settings = settings_of(*COUNT_AND_INTENSITY, groups=["declared", "nights"])
    features = FeatureSet.make(settings, {}, offer=Offer.of(inputs, {}))
    built = as_table(features.build(inputs, [dt.date(2024, 2, 1), DAY]))
    expected = {"view_count_5d": 4, "view_intensity_5d": 2.0, "night_share_5d": 0.5}
    assert_same(built, {(DAY, "ann"): expected})
    described = {feature.name: feature.described() for feature in features.features}
    assert described["view_intensity_5d"]["group"] == "declared"
    assert described["night_share_5d"]["group"] == "nights"
    assert described["night_share_5d"]["source"] == "events"
    assert_no_leakage(lambda tables: features.build(tables, [DAY]), inputs, DAY)


def test_an_added_operation_is_checked_as_ours_are(acme: Path) -> None:
    with pytest.raises(ValueError, match="intensity of days supports at most 62 days"):
        DeclaredFeature(op="intensity", windows=[90])
    with pytest.raises(ValueError, match=r"Input should be 'count', .*'intensity', .* or 'trend'"):
        DeclaredFeature(op="median")
    listed = DeclaredFeature.model_json_schema()["properties"]["op"]["oneOf"]
    assert {"const": "intensity", "description": "events on a day that has any"} in listed


def test_an_added_family_is_built_unless_groups_leave_it_out(acme: Path) -> None:
    def names(settings: FeatureSettings) -> list[str]:
        return [family.name for family in built_families(Request(settings, {}))]

    everything = names(settings_of(groups=None))
    assert everything[-1] == "nights" and everything[0] == "activity"
    assert "nights" not in names(settings_of(groups=["activity"]))
    with pytest.raises(ValueError, match=r"no group night; known: activity, .*nights"):
        settings_of(groups=["night"])


def test_without_the_package_its_names_are_not_known() -> None:
    with pytest.raises(ValueError, match="Input should be"):
        settings_of(*COUNT_AND_INTENSITY, groups=None)
    with pytest.raises(ValueError, match="no group nights"):
        settings_of(groups=["nights"])


def test_an_operation_under_another_name_than_its_own_is_refused(acme: Path) -> None:
    path = acme / "intensity.py"
    path.write_text(path.read_text().replace('OperationSpec("intensity"', 'OperationSpec("other"'))
    with pytest.raises(ConfigError, match="holds an operation named 'other'"):
        operation_spec("intensity")


def test_every_operation_says_what_it_does_and_has_a_class_for_what_it_is_about() -> None:
    specs = operation_specs()
    assert len(specs) == len({spec.doc for spec in specs}) == 16
    kinds = {"events": EventOperation, "texts": TextOperation}
    assert all(isinstance(OPERATIONS.load(spec.name), kinds[spec.about]) for spec in specs)


def test_every_group_that_can_be_chosen_is_a_family_under_its_own_name() -> None:
    assert set(FAMILIES.names()) == {*GROUPS, *ALWAYS_BUILT}
    families = [FAMILIES.load(name) for name in FAMILIES.names()]
    assert [family.name for family in families] == FAMILIES.names()
    assert len({family.order for family in families}) == len(families)


def test_a_config_with_every_operation_is_checked_without_spark() -> None:
    code = """
import sys
sys.modules["pyspark"] = None
from behavior_spark.config import FeatureSettings
from behavior_spark.config.operations import operation_specs
needs = {"head": "h", "label": "l", "target": "t"}
declared = [
    {"op": spec.name, "windows": [5, 9] if spec.takes_windows else None,
     **({"to": {"type": "view"}} if spec.divides else {}), **{k: needs[k] for k in spec.text_keys}}
    for spec in operation_specs()
]
settings = FeatureSettings(event_types=["view"], declared=declared)
print(len(settings.declared))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.strip() == "16", done.stderr
