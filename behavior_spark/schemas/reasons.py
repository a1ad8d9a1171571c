"""The type of a reason for a prediction."""

from __future__ import annotations

from pyspark.sql.types import DoubleType, StringType, StructField, StructType

REASON = StructType(
    [
        StructField("feature", StringType(), True, {"comment": "which feature"}),
        StructField(
            "value", DoubleType(), True, {"comment": "its value; null if the user has none"}
        ),
        StructField("contribution", DoubleType(), True, {"comment": "SHAP value in log-odds"}),
        StructField("text", StringType(), True, {"comment": "the same in words"}),
    ]
)
