"""Java classes that PySpark asks for at each call, asked for once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# By the names that PySpark uses: nearly all that a night asks for.
_NAMES = ("functions", "org.apache.spark.sql.functions", "PythonUtils")


def keep_java_names(spark: SparkSession) -> None:
    """Keep the classes behind ``pyspark.sql.functions``, and the methods that are used of them.

    A classic session's JVM view asks Java, at each ``F.col``, for the class (for one without its
    package: in package after package) and then for the method: 15,000 questions in a small night,
    a twentieth of it, with always the same answers. A session of Connect asks nothing.
    """
    jvm = getattr(spark, "_jvm", None)
    if jvm is None or any(name in vars(jvm) for name in _NAMES):
        return
    from py4j.java_gateway import JavaClass, JavaMember  # type: ignore[import-untyped]

    class KeptClass(JavaClass):  # type: ignore[misc]
        def __getattr__(self, name: str) -> Any:
            member = super().__getattr__(name)
            if isinstance(member, JavaMember):  # a static method: the same for ever
                setattr(self, name, member)
            return member

    for name in _NAMES:
        found = getattr(jvm, name)
        setattr(jvm, name, KeptClass(found._fqn, found._gateway_client))
