from pathlib import Path

import pytest
from pydantic import ValidationError

from behavior_spark.config import Labels, find_config, load_settings

TASKS = sorted((Path(__file__).parents[2] / "conf" / "tasks").glob("*.yaml"))
TABLE = {"path": "train", "text": "t", "label": "l", "where": "ok", "format": "csv"}


def test_a_part_inherits_what_it_does_not_name_but_the_condition():
    labels = Labels(**TABLE, dev={"path": "dev", "label": "upper(l)"}, test={"table": "a.b.c"})
    dev, test = labels.part("dev"), labels.part("test")
    assert (dev.path, dev.text, dev.label, dev.format, dev.where) == (
        "dev", "t", "upper(l)", "csv", None,
    )  # fmt: skip
    assert (test.path, test.table, test.label) == (None, "a.b.c", "l")
    assert labels.part("train").where == "ok" and labels.has_test


def test_a_split_chooses_rows_of_the_one_table():
    labels = Labels(**TABLE, split="part")
    assert labels.part("dev").where == "(ok) AND (part) = 'dev'"
    assert labels.has_test and labels.part("train").split is None
    assert Labels(**TABLE).part("test") is None and not Labels(**TABLE).has_test


@pytest.mark.parametrize(
    "change",
    [{"split": "x", "test": {"path": "y"}}, {"dev": {}}, {"path": None},
     {"dev": {"path": "a", "table": "b"}}, {"validation_share": 1.0}],
)  # fmt: skip
def test_a_table_that_is_said_twice_or_not_at_all_is_refused(change):
    with pytest.raises(ValidationError):
        Labels(**(TABLE | change))


@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.stem)
def test_a_task_is_an_overlay_of_any_config(task, monkeypatch):
    monkeypatch.chdir("/")
    assert find_config(f"tasks/{task.name}") == find_config(f"conf/tasks/{task.stem}") == task
    settings = load_settings(["online_retail.yaml", f"tasks/{task.name}"])
    assert len(settings.text.heads) == 1 and settings.text.encoder


def test_there_are_tasks_for_intent_emotion_sentiment_abuse_and_topic():
    assert {"intent", "emotion", "sentiment", "abuse", "topic"} <= {p.stem for p in TASKS}


def test_the_day_of_annotations_is_not_looked_for_in_a_table_of_labels_by_people():
    head = Labels(annotated="ask", test={"path": "people.parquet", "text": "said"})
    assert (head.text, head.day) == ("text", "day")
    test = head.part("test")
    assert (test.text, test.label, test.day, test.annotated) == ("said", "label", None, None)
    dated = Labels(annotated="ask", test={"path": "people.parquet", "day": "given"})
    assert dated.part("test").day == "given"
