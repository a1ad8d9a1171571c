"""Settings are read from files, overlays, overrides and the environment; errors name the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from behavior_spark.config import (
    Settings,
    TrainingSettings,
    find_config,
    load_settings,
    validate_settings,
)
from behavior_spark.errors import ConfigError

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
SHIPPED = sorted(CONF.glob("*.yaml"))
OVERLAYS = [path for path in SHIPPED if "\nsources:" not in path.read_text(encoding="utf-8")]
WHOLE = [path for path in SHIPPED if path not in OVERLAYS]
LOGS = [path for path in WHOLE if "BEHAVIOR_DATA" in path.read_text(encoding="utf-8")]
BASE = """
warehouse: build/test
sources:
  events:
    path: data/clicks
    columns: {event_id: id, user_id: who, event_time: at, event_type: "'view'"}
features:
  event_types: [view]
targets:
  view_30d: {event: "event_type = 'view'"}
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text: str, name: str = "base.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def refused(*args, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(*args, **options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


def keys_of(tree: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield *above, key
        if isinstance(value, dict):
            yield from keys_of(value, *above, key)


def test_a_section_of_comments_in_an_overlay_changes_nothing(write):
    sections = """
privacy: {pseudonymise_key: a key that nobody guesses}
text: {max_chars: 500}
training: {seed: 3}
alerts: {days: 14}
audiences: {all: {target: view_30d, top: 10}}
"""
    base = write(BASE + sections)
    whole = load_settings([base])
    for keys in keys_of(yaml.safe_load(BASE + sections)):
        section = "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(keys))
        overlay = write(section + "    # key: value\n", "overlay.yaml")
        assert load_settings([base, overlay]) == whole, keys
    # What is to be taken away is written.
    off = write("alerts: null\naudiences: {}\n", "overlay.yaml")
    without = load_settings([base, off])
    assert without.alerts is None and not without.audiences
    assert load_settings([base], overrides=["alerts=null"]).alerts is None
    for override in ("privacy={pseudonymise_key: }", "text={max_chars: }"):
        assert load_settings([base], overrides=[override]) == whole


SECTIONS = [
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.get_default(call_default_factory=True), BaseModel | dict)
]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_of_comments_alone_is_as_if_it_were_not_there(write, name):
    rest = re.sub(rf"(?m)^{name}:\n(  .*\n)+", "", BASE)
    said = []
    for more in ("", f"{name}:\n  # key: value\n"):
        try:
            said.append(load_settings([write(rest + more)]))
        except ConfigError as error:
            said.append(error.problem)
    assert said[0] == said[1]


@pytest.mark.parametrize("text", ["---\n", "--- # nothing\n", "# nothing\n", ""])
def test_a_file_of_comments_changes_nothing(write, text):
    base = write(BASE)
    assert load_settings([base, write(text, "overlay.yaml")]) == load_settings([base])


@pytest.mark.parametrize("again", ["privacy: {}", "targets: {}", "'warehouse': build/other"])
def test_a_key_written_twice_is_refused_with_both_lines(write, again):
    message = refused([write(BASE + "privacy: {min_group: 5}\n" + again)])
    name = again.split(":")[0].strip("'")
    line = 1 + (BASE + "privacy").splitlines().index(
        next(x for x in (BASE + "privacy").splitlines() if x.startswith(name))
    )
    last = len(BASE.splitlines()) + 2
    assert f"the key {name} of line {line} once more at line {last}, column 1" in message


def test_a_key_twice_within_one_line_is_refused_and_a_merged_mapping_is_not(write):
    columns = '{event_id: id, user_id: who, event_time: at, event_type: "\'view\'"}'
    assert columns in BASE
    assert "the key event_id" in refused(
        [write(BASE.replace("{event_id: id,", "{event_id: id, event_id: other,"))]
    )
    merged = BASE.replace(columns, "{<<: *usual, event_type: \"'view'\"}")
    shared = "\nspark: {conf: &usual {event_id: id, user_id: who, event_time: at}}"
    assert load_settings([write(shared + merged)]).sources.events
    # What is merged has merged something itself, over which it has a key of its own.
    usual = "{event_type: \"'click'\", event_id: id, user_id: who, event_time: at}"
    chained = BASE.replace(columns, f"&own {{<<: {usual}, event_type: \"'view'\"}}")
    settings = load_settings([write(chained + "spark: {conf: {<<: *own}}")])
    assert settings.spark.conf["event_type"] == "'view'"


