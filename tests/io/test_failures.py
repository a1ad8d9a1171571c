"""Spark's errors in the user's words: short, without a stack trace, without a row's content."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from behavior_spark.errors import BehaviorError, ConfigError, InputError, ModelError
from behavior_spark.io.failures import condition_of, explain, spark_errors

SECRET = "bob@x.com"


def raised(action) -> Exception:
    with pytest.raises(Exception) as caught:
        action()
    return caught.value


def said(error: Exception, context: str = "sources.events (data/clicks)") -> str:
    message = str(explain(error, context))
    assert context in message
    assert len(message.splitlines()) <= 3
    assert "\tat " not in message
    assert "java." not in message
    assert "org.apache" not in message
    return message


@pytest.fixture
def people(spark):
    return spark.createDataFrame([(SECRET, "2024-13-45")], "mail string, day string")


@pytest.mark.parametrize(
    "expression",
    [
        "cast(mail AS int)",
        "cast(mail AS timestamp)",
        "to_timestamp(mail, 'yyyy-MM-dd')",
        "to_date(day)",
        "raise_error(mail)",
        "assert_true(mail = 'x', mail)",
        "element_at(array(1), cast(mail AS int))",
        "from_json(mail, 'a int', map('mode', 'FAILFAST'))",
        "1 / (length(mail) - 9)",
        "make_date(2024, 13, 45)",
        "decode(encode(mail, mail), 'utf-8')",
    ],
)
def test_a_failing_expression_is_explained_without_the_value(people, expression):
    error = raised(lambda: people.select(F.expr(expression)).collect())
    assert SECRET not in said(error)
    assert "2024-13-45" not in said(error)
    assert "x.com" not in said(error)


def test_a_failing_cast_says_what_to_do(people):
    error = raised(lambda: people.select(F.expr("cast(mail AS int)")).collect())
    assert condition_of(error) == "CAST_INVALID_INPUT"
    assert "try_cast" in said(error)
    assert isinstance(explain(error, "x"), InputError)


def test_a_failing_python_function_is_explained_without_the_value(people):
    def fail(frames):
        for frame in frames:
            raise ValueError(f"cannot read {frame['mail'][0]}")
        yield from ()

    error = raised(lambda: people.mapInPandas(fail, "a string").collect())
    assert SECRET not in said(error)
    # Enough to look for it: what was raised, and where.
    assert "ValueError in tests/io/test_failures.py, line " in said(error)
    assert said(error).endswith("(fail)")


def test_a_missing_column_is_named(people):
    error = raised(lambda: people.select("male"))
    assert "male" in said(error)


def test_a_missing_path_is_named(spark, tmp_path):
    error = raised(lambda: spark.read.parquet(str(tmp_path / "none")))
    message = said(error)
    assert str(tmp_path / "none") in message
    assert "check the path" in message


def test_an_error_of_ours_stays_as_it_is():
    ours = ConfigError("a", found="b", fix="c")
    assert explain(ours, "context") is ours


def test_an_error_of_python_shows_its_kind_and_not_its_words():
    message = said(ValueError(f"bad {SECRET}"))
    assert "ValueError" in message
    assert SECRET not in message


def test_the_block_turns_spark_errors_and_lets_others_through(people):
    with pytest.raises(BehaviorError, match="reading it") as caught, spark_errors("reading it"):
        people.select(F.expr("cast(mail AS int)")).collect()
    assert caught.value.__suppress_context__
    with pytest.raises(KeyError), spark_errors("reading it"):
        raise KeyError("a")


def test_a_workers_refusal_reaches_the_user_in_its_own_words(spark):
    def refuse(batches):
        for _ in batches:
            raise ModelError("no such encoder", found="1, wanted 2", fix="share the folder")
        yield from ()

    def stumble(batches):
        for _ in batches:
            raise ValueError(SECRET)
        yield from ()

    frame = spark.range(3)
    refusal = explain(raised(lambda: frame.mapInArrow(refuse, "a int").collect()), "scoring")
    assert isinstance(refusal, ModelError) and refusal.exit_code == 2
    assert str(refusal).splitlines() == [
        "scoring: no such encoder", "  found: 1, wanted 2", "  fix: share the folder",
    ]  # fmt: skip
    other = explain(raised(lambda: frame.mapInArrow(stumble, "a int").collect()), "scoring")
    assert SECRET not in str(other)
