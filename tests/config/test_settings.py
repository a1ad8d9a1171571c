"""What settings allow, what they refuse, and that they never show a secret."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

from behavior_spark.config import Settings, load_settings, validate_settings
from behavior_spark.errors import ConfigError
from behavior_spark.runs.run import redacted

KEY = "correct-horse-battery-staple"
BASE = yaml.safe_load("""
warehouse: build/test
sources:
  events:
    path: data/clicks
    columns: {event_id: id, user_id: who, event_time: at, event_type: "'view'"}
features: {event_types: [view]}
targets:
  view_30d: {event: "event_type = 'view'"}
""")


def tree(**changes: object) -> dict:
    """The base with values set at dotted keys (``__`` for the dot)."""
    result = copy.deepcopy(BASE)
    for key, value in changes.items():
        *path, last = key.split("__")
        place = result
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def refused(**changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        validate_settings(tree(**changes))
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_one_source_and_a_list_of_one_are_the_same():
    single = validate_settings(BASE)
    events = BASE["sources"]["events"]
    assert validate_settings(tree(sources__events=[events])) == single
    assert len(validate_settings(tree(sources__events=[events, events])).sources.events) == 2


def test_without_an_encoder_no_worker_needs_torch():
    assert not validate_settings(BASE).worker_models()
    assert validate_settings(tree(text__encoder="package:words/model")).worker_models() == (
        "package:words/model",
    )


def test_a_source_has_a_path_or_a_table_and_not_both():
    assert "give either path or table" in refused(sources__events__table="a.b")
    events = {k: v for k, v in BASE["sources"]["events"].items() if k != "path"}
    assert "give either path or table" in refused(sources__events=events)
    table = validate_settings(tree(sources__events={**events, "table": "a.b"})).sources.events[0]
    assert table.location == "a.b"


def test_a_warehouse_has_a_path_or_a_schema_and_not_both():
    assert validate_settings(tree(warehouse={"path": "w"})) == validate_settings(
        tree(warehouse="w")
    )
    assert "give either path or schema" in refused(warehouse={"path": "a", "schema": "b"})
    assert "give either path or schema" in refused(warehouse={})
    assert "register goes with path" in refused(warehouse={"schema": "b", "register": "c"})
    assert "models: a folder is needed" in refused(warehouse={"schema": "b"})
    assert validate_settings(tree(warehouse={"schema": "b"}, models="m")).models_path == "m"


def test_models_live_in_the_warehouse_by_default():
    assert validate_settings(tree(warehouse="a/b/")).models_path == "a/b/_models"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features__windows_days": [7, 1]}, "ascending"),
        ({"features__windows_days": [0, 1]}, "positive"),
        ({"features__windows_days": [1, 1]}, "each once"),
        ({"features__windows_days": []}, "features.windows_days"),
        ({"features__event_types": []}, "features.event_types"),
        ({"features__event_types": ["view", "view"]}, "listed twice"),
        ({"features__event_types": ["Page View"]}, "lower-case"),
        ({"targets": {}}, "targets"),
        ({"targets": {"Buy!": {"event": "true"}}}, "lower-case"),
        ({"targets": {"view": {"event": "true"}}}, "share the name view"),
        ({"targets": {"a": {"event": "true", "item": "price > 1"}}}, "sources.items"),
        ({"text__heads": {"intent": {"path": "a", "text": "t", "label": "l"}}}, "text.encoder"),
        ({"text__max_chars": 1}, "text.max_chars"),
        ({"features__movable": {"view": "lower"}}, "no target says which way it should go"),
        ({"features__movable": {"view": "down"}}, "features.movable"),
        ({"features__movable": {"view": {"direction": "lower", "told": "x"}}}, "told needs {n}"),
        ({"privacy__pseudonymise_key": "short"}, "at least 16 characters"),
    ],
)
def test_what_cannot_work_is_refused(changes, told):
    assert told in refused(**changes)


def test_a_head_has_a_path_or_a_table():
    heads = {"intent": {"path": "a", "table": "b", "text": "t", "label": "l"}}
    assert "give either path, table or annotated" in refused(text__encoder="e", text__heads=heads)


def test_settings_cannot_be_changed_afterwards():
    settings = validate_settings(BASE)
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "other"


def test_an_empty_key_is_no_key():
    assert validate_settings(tree(privacy__pseudonymise_key="")).privacy.pseudonymise_key is None


def with_secret() -> Settings:
    return validate_settings(tree(privacy__pseudonymise_key=KEY))


def test_a_secret_is_kept_and_never_shown():
    settings = with_secret()
    assert settings.privacy.pseudonymise_key == KEY
    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert KEY not in f"{settings.privacy}"


def test_a_refused_secret_is_not_shown():
    assert "hunter2" not in refused(privacy__pseudonymise_key="hunter2")
    assert "12345678901234567" not in refused(privacy__pseudonymise_key=12345678901234567)


def test_what_a_run_stores_holds_no_secret():
    stored = redacted(with_secret())
    assert KEY not in stored
    assert json.loads(stored)["privacy"]["pseudonymise_key"] == "***"
    assert json.loads(redacted(validate_settings(BASE)))["privacy"]["pseudonymise_key"] is None


def test_secrets_of_spark_and_of_a_reader_are_not_shown_either():
    names = [
        "fs.azure.account.key.x.dfs.core.windows.net",
        "spark.hadoop.fs.s3a.secret.key",
        "spark.hadoop.fs.s3a.access.key",
    ]
    options = {"fs.s3a.secret.key": KEY, "fs.s3a.session.token": KEY, "mergeSchema": True}
    settings = validate_settings(
        tree(spark__conf=dict.fromkeys(names, KEY), sources__events__options=options)
    )
    assert KEY not in repr(settings)
    stored = redacted(settings)
    assert KEY not in stored
    shown = json.loads(stored)["sources"]["events"][0]["options"]
    assert shown == {"fs.s3a.secret.key": "***", "fs.s3a.session.token": "***", "mergeSchema": True}


def test_settings_are_the_same_after_a_round_trip():
    settings = validate_settings(tree(warehouse={"path": "w", "register": "r"}))
    assert Settings.model_validate(settings.model_dump(by_alias=True)) == settings


def test_a_kind_or_learner_that_is_not_there_is_refused_with_those_that_are() -> None:
    told = refused(targets__view_30d__kind="doesnt")
    assert "no target kind 'doesnt'; known: amount, count, does, does_not" in told
    told = refused(training={"learner": "forest"})
    assert "no learner 'forest'; known: base_rate, xgboost" in told


def test_saying_the_usual_kind_and_which_way_is_wanted_changes_no_model() -> None:
    usual, said, other = (
        validate_settings(tree(**changes)).targets["view_30d"].meaning
        for changes in (
            {},
            {"targets__view_30d__kind": "does", "targets__view_30d__wanted": "less"},
            {"targets__view_30d__kind": "does_not"},
        )
    )  # fmt: skip
    assert usual == said == {"event": "event_type = 'view'", "item": None, "horizon_days": 30}
    assert other == usual | {"kind": "does_not"}


def test_a_name_that_features_of_all_events_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="event names features of all events"):
        load_settings(["conf/demo.yaml"], overrides=["features.event_types=[event, view]"])


def test_annotated_labels_need_a_task_and_prompts_their_parts() -> None:
    heads = {"intent": {"annotated": "ask"}}
    task = {"model": "lm", "labels": ["refund", "late_parcel"], "prompts": ["{text} is {label}"]}
    assert "annotate has no task 'ask'" in refused(text__encoder="e", text__heads=heads)
    for prompts in (["{text}"], ["{label} of {text}"], ["{text} is {label}?"], []):
        assert "prompt" in refused(annotate={"ask": task | {"prompts": prompts}})
    assert "two labels" in refused(annotate={"ask": task | {"labels": ["refund"]}})
    assert "words of its own" in refused(
        annotate={"ask": task | {"labels": {"a": "same", "b": "same"}}}
    )


@pytest.mark.parametrize("address", ["s3a://bucket/w", "abfss://c@a.dfs.example/w", "gs://b"])
def test_models_follow_the_tables_into_an_object_store(address):
    assert validate_settings(tree(warehouse=address)).models_path == f"{address}/_models"


@pytest.mark.parametrize("address", ["hdfs://name/w", "wasbs://c@a.blob.example/w", "oss://b/w"])
def test_models_in_a_store_that_is_not_known_are_refused_by_name_and_tables_are_not(address):
    settings = validate_settings(tree(warehouse=address))
    with pytest.raises(ConfigError, match="which follows warehouse") as caught:
        _ = settings.models_path
    assert address in str(caught.value) and len(str(caught.value).splitlines()) == 3
    kept = validate_settings(tree(warehouse=address, models="/Volumes/main/models"))
    assert kept.models_path == "/Volumes/main/models"
    assert validate_settings(tree(warehouse="build/w")).models_path == "build/w/_models"


def test_checkpoints_follow_the_models_or_have_a_folder_of_their_own():
    assert validate_settings(tree(models="s3a://b/m/")).checkpoints_path == "s3a://b/m/.training"
    own = validate_settings(tree(models="m", checkpoints="s3a://b/c"))
    assert own.checkpoints_path == "s3a://b/c" and own.models_path == "m"
    with pytest.raises(ConfigError, match=r"checkpoints.*cannot be in hdfs:"):
        validate_settings(tree(checkpoints="hdfs://name/c"))


def test_every_contradiction_of_a_config_is_told_in_one_go() -> None:
    told = refused(
        features={"event_types": ["view"], "groups": ["sessions"]},
        targets={"view": {"event": "event_type = 'view'", "item": "price > 5"},
                 "again": {"event": "value > 5", "who": "before"}},
    )  # fmt: skip
    for problem in ("share the name view", "features.groups needs activity", "filters on items",
                    "targets.again.who: before needs the target's past"):  # fmt: skip
        assert problem in told


def test_an_event_type_tells_who_did_it_before_without_features_of_targets() -> None:
    groups = {"event_types": ["view"], "groups": ["activity", "sessions"]}
    target = {"event": "event_type = 'view'", "who": "never_before"}
    assert validate_settings(tree(features=groups, targets={"first_view": target}))
    assert "seen_within_days" in refused(targets__view_30d__seen_within_days=0)
    assert "targets.view_30d.who" in refused(targets__view_30d__who="nobody")


@pytest.mark.parametrize(
    ("listed", "found"),
    [("[yes, no]", "True"), ("[2024-01-01, other]", "datetime.date"), ("[1, 2]", "1"),
     ("[other, null]", "None"), ("[a, [b]]", "['b']"), ("{yes: money back, no: parcel}", "string"),
     ("{refund: yes, other: no}", "string")],
)  # fmt: skip
def test_a_label_that_yaml_reads_as_something_else_is_refused(listed: str, found: str) -> None:
    task = {"model": "lm", "labels": yaml.safe_load(listed), "prompts": ["{text} is {label}"]}
    said = refused(annotate={"ask": task})
    assert found in said and "annotate.ask.labels" in said
    assert "quotes" in said or found == "string"