@pytest.mark.parametrize("keys", ["yes: 1, true: 2", "1: a, 0x1: b", "a: 1, 'a': 2", "a: , a: "])
def test_a_key_twice_is_refused_however_it_is_written(write, keys):
    assert "once more" in refused([write(BASE + f"spark: {{conf: {{{keys}}}}}")])
    told = refused([write(BASE)], overrides=[f"spark.conf={{{keys}}}"])
    assert "spark.conf" in told and "once more at line 1" in told


def test_configs_of_whole_jobs_and_of_real_logs_ship():
    assert WHOLE
    assert LOGS


@pytest.mark.parametrize("path", WHOLE, ids=[path.stem for path in WHOLE])
def test_every_shipped_config_loads_by_path_and_by_name(path):
    settings = load_settings([path], environment={})
    assert settings == load_settings([path.stem], environment={})
    assert settings == load_settings([path.name], environment={})
    assert "${" not in settings.model_dump_json()
    assert settings.sources.events


@pytest.mark.parametrize("whole", WHOLE, ids=[path.stem for path in WHOLE])
def test_every_shipped_overlay_goes_on_every_config(whole):
    for overlay in OVERLAYS:
        variables = re.findall(r"\$\{(\w+)\}", overlay.read_text(encoding="utf-8"))
        environment = dict.fromkeys(variables, "a value of thirty-two characters")
        assert load_settings([whole, overlay], environment=environment) != load_settings(
            [whole], environment={}
        )


@pytest.mark.parametrize("path", LOGS, ids=[path.stem for path in LOGS])
def test_a_shipped_config_reads_its_log_from_the_folder_of_the_environment(path):
    settings = load_settings([path], environment={"BEHAVIOR_DATA": "/mnt/logs"})
    assert all(source.path.startswith("/mnt/logs/") for source in settings.sources.events)


def test_a_file_that_is_not_there_is_named_with_those_that_ship():
    message = refused(["no_such.yaml"])
    assert "config file not found: no_such.yaml" in message
    assert SHIPPED[0].name in message


def test_a_name_finds_a_shipped_config_and_another_folder_does_not(tmp_path):
    assert find_config(SHIPPED[0].stem) == SHIPPED[0]
    with pytest.raises(ConfigError):
        find_config(tmp_path / SHIPPED[0].name)


def test_bad_yaml_is_named_with_its_line(write):
    path = write("name: a\nwarehouse: [b\nsources: {}\n")
    message = refused([path])
    assert path.name in message
    assert "line 3" in message


def test_a_file_of_no_keys_or_not_utf8_is_refused(write, tmp_path):
    assert "must hold keys and values" in refused([write("- a\n- b\n")])
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9\n")
    assert "not UTF-8" in refused([latin])


def test_an_empty_overlay_changes_nothing(write):
    base = write(BASE)
    empty = write("# nothing\n", "overlay.yaml")
    assert load_settings([base, empty]) == load_settings([base])


def test_overlays_merge_key_by_key_and_the_last_one_wins(write):
    base = write(BASE)
    first = write("training: {seed: 1, max_rows: 1000}\nname: first\n", "first.yaml")
    second = write("training: {seed: 2}\nfeatures: {windows_days: [3]}\n", "second.yaml")
    settings = load_settings([base, first, second])
    assert (settings.training.seed, settings.training.max_rows) == (2, 1000)
    assert settings.features.windows_days == [3]
    assert settings.features.event_types == ["view"]
    assert settings.name == "first"


def test_an_empty_mapping_takes_away_what_an_earlier_file_has(write):
    base = write(BASE + "audiences: {buyers: {target: view_30d, top: 5}}\ntraining: {seed: 1}\n")
    assert set(load_settings([base]).audiences) == {"buyers"}
    nobody = write("audiences: {}\n", "nobody.yaml")
    settings = load_settings([base, nobody], overrides=["training={}"])
    assert settings.audiences == {}
    assert settings.training == TrainingSettings()


def test_set_wins_over_files_nests_and_reads_yaml(write):
    overrides = [
        "training.seed=5", "features.windows_days=[1, 2]", "text.encoder=",
        "warehouse=elsewhere", "targets.view_30d.horizon_days=9", "population=event_type = 'view'",
    ]  # fmt: skip
    settings = load_settings([write(BASE)], overrides=overrides)
    assert settings.training.seed == 5
    assert settings.features.windows_days == [1, 2]
    assert settings.text.encoder == ""
    assert settings.warehouse.path == "elsewhere"
    assert settings.targets["view_30d"].horizon_days == 9
    assert settings.targets["view_30d"].event == "event_type = 'view'"
    assert settings.population == "event_type = 'view'"


