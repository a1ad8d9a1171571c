# Databricks notebook source
# MAGIC %md
# MAGIC # A tour in SQL
# MAGIC Everything that a night knows is in tables, and most questions have a view. These queries run
# MAGIC as they stand in Spark SQL and Databricks SQL; `docs/querying.md` says what DuckDB writes
# MAGIC otherwise.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import behavior_spark

shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own
target = "purchase_30d"

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is there?
# MAGIC `DESCRIBE` says what every column means.

# COMMAND ----------

print(shop.tables)
display(shop.sql("DESCRIBE user_propensity"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Who will do it?

# COMMAND ----------

display(
    shop.sql(
        f"""
        SELECT user_id, round(probability, 3) AS probability, decile, get(reasons, 0).text AS why
        FROM latest_propensity WHERE target = '{target}' AND decile = 1
        ORDER BY probability DESC, user_id LIMIT 10
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How many, in which segment?

# COMMAND ----------

segments = shop.sql(
    f"""
    SELECT segment, count(*) AS people, round(sum(probability), 1) AS expected
    FROM latest_profile JOIN latest_propensity p USING (user_id)
    WHERE p.target = '{target}' GROUP BY segment ORDER BY expected DESC, segment
    """
)
display(segments)

# COMMAND ----------

behavior_spark.picture(
    segments, title=f"Expected to do {target}, by segment", x="segment", y="expected", form=".1f"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What speaks for it most often?
# MAGIC `explode` makes a row of each reason.

# COMMAND ----------

display(
    shop.sql(
        f"""
        SELECT reason.feature, count(*) AS people,
               round(avg(if(reason.contribution > 0, 1, 0)), 2) AS raises
        FROM (SELECT explode(reasons) AS reason FROM latest_propensity WHERE target = '{target}')
        GROUP BY reason.feature ORDER BY people DESC, reason.feature LIMIT 10
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Whose chance moved?
# MAGIC After a second night, `propensity_history` has the change of each user.

# COMMAND ----------

display(
    shop.sql(
        f"""
        SELECT as_of, count(*) AS people, count(change) AS known_before,
               round(avg(change), 3) AS mean_change
        FROM propensity_history WHERE target = '{target}' GROUP BY as_of ORDER BY as_of
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What do people write about, week by week?

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT to_date(date_trunc('week', text_time)) AS week, label, count(*) AS texts
        FROM labelled_texts WHERE head = 'emotion' AND kind <> 'search'
        GROUP BY ALL ORDER BY week, label
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was refused?

# COMMAND ----------

display(shop.sql("SELECT * FROM refused_rows ORDER BY refused_rows DESC, reason LIMIT 20"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What did the runs do?

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT command, as_of, status, round(seconds) AS took, balanced
        FROM latest_runs ORDER BY as_of DESC, command
        """
    )
)
