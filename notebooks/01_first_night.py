# Databricks notebook source
# MAGIC %md
# MAGIC # The first night
# MAGIC From a shop's raw logs to tables with what each user will probably do next, and the checks
# MAGIC afterwards: which rows came in, which were refused and why, and how good the models are.
# MAGIC
# MAGIC The environment's `DEMO_ROOT` is the demo's folder; all workers must be able to read it (a
# MAGIC volume, a shared mount). If it does not exist, the demo is generated first, which takes some
# MAGIC minutes.

# COMMAND ----------

import behavior_spark

shop = behavior_spark.open_demo(make=True)  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

# COMMAND ----------

# MAGIC %md
# MAGIC ## Run it
# MAGIC A night uses only what had arrived before its 00:00 UTC. Running a night again is safe: where
# MAGIC nothing has changed it ends at once. With `again=True`, as here, it replaces its rows by the
# MAGIC same rows, scores no text twice, and trains a target's model only if there is no valid one.

# COMMAND ----------

as_of = shop.sql(
    "SELECT max(as_of) FROM runs WHERE command = 'nightly' AND status = 'done'"
).first()[0]
result = shop.nightly(as_of=as_of, again=True)
print(f"night of {as_of}: {result.seconds:.0f} s, {result.figures['texts_scored']:.0f} new texts")

shop.sql("SELECT * FROM runs").where(f"run_id = '{result.run_id}'").createOrReplaceTempView(
    "this_run"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is every row accounted for?
# MAGIC Rows in = rows out + duplicates + refused. `not_yet` counts rows of the log that arrived on
# MAGIC the day of the night or later, so that the night does not use them.

# COMMAND ----------

display(
    shop.sql(
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
    shop.sql(
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
    shop.sql(
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
    shop.sql(
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

took = shop.sql(
    """
    SELECT stage, round(took, 1) AS stage_seconds
    FROM this_run LATERAL VIEW explode(stages) stages AS stage, took ORDER BY took DESC
    """
)
display(took)

# COMMAND ----------

behavior_spark.picture(
    took, title="Seconds by stage", x="stage", y="stage_seconds", form=".1f"
)
