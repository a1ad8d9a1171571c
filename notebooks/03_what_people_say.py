# Databricks notebook source
# MAGIC %md
# MAGIC # What people say (customer service, security)
# MAGIC What users want and how they feel, by kind of text and by week; what that sounds like; who is
# MAGIC upset and may leave; and who only sends spam or is not a person at all.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import os
from pathlib import Path

root = Path(os.environ.get("DEMO_ROOT", "build/demo"))

# COMMAND ----------

from behavior_spark.io.session import get_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.demonstration import demo_settings
from behavior_spark.schemas import TEXT_SCORES

settings = demo_settings(root)

# Databricks gives `spark` and `display`. Elsewhere: the active session, or a local one.
if "spark" not in globals():
    spark, _ = get_session(settings.spark, name="notebook")
if "display" not in globals():

    def display(frame):
        frame.show(40, truncate=100)


spark.conf.set("spark.sql.session.timeZone", "UTC")
warehouse = Warehouse(spark, settings.warehouse)
warehouse.require(TEXT_SCORES, made_by="demo")
warehouse.register_views()  # each table is now a view of its own name

# COMMAND ----------

# MAGIC %md
# MAGIC Each distinct text was read once, by each head (intent, emotion, spam). Two views bring that
# MAGIC back to who wrote it and when: the last night with its heads, and what they say of every text
# MAGIC that had arrived by then.

# COMMAND ----------

