# Databricks notebook source
# MAGIC %md
# MAGIC # Security
# MAGIC What a security team looks at in the morning: behaviour that no peer shows, accounts that
# MAGIC somebody else may use, campaigns of nearly equal texts, bursts. Each alert with its evidence
# MAGIC and a query that shows it. An alert is a hint, not a verdict.
# MAGIC
# MAGIC Reads the table `risk_alerts` of a night; where there is none, it makes the alerts first. Run
# MAGIC `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import behavior_spark

shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

if "risk_alerts" not in shop.tables:
    shop.alerts(as_of=shop.sql("SELECT max(as_of) FROM user_features").first()[0])
as_of = shop.sql("SELECT max(as_of) FROM risk_alerts").first()[0]
print(f"the alerts of the night of {as_of}")

shop.sql(f"SELECT * FROM risk_alerts WHERE as_of = DATE'{as_of}'").createOrReplaceTempView(
    "tonight"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How many, and of which kind?

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT kind, count(*) AS alerts, count_if(severity = 'high') AS high,
               count_if(severity = 'medium') AS medium, count_if(severity = 'low') AS low,
               count_if(status = 'new') AS new
        FROM tonight GROUP BY kind ORDER BY alerts DESC, kind
        """
    )
)

# COMMAND ----------

behavior_spark.picture(
    shop.sql(
        "SELECT kind, count(*) AS alerts FROM tonight GROUP BY kind ORDER BY alerts DESC, kind"
    ),
    title="Alerts by kind",
    x="kind", y="alerts",
)  # fmt: skip

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was seen?
# MAGIC The strongest first. `times_limit` says how far a figure is above the limit of its rule.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT substr(alert_id, 1, 12) AS alert, severity, kind, status,
               round(times_limit, 1) AS times_limit, evidence, first_seen, nights
        FROM tonight ORDER BY score DESC, alert_id LIMIT 20
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Check it yourself
# MAGIC Every alert brings a query for what it rests on. This is that of the strongest:

# COMMAND ----------

check = shop.sql(
    "SELECT max_by(check_sql, struct(score, alert_id)) AS check_sql FROM tonight"
).first()[0]  # fmt: skip
print(check)
display(shop.sql(check))

# COMMAND ----------

# MAGIC %md
# MAGIC ## How unusual is it?
# MAGIC Who is busy may be a good customer. The alerted users' events of an active day, beside those
# MAGIC of everybody:

# COMMAND ----------

display(
    shop.sql(
        f"""
        WITH alerted AS (SELECT DISTINCT explode(
                 CASE WHEN subject_kind = 'user' THEN array(subject) ELSE members END) AS user_id
             FROM tonight)
        SELECT CASE WHEN a.user_id IS NULL THEN 'all others' ELSE 'with an alert' END AS users,
               count(*) AS how_many,
               round(percentile_approx(try_divide(event_count_30d, active_days_30d), 0.5), 1)
                   AS typical_events_a_day,
               round(max(try_divide(event_count_30d, active_days_30d)), 1) AS most_events_a_day
        FROM user_features LEFT JOIN alerted a USING (user_id)
        WHERE as_of = DATE'{as_of}' GROUP BY ALL ORDER BY users
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Tell it what you found
# MAGIC A table with `alert_id`, `verdict` (`confirmed` or `dismissed`), `by` and `at`, named under
# MAGIC `alerts.feedback`, is read the next night: a dismissed alert stays silent until it grows, and
# MAGIC a confirmed one is shown a step stronger.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT alert_id, 'dismissed' AS verdict, current_user() AS by, now() AS at
        FROM tonight ORDER BY score, alert_id LIMIT 1
        """
    )
)
