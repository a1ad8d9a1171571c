# Databricks notebook source
# MAGIC %md
# MAGIC # Who to reach (marketing)
# MAGIC Who is most likely to buy (or to reach another target) within the horizon, and why; how many
# MAGIC buyers to expect in the first tenth of the list; and whether earlier predictions came true.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import behavior_spark

target = "purchase_30d"  # a key of `targets` in conf/demo.yaml
shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

shop.sql(f"SELECT * FROM user_propensity WHERE target = '{target}'").createOrReplaceTempView(
    "predictions"
)
as_of = shop.sql("SELECT max(as_of) FROM predictions").first()[0]
print(f"{target}: {shop.settings.targets[target].description}, from {as_of} on")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The list
# MAGIC The probability is calibrated: of a hundred users with 0.30, about thirty do it. The reasons
# MAGIC are the features that moved this user's score most, up or down.

# COMMAND ----------

display(
    shop.sql(
        f"""
        SELECT user_id, round(p.probability, 3) AS probability, f.segment, f.preference, f.intent,
               get(p.reasons, 0).text AS why, get(p.reasons, 1).text AS and_why
        FROM predictions p LEFT JOIN user_profile f USING (user_id, as_of)
        WHERE as_of = DATE'{as_of}'
        ORDER BY p.probability DESC, p.score DESC, user_id LIMIT 20
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How far down the list?
# MAGIC Decile 1 is the tenth of the users with the highest scores. `expected` is the sum of a
# MAGIC decile's probabilities: how many of its users are expected to do it. `expected_so_far` is
# MAGIC the share of all expected users that are in this decile and those above.

# COMMAND ----------

deciles = shop.sql(
    f"""
    SELECT decile, count(*) AS users, round(min(probability), 3) AS lowest_probability,
           round(sum(probability), 1) AS expected,
           round(sum(sum(probability)) OVER (ORDER BY decile)
                 / sum(sum(probability)) OVER (), 2) AS expected_so_far
    FROM predictions WHERE as_of = DATE'{as_of}' GROUP BY decile ORDER BY decile
    """
)
display(deciles)

# COMMAND ----------

behavior_spark.picture(
    deciles, title="Expected to do it, by decile", x="decile", y="expected", form=".1f"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Did it come true?
# MAGIC For the latest night whose horizon has passed and whose events have been ingested: the
# MAGIC prediction for each decile, and what its users then did.

# COMMAND ----------

checked = shop.sql(
    """
    SELECT max(as_of) FROM predictions WHERE valid_until <= (
        SELECT max(as_of) FROM runs WHERE command IN ('ingest', 'nightly') AND status = 'done')
    """
).first()[0]

if checked is None:
    print(f"not known yet: no prediction of {target} has reached the end of its horizon")
else:
    goal = shop.settings.targets[target]
    display(
        shop.sql(
            f"""
            WITH did AS (
                SELECT DISTINCT user_id
                FROM events LEFT JOIN items USING (item_id)
                WHERE event_time >= DATE'{checked}'
                  AND event_time < DATE'{checked}' + INTERVAL '{goal.horizon_days}' DAY
                  AND ({goal.event})
                  AND ({goal.item or "true"}))
            SELECT decile, count(*) AS users, round(sum(probability), 1) AS expected,
                   count(did.user_id) AS did_it, round(avg(probability), 3) AS predicted_share,
                   round(count(did.user_id) / count(*), 3) AS share_that_did
            FROM predictions p LEFT JOIN did ON p.user_id = did.user_id
            WHERE as_of = DATE'{checked}' GROUP BY decile ORDER BY decile
            """
        )
    )
    # The same as figures with intervals, beside simple baselines.
    print(shop.report(as_of=checked).details["markdown"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to offer to whom
# MAGIC `next_action` is the target for which a user stands out most against the average user.

# COMMAND ----------

counts = ", ".join(f"count_if(next_action = '{name}') AS {name}" for name in shop.settings.targets)
display(
    shop.sql(
        f"""
        SELECT segment, count(*) AS users, {counts}, mode(preference) AS favourite_category
        FROM user_profile WHERE as_of = DATE'{as_of}'
        GROUP BY segment ORDER BY users DESC, segment
        """
    )
)
