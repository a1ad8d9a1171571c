"""A target kind and a learner are added as CONTRIBUTING says, by a package of their own."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.prediction.predict import predict
from behavior_spark.schemas import EVENTS
from tests.added_package import blocks_under, install

DAYS = [dt.date(2011, 7, 1), dt.date(2011, 8, 1), dt.date(2011, 9, 1)]
AS_OF = dt.date(2011, 10, 1)
ENTRY_POINTS = {
    "behavior_spark.target_outcomes": {"twice": "added_kinds.twice_outcome"},
    "behavior_spark.target_kinds": {"twice": "added_kinds.twice"},
    "behavior_spark.learners": {"logistic": "added_kinds.logistic"},
}
SETTINGS = FeatureSettings(event_types=["purchase"], windows_days=[90], groups=["activity"])


@pytest.fixture(scope="module")
def added(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package, installed for this process and for Spark's workers."""
    outcome, kind = blocks_under("Add a target kind: 2 files")
    [learner] = blocks_under("Add a learner: 1 file")
    folder = tmp_path_factory.mktemp("installed")
    modules = {"twice_outcome": outcome, "twice": kind, "logistic": learner}
    with pytest.MonkeyPatch.context() as patch:
        files = install(folder, "added_kinds", modules, ENTRY_POINTS, patch)
        archive = tmp_path_factory.mktemp("archive") / "added_kinds.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(folder))
        spark.addArtifacts(str(archive), pyfile=True)
        yield


@pytest.fixture(scope="module")
def events(spark: SparkSession, real_data: Path) -> DataFrame:
    """Orders of every seventh customer of Online Retail, one event an invoice."""
    lines = spark.read.parquet(str(real_data / "online_retail" / "online_retail.parquet"))
    orders = (
        lines.where("CustomerID % 7 = 0")
        .groupBy("InvoiceNo")
        .agg(
            F.max(F.expr("cast(cast(CustomerID AS int) AS string)")).alias("user_id"),
            F.min("InvoiceDate").alias("event_time"),
            F.sum(F.expr("Quantity * UnitPrice")).alias("value"),
        )
        .withColumn("arrived_at", F.col("event_time"))
        .withColumn("arrived_day", F.to_date("arrived_at"))
        .withColumn("event_id", F.col("InvoiceNo"))
        .withColumn(
            "event_type", F.expr("CASE WHEN InvoiceNo LIKE 'C%' THEN 'cancel' ELSE 'purchase' END")
        )
    )
    columns = [
        (F.col(f.name) if f.name in orders.columns else F.lit(None)).cast(f.dataType).alias(f.name)
        for f in EVENTS.columns
    ]
    return spark.createDataFrame(orders.select(*columns).toArrow())


def test_a_kind_and_a_learner_are_added_trained_and_predicted_with(
    spark: SparkSession, added: None, events: DataFrame, tmp_path: Path
) -> None:
    bought = "event_type = 'purchase'"
    targets = {
        "buys": Target(event=bought),
        "buys_twice": Target(kind="twice", event=bought),
        "leaves": Target(kind="does_not", event=bought),
        "orders": Target(kind="count", event=bought),
        "spends": Target(kind="amount", event=bought),
    }
    inputs = Inputs(events)
    feature_set = FeatureSet.make(SETTINGS, targets)
    table = feature_set.training_set(inputs, DAYS, known_before=AS_OF).toPandas()

    # Labels, against a plain count of each user's purchases in the horizon.
    orders = events.where(bought).select("user_id", "event_time", "value").toPandas()
    days = table["as_of"].astype("datetime64[ns]")
    counts, spent = [], []
    for user, day in zip(table["user_id"], days, strict=True):
        own = orders[orders["user_id"] == user]
        time = own["event_time"]
        within = own.loc[(time >= day) & (time < day + np.timedelta64(30, "D")), "value"]
        counts.append(len(within))
        spent.append(float(within.sum()))
    assert (table["label_buys"] == [int(count > 0) for count in counts]).all()
    assert (table["label_buys_twice"] == [int(count > 1) for count in counts]).all()
    assert (table["label_leaves"] == [int(count == 0) for count in counts]).all()
    assert (table["label_orders"] == counts).all()
    np.testing.assert_allclose(table["label_spends"], spent)
    assert 20 < table["label_buys_twice"].sum() < table["label_buys"].sum()

    # Models, through a folder and through Spark's workers.
    features = [name for name in table if name.startswith(("event_", "purchase_", "recency"))]
    models = {}
    learners = {"buys_twice": "logistic"} | dict.fromkeys(("leaves", "orders", "spends"), "xgboost")
    for name, learner in learners.items():
        trained = train_propensity_model(
            table, target=name, kind=targets[name].kind, learner=learner, features=features,
            label=f"label_{name}", as_of="as_of", horizon_days=30, resamples=50,
            options=find_learner(learner).make_options(seed=7),
        )  # fmt: skip
        assert trained.metrics["holdout"]["roc_auc"]["value"] > 0.6
        models[name] = PropensityModel.load(trained.save(tmp_path / name))
        assert models[name].digest == trained.digest
    assert sorted(path.name for path in (tmp_path / "buys_twice").iterdir()) == [
        "coefficients.bin", "model.json",
    ]  # fmt: skip
    tonight = feature_set.build(inputs, [AS_OF])
    predictions = predict(
        tonight.select("user_id", *features), models, horizons=dict.fromkeys(models, 30),
        told={}, reasons=2, as_of=AS_OF,
    ).toPandas()  # fmt: skip
    here = tonight.toPandas().set_index("user_id")
    for name, model in models.items():
        rows = predictions[predictions["target"] == name].set_index("user_id")
        assert len(rows) == len(here) > 300
        own = model.predictions(here.loc[rows.index])
        said = "expected" if name in ("orders", "spends") else "probability"
        np.testing.assert_allclose(rows[said], own, rtol=1e-6)
        unsaid = {"probability", "expected", "expected_low", "expected_high"} - {
            column for column in rows if column.startswith(said)
        }
        assert rows[list(unsaid)].isna().all(axis=None)
        raising = rows["reasons"].map(lambda told: sum(r["contribution"] > 0 for r in told))
        lowering = rows["reasons"].map(len) - raising
        assert raising.max() == lowering.max() == 2 and (raising + lowering).min() >= 1
    scores = predictions.pivot(index="user_id", columns="target", values="score")
    alike = scores.corr(method="spearman")
    assert alike.loc["orders", "spends"] > 0.5
    assert alike.loc["leaves", ["buys_twice", "orders"]].max() < -0.5
