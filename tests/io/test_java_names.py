"""What a classic session asks Java for, it asks once."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from py4j.java_gateway import GatewayClient, JVMView
from pyspark.errors import PySparkAttributeError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.io.java_names import keep_java_names


@pytest.fixture
def asked(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], list[str]]:
    """A function that runs another one, and tells the kind of each question it asked Java."""
    commands: list[str] = []
    client = type(spark.sparkContext._gateway._gateway_client)
    real = client.send_command

    def send(self: GatewayClient, command: str, *args: object, **options: object) -> object:
        commands.append(command.partition("\n")[0])
        return real(self, command, *args, **options)

    def ask(what: Callable[[], object]) -> list[str]:
        commands.clear()
        kept = what()  # until it is told: the end of a Java object is a command too
        told = [command for command in commands if command != "m"]
        del kept
        return told

    monkeypatch.setattr(client, "send_command", send)
    return ask


def test_a_function_that_was_called_before_is_one_question(
    spark: SparkSession, asked: Callable[[Callable[[], object]], list[str]]
) -> None:
    keep_java_names(spark)
    column = F.col("a")
    for function in (lambda: F.col("b"), lambda: F.lit(2), lambda: F.upper(column)):
        function()
        assert asked(function) == ["c"]
    # Without it, Java is asked for a class and for its method too.
    kept = vars(spark._jvm).copy()
    for name in ("functions", "org.apache.spark.sql.functions"):
        delattr(spark._jvm, name)
    try:
        assert asked(lambda: F.col("b")) == ["r", "r", "c"]
    finally:
        vars(spark._jvm).update(kept)


def test_what_there_is_not_fails_as_before(spark: SparkSession) -> None:
    keep_java_names(spark)
    view: JVMView = spark._jvm
    with pytest.raises(Exception, match="no_such_function does not exist"):
        getattr(view.functions, "no_such_function")  # noqa: B009
    assert spark.range(2).select(F.sum(F.col("id"))).first() == (1,)


def test_a_session_of_connect_has_no_such_names() -> None:
    class Connect:
        @property
        def _jvm(self) -> None:
            raise PySparkAttributeError("JVM_ATTRIBUTE_NOT_SUPPORTED")

    session = Connect()
    keep_java_names(session)  # type: ignore[arg-type]
    assert not vars(session)


def test_a_table_of_arrow_needs_no_python_worker(spark: SparkSession) -> None:
    """As rows of a list do: the demo started a second Python daemon for two small files."""
    frame = spark.createDataFrame(pa.table({"a": ["x", "y"]}), "a string")
    lineage = frame._jdf.queryExecution().toRdd().toDebugString()
    assert "PythonRDD" not in lineage and frame.count() == 2
