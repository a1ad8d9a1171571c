# Databricks notebook source
# MAGIC %md
# MAGIC # Audiences (marketing)
# MAGIC Whom a campaign reaches: chosen by a rule of the config, with a part that is not reached, so
# MAGIC that afterwards you can tell what reaching has won. Why each member is in, what to show,
# MAGIC how many conversions to expect, and what became of it.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import tempfile
from pathlib import Path

import behavior_spark

shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

# COMMAND ----------

# MAGIC %md
# MAGIC ## Who was chosen?
# MAGIC `audiences` in the config says the rule; the table says what came of it. Everybody with a
# MAGIC prediction is either a member or left out for one reason.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT audience, as_of, rule, status, users, members, reached, holdout,
               left_out_excluded AS excluded, left_out_capped AS reached_lately,
               left_out_below AS less_likely, left_out_bot AS bots
        FROM latest_audiences ORDER BY audience
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to expect?
# MAGIC Conversions of those reached if nobody were reached, with a 95 % interval, beside as many
# MAGIC users taken at random.

# COMMAND ----------

expected = shop.sql(
    """
    SELECT audience, reached, round(expected, 1) AS expected, round(expected_low) AS at_least,
           round(expected_high) AS at_most, round(expected_at_random, 1) AS at_random
    FROM latest_audiences WHERE status = 'ready' ORDER BY audience
    """
)
display(expected)

# COMMAND ----------

behavior_spark.picture(
    expected.selectExpr(
        "stack(2, audience || ', chosen', expected, audience || ', at random', at_random)"
        " AS (who, conversions)"
    ),
    title="Expected conversions of those reached",
    x="who", y="conversions", form=".1f",
)  # fmt: skip

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to say to whom?
# MAGIC The first members, why they are in, what they like, and the items to show them.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT audience, rank, user_id, round(probability, 3) AS probability,
               get(reasons, 0).text AS why, preference, intent,
               transform(slice(items, 1, 3), item -> item.item_id) AS show
        FROM latest_audience_members WHERE arm = 'reached' AND rank <= 20
        ORDER BY audience, rank
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The list for the mail tool
# MAGIC One file for an audience. Contacts are hashed where the config maps them, and a cell that a
# MAGIC spreadsheet would compute is escaped. Those held out are not in it.

# COMMAND ----------

chosen = shop.sql("SELECT max(audience) FROM latest_audiences WHERE status = 'ready'").first()[0]
night = shop.sql("SELECT max(as_of) FROM latest_audiences").first()[0]
target = Path(tempfile.mkdtemp(prefix="audience_")) / f"{chosen}.csv"
shop.audience(chosen, output=target, as_of=night)
print("".join(target.read_text(encoding="utf-8").splitlines(keepends=True)[:3]))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What did it bring?
# MAGIC Once the horizon has passed: the rate of those reached beside that of those held out, and
# MAGIC whether the sample was large enough to tell. In the demo nobody was really reached, so there
# MAGIC is nothing to win, and the interval should hold 0.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT audience, as_of, verdict, reached, reached_conversions, holdout,
               holdout_conversions, round(incremental, 1) AS won,
               round(incremental_low, 1) AS won_at_least,
               round(incremental_high, 1) AS won_at_most, round(expected, 1) AS expected
        FROM audience_results ORDER BY as_of DESC, audience
        """
    )
)

# COMMAND ----------

behavior_spark.picture(
    shop.sql(
        """
        SELECT explode(map(audience || ', reached', 100 * reached_rate,
                           audience || ', held out', 100 * holdout_rate)) AS (who, percent)
        FROM audience_results WHERE reached_rate IS NOT NULL AND holdout_rate IS NOT NULL
        ORDER BY as_of DESC, who LIMIT 12
        """
    ),
    title="Who did it, of a hundred",
    x="who", y="percent", form=".1f",
)  # fmt: skip
