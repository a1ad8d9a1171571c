# Databricks notebook source
# MAGIC %md
# MAGIC # The first night
# MAGIC From a shop's raw logs to tables with what each user will probably do next, and the checks
# MAGIC afterwards: which rows came in, which were refused and why, and how good the models are.
# MAGIC
# MAGIC `DEMO_ROOT` is the demo's folder; all workers must be able to read it (a volume, a shared
# MAGIC mount). If it does not exist, the demo is generated first, which takes some minutes.

# COMMAND ----------

import os
from pathlib import Path

from behavior_spark.io.session import get_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import nightly
from behavior_spark.pipelines.demonstration import demo, demo_settings
from behavior_spark.schemas import RUNS

root = Path(os.environ.get("DEMO_ROOT", "build/demo"))

# COMMAND ----------

settings = demo_settings(root)  # conf/demo.yaml; your own: load_settings(["conf/mine.yaml"])

# Databricks gives `spark` and `display`. Elsewhere: the active session, or a local one.
if "spark" not in globals():
    spark, _ = get_session(settings.spark, name="notebook")
if "display" not in globals():

    def display(frame):
        frame.show(40, truncate=100)


spark.conf.set("spark.sql.session.timeZone", "UTC")
if not root.exists():
    demo(root, spark=spark)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Run it
# MAGIC A night uses only what had arrived before its 00:00 UTC. Running a night again is safe: it
# MAGIC replaces its rows by the same rows, scores no text twice, and trains a target's model only
# MAGIC if there is no valid one.

# COMMAND ----------

warehouse = Warehouse(spark, settings.warehouse)
nights = warehouse.require(RUNS, made_by="demo").where("command = 'nightly' AND status = 'done'")
as_of = nights.agg({"as_of": "max"}).first()[0]

result = nightly(settings, as_of=as_of, spark=spark)
print(f"night of {as_of}: {result.seconds:.0f} s, {result.figures['texts_scored']:.0f} new texts")

warehouse.register_views()  # makes a temporary view of each table, with the table's name
spark.sql(
    f"""
    CREATE OR REPLACE TEMPORARY VIEW this_run AS
    SELECT * FROM runs WHERE run_id = '{result.run_id}'
    """
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is every row accounted for?
# MAGIC Rows in = rows out + duplicates + refused. `not_yet` counts rows of the log that arrived on
# MAGIC the day of the night or later, so that the night does not use them.

# COMMAND ----------

display(
    spark.sql(
        """
        SELECT table_name, rows_in, rows_out, duplicates, refused,
               rows_in = rows_out + duplicates + refused AS adds_up, without_user, not_yet
        FROM (SELECT inline(sources) FROM this_run)
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was refused, and why?
# MAGIC With one example row for each reason; personal data in it is masked.

# COMMAND ----------

display(
    spark.sql(
        """
        SELECT table_name, reason, sum(refused_rows) AS refused_rows, min(row) AS example
        FROM quarantine JOIN this_run USING (run_id)
        GROUP BY table_name, reason ORDER BY refused_rows DESC, reason
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How good are the models?
# MAGIC Measured on a held-out day. AUC is 0.5 for guessing and 1 for a perfect ranking. Lift is how
# MAGIC many times more often the best tenth of the users did it than the average user. The
# MAGIC calibration error is the average difference between probability and what happened.

# COMMAND ----------

display(
    spark.sql(
        """
        SELECT target,
               round(figures[target || '_roc_auc'], 3) AS auc,
               round(figures[target || '_average_precision'], 3) AS average_precision,
               round(figures[target || '_lift_at_10pct'], 2) AS lift_at_10pct,
               round(figures[target || '_expected_calibration_error'], 3) AS calibration_error,
               round(figures[target || '_base_rate'], 3) AS base_rate,
               models[target] AS model
        FROM this_run LATERAL VIEW explode(map_keys(models)) model AS target
        WHERE map_contains_key(figures, target || '_roc_auc') ORDER BY target
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC The same for the text model's heads, measured on held-out labelled texts: the share of right
# MAGIC labels (accuracy), and precision, recall and F1 averaged over the labels.

# COMMAND ----------

display(
    spark.sql(
        """
        WITH learned AS (
            SELECT max_by(figures, started_at) AS figures
            FROM runs WHERE command = 'finetune' AND status = 'done')
        SELECT head,
               round(figures[head || '_accuracy'], 3) AS accuracy,
               round(figures[head || '_precision'], 3) AS mean_precision,
               round(figures[head || '_recall'], 3) AS mean_recall,
               round(figures[head || '_f1'], 3) AS mean_f1
        FROM learned
        LATERAL VIEW explode(array('intent', 'emotion', 'spam')) heads AS head
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Where did the time go?

# COMMAND ----------

display(
    spark.sql(
        """
        SELECT stage, round(took, 1) AS stage_seconds
        FROM this_run LATERAL VIEW explode(stages) stages AS stage, took ORDER BY took DESC
        """
    )
)