@pytest.mark.parametrize("override", ["training.seed", "=5", " =5"])
def test_a_set_without_key_or_value_is_refused(write, override):
    assert "is not key=value" in refused([write(BASE)], overrides=[override])


def test_a_set_into_a_plain_value_replaces_it(write):
    settings = load_settings(
        [write(BASE)], overrides=["warehouse.schema=main.behaviour", "models=m"]
    )
    assert settings.warehouse.schema_ == "main.behaviour"


def test_variables_come_from_the_environment_and_defaults_stand_in(write):
    text = BASE.replace("build/test", "${ROOT}/${NAME:-plain}/${EMPTY:-}x")
    path = write(text)
    assert load_settings([path], environment={"ROOT": "/r"}).warehouse.path == "/r/plain/x"
    both = {"ROOT": "/r", "NAME": "n"}
    assert load_settings([path], environment=both).warehouse.path == "/r/n/x"
    empty = {"ROOT": "/r", "NAME": ""}
    assert load_settings([path], environment=empty).warehouse.path == "/r/plain/x"


def test_a_variable_that_is_not_set_is_named_with_its_key(write):
    message = refused([write(BASE.replace("data/clicks", "${LOGS}/a"))], environment={})
    assert "sources.events.path: the environment variable LOGS is not set" in message
    assert "${LOGS:-default}" in message


def test_variables_work_in_lists_overlays_and_set(write):
    settings = load_settings(
        [write(BASE)], overrides=["features.event_types=['${T}']"], environment={"T": "click"}
    )
    assert settings.features.event_types == ["click"]


def test_the_process_environment_is_read_by_default(write, monkeypatch):
    monkeypatch.setenv("BEHAVIOR_TEST_ROOT", "/from/process")
    path = write(BASE.replace("build/test", "${BEHAVIOR_TEST_ROOT}"))
    assert load_settings([path]).warehouse.path == "/from/process"


@pytest.mark.parametrize(
    ("override", "key", "hint"),
    [
        ("warehose=x", "unknown key warehose", "did you mean warehouse?"),
        ("training.sede=1", "unknown key training.sede", "did you mean seed?"),
        ("features.window_days=[1]", "unknown key features.window_days", "windows_days"),
        ("targets.view_30d.horizon=9", "unknown key targets.view_30d.horizon", "horizon_days"),
        ("sources.events.colums={}", "colums", "did you mean columns?"),
        ("sources.event={}", "unknown key sources.event", "did you mean events?"),
        ("privacy.zzz=1", "unknown key privacy.zzz", "known here: mask_personal_data"),
        ("warehouse={shema: a}", "unknown key warehouse.shema", "did you mean schema?"),
    ],
)
def test_an_unknown_key_is_named_with_the_likeliest(write, override, key, hint):
    message = refused([write(BASE)], overrides=[override])
    assert key in message
    assert hint in message


@pytest.mark.parametrize(
    ("removed", "key"),
    [
        ("warehouse: build/test\n", "warehouse is missing"),
        ("  event_types: [view]\n", "features"),
        ("    columns: {event_id: id, user_id: who, event_time: at, event_type: \"'view'\"}\n",
         "sources.events[0].columns is missing"),
    ],
)  # fmt: skip
def test_a_missing_key_is_named(write, removed, key):
    assert removed in BASE
    assert key in refused([write(BASE.replace(removed, ""))])


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("training.seed=soon", "training.seed: "),
        ("training.max_rows=5", "training.max_rows: "),
        ("features.event_types=view", "features.event_types: "),
        ("targets.view_30d.horizon_days=0", "targets.view_30d.horizon_days: "),
        ("sources.events.format=xml", "sources.events[0].format: "),
        ("text.pooling=sum", "text.pooling: "),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_key(write, override, key):
    assert refused([write(BASE)], overrides=[override]).startswith(key)


def test_several_faults_are_all_told_in_one_go(write):
    message = refused(
        [write(BASE)],
        overrides=["training.seed=a", "training.max_rows=b", "trainng.x=1",
                   "targets.view_30d.kind=dose"],
    )  # fmt: skip
    first, also, fix = message.splitlines()
    assert first == "unknown key trainng (and 3 more)" and "training" in fix
    for key in ("training.seed: ", "training.max_rows: ", "targets.view_30d.kind: there is no"):
        assert key in also


def test_a_plain_mapping_is_checked_the_same_way():
    with pytest.raises(ConfigError, match="is missing"):
        validate_settings({})
