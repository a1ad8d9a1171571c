"""What was observed is answered, or counted anew, whatever Spark left out of the plan."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F

from behavior_spark.io import observations
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.counting import Counted
from behavior_spark.io.observations import answered_observations, observed_values

EXCLUDED = "spark.sql.optimizer.excludedRules"


def test_an_older_spark_leaves_observations_in_plans_inside_the_block(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is above one had no rows, Spark 4.0 took it out and was waited for for ever."""
    mine = "org.apache.spark.sql.MyRule"
    with conf_meanwhile(spark, {EXCLUDED: mine}):
        with answered_observations(spark):
            assert spark.conf.get(EXCLUDED) == mine  # this Spark answers
        monkeypatch.setattr(observations, "_ANSWERS_ALL", (99, 0))
        with answered_observations(spark):
            assert str(spark.conf.get(EXCLUDED)).startswith(f"{mine},")
            observation = Observation()
            seen = spark.range(3).observe(observation, F.count(F.lit(1)).alias("rows"))
            assert seen.join(spark.range(5).where("id < 0"), "id").count() == 0
            assert observed_values(observation) == {"rows": 3}
        assert spark.conf.get(EXCLUDED) == mine


def test_what_this_spark_leaves_out_is_counted_anew(spark: SparkSession) -> None:
    counted = Counted.over(spark.range(3), rows=F.count(F.lit(1)), most=F.max("id"))
    assert counted.frame.where("false").collect() == []
    assert observed_values(counted.observation) is None
    assert counted.counts() == {"rows": 3, "most": 2}


class Connect:
    """A session of Spark Connect 4.0 that answers with nothing and may refuse settings."""

    version = "4.0.1-SNAPSHOT"
    __module__ = "pyspark.sql.connect.session"

    def __init__(self, *, refuses: bool) -> None:
        self.refuses, self.values = refuses, {"spark.connect.session.planCache.enabled": "true"}
        self.conf = self

    def get(self, key: str, default: str | None = None) -> str | None:
        return self.values.get(key, default)

    def set(self, key: str, value: str) -> None:
        if self.refuses:
            raise PySparkException("[CONFIG_NOT_AVAILABLE]")
        self.values[key] = value


@pytest.mark.parametrize("refuses", [False, True])
def test_an_older_spark_connect_keeps_no_plans_inside_the_block_where_it_may_be_asked(
    refuses: bool,
) -> None:
    session = Connect(refuses=refuses)
    before = dict(session.values)
    with answered_observations(session):  # type: ignore[arg-type]
        assert (session.values != before) != refuses
        assert EXCLUDED not in session.values
    assert session.values == before


def test_an_answer_without_names_as_spark_connect_gives_it_is_none() -> None:
    class Unanswered:
        @property
        def get(self) -> dict[str, int]:
            return {}

    assert observed_values(Unanswered()) is None  # type: ignore[arg-type]