spark.sql(
    """
    CREATE OR REPLACE TEMPORARY VIEW last_night AS
    SELECT max_by(as_of, started_at) AS as_of, max_by(models, started_at) AS models
    FROM runs WHERE command = 'nightly' AND status = 'done'
    """
)
spark.sql(
    """
    CREATE OR REPLACE TEMPORARY VIEW said AS
    WITH understood AS (
        SELECT text_hash,
               max(label) FILTER (WHERE head = 'intent') AS intent,
               max(probability) FILTER (WHERE head = 'intent') AS intent_probability,
               max(label) FILTER (WHERE head = 'emotion') AS emotion,
               bool_or(head = 'spam' AND label = 'spam') AS is_spam
        FROM text_scores JOIN last_night ON head_digest = models['head_' || head]
        GROUP BY text_hash)
    SELECT text_id, user_id, text_time, kind, text, text_hash,
           intent, intent_probability, emotion, is_spam
    FROM texts JOIN understood USING (text_hash) JOIN last_night ON arrived_at < as_of
    """
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What do they want, and how do they feel?

# COMMAND ----------

for head in ("intent", "emotion"):
    by_kind = spark.table("said").where("NOT is_spam").groupBy(head).pivot("kind").count()
    display(by_kind.na.fill(0).orderBy(head))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Week by week
# MAGIC Texts of each emotion and intent; searches left out: they are many and say little.

# COMMAND ----------

for head in ("emotion", "intent"):
    by_week = spark.sql(
        f"""
        SELECT to_date(date_trunc('week', text_time)) AS week, {head}
        FROM said WHERE NOT is_spam AND kind <> 'search'
        """
    )
    display(by_week.groupBy("week").pivot(head).count().na.fill(0).orderBy("week"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What does it sound like?
# MAGIC For each intent the three texts it is surest of. Personal data was masked before anything was
# MAGIC stored.

# COMMAND ----------

display(
    spark.sql(
        """
        WITH distinct_texts AS (
            SELECT text_hash, any_value(text) AS text, any_value(intent) AS intent,
                   max(intent_probability) AS probability, any_value(emotion) AS emotion
            FROM said WHERE kind <> 'search' AND NOT is_spam GROUP BY text_hash),
        placed AS (
            SELECT *, row_number() OVER (
                PARTITION BY intent ORDER BY probability DESC, text_hash) AS place
            FROM distinct_texts)
        SELECT intent, round(probability, 2) AS probability, emotion, text
        FROM placed WHERE place <= 3 ORDER BY intent, place
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Whom to call first
# MAGIC Users who were angry, worried or sad in the two weeks before the last night, those who may
# MAGIC cancel an order first: what they said, beside what they are predicted to do.

# COMMAND ----------

display(
    spark.sql(
        """
        WITH upset AS (
            SELECT user_id, count(*) AS upset_texts, max_by(emotion, text_time) AS emotion,
                   max_by(intent, text_time) AS intent, max_by(text, text_time) AS last_text
            FROM said CROSS JOIN last_night
            WHERE emotion IN ('anger', 'worry', 'sadness') AND kind <> 'search' AND NOT is_spam
              AND text_time >= date_sub(as_of, 14) AND text_time < as_of
            GROUP BY user_id)
        SELECT user_id, round(p.probability, 3) AS cancel_probability, p.decile, upset_texts,
               upset.emotion, upset.intent, last_text
        FROM upset JOIN user_propensity p USING (user_id) JOIN last_night USING (as_of)
        WHERE target = 'cancel_30d'
        ORDER BY p.probability DESC, p.score DESC, user_id LIMIT 15
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Spam and bots
# MAGIC Two ways to stand out: a user sends spam again and again (twice at least, and a tenth of the
# MAGIC user's texts), or does more in a day than a person does (ten times the median of events for
# MAGIC each active day, over 90 days).

# COMMAND ----------

display(
    spark.sql(
        """
        WITH activity AS (
            SELECT user_id, event_count_90d AS events, active_days_90d AS active_days,
                   try_divide(event_count_90d, active_days_90d) AS events_a_day,
                   purchase_count_90d AS purchases
            FROM user_features JOIN last_night USING (as_of)),
        typical AS (SELECT percentile_approx(events_a_day, 0.5) AS median FROM activity),
        writing AS (
            SELECT user_id, count(*) AS texts, count_if(is_spam) AS spam_texts,
                   max(text) FILTER (WHERE is_spam) AS example
            FROM said GROUP BY user_id),
        judged AS (
            SELECT *, spam_texts >= 2 AND spam_texts >= 0.1 * texts AS sends_spam,
                   events_a_day >= 10 * median AS too_busy
            FROM activity LEFT JOIN writing USING (user_id) CROSS JOIN typical)
        SELECT user_id, concat_ws(' and ', IF(too_busy, 'bot', NULL), IF(sends_spam, 'spam', NULL))
                   AS looks_like,
               coalesce(texts, 0) AS texts, coalesce(spam_texts, 0) AS spam_texts,
               events, active_days, round(events_a_day, 1) AS events_a_day,
               purchases, example
        FROM judged WHERE sends_spam OR too_busy
        ORDER BY looks_like, events_a_day DESC, user_id LIMIT 30
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A message that just came in
# MAGIC The same model as functions on any column, in Python and in SQL: what is asked for, and how the
# MAGIC writer feels. A text that was read before in this session costs no second reading.

# COMMAND ----------

from behavior_spark.pipelines import similar_to, text_functions

messages = [
    "where is my parcel? it should have been here last week",
    "can i send the blue mug back and get my money",
]
functions = text_functions(settings, spark=spark)
inbox = spark.createDataFrame([(message,) for message in messages], "message string")
display(
    inbox.select(
        "message",
        functions.classify_text("message", head="intent")["label"].alias("intent"),
        functions.classify_text("message", head="emotion")["label"].alias("emotion"),
    )
)

# COMMAND ----------

inbox.createOrReplaceTempView("inbox")
display(
    spark.sql(
        """
        SELECT message, round(spam.probability, 3) AS probability, spam.label AS spam
        FROM (SELECT message, classify_text(message, 'spam') AS spam FROM inbox)
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Who wrote the like before?
# MAGIC The nearest of all stored texts, exactly: what was answered then may be answered now.

# COMMAND ----------

display(similar_to(settings, messages, k=3, spark=spark).orderBy("query", "rank"))
