# Databricks notebook source
# MAGIC %md
# MAGIC # What people say (customer service, security)
# MAGIC What users want and how they feel, by kind of text and by week, with examples; who is upset
# MAGIC and may leave; who sends spam, and who is a bot.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import behavior_spark

shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

# COMMAND ----------

# MAGIC %md
# MAGIC Each distinct text was classified once by each head (intent, emotion, spam). Two views join
# MAGIC the labels with who wrote the text and when: `last_night`, the last night with its heads,
# MAGIC and `understood_texts`, every text that had arrived by then, with its labels.

# COMMAND ----------

shop.sql(
    """
    CREATE OR REPLACE TEMPORARY VIEW last_night AS
    SELECT max_by(as_of, started_at) AS as_of, max_by(models, started_at) AS models
    FROM runs WHERE command = 'nightly' AND status = 'done'
    """
)
shop.sql(
    """
    CREATE OR REPLACE TEMPORARY VIEW understood_texts AS
    WITH labels AS (
        SELECT text_hash,
               max(label) FILTER (WHERE head = 'intent') AS intent,
               max(probability) FILTER (WHERE head = 'intent') AS intent_probability,
               max(label) FILTER (WHERE head = 'emotion') AS emotion,
               bool_or(head = 'spam' AND label = 'spam') AS is_spam
        FROM text_scores JOIN last_night ON head_digest = models['head_' || head]
        GROUP BY text_hash)
    SELECT text_id, user_id, text_time, kind, text, text_hash,
           intent, intent_probability, emotion, is_spam
    FROM texts JOIN labels USING (text_hash) JOIN last_night ON arrived_at < as_of
    """
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What do they want, and how do they feel?

# COMMAND ----------

for head in ("intent", "emotion"):
    texts = shop.spark.table("understood_texts").where("NOT is_spam")
    by_kind = texts.groupBy(head).pivot("kind").count()
    display(by_kind.na.fill(0).orderBy(head))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Week by week
# MAGIC Texts of each emotion and intent, without searches: they are many and tell little.

# COMMAND ----------

for head in ("emotion", "intent"):
    by_week = shop.sql(
        f"""
        SELECT to_date(date_trunc('week', text_time)) AS week, {head}
        FROM understood_texts WHERE NOT is_spam AND kind <> 'search'
        """
    )
    display(by_week.groupBy("week").pivot(head).count().na.fill(0).orderBy("week"))

# COMMAND ----------

behavior_spark.picture(
    shop.sql(
        """
        SELECT to_date(date_trunc('week', text_time)) AS week, emotion, count(*) AS texts
        FROM understood_texts
        WHERE NOT is_spam AND kind <> 'search' AND emotion IN ('anger', 'joy', 'sadness', 'worry')
        GROUP BY ALL ORDER BY week, emotion
        """
    ),
    title="Texts by mood",
    x="week", y="texts", series="emotion", kind="stacks",
)  # fmt: skip

# COMMAND ----------

# MAGIC %md
# MAGIC ## Examples
# MAGIC For each intent the three texts with the highest probability. Personal data was masked
# MAGIC before the texts were stored.

# COMMAND ----------

display(
    shop.sql(
        """
        WITH distinct_texts AS (
            SELECT text_hash, any_value(text) AS text, any_value(intent) AS intent,
                   max(intent_probability) AS probability, any_value(emotion) AS emotion
            FROM understood_texts WHERE kind <> 'search' AND NOT is_spam GROUP BY text_hash),
        ranked AS (
            SELECT *, row_number() OVER (
                PARTITION BY intent ORDER BY probability DESC, text_hash) AS place
            FROM distinct_texts)
        SELECT intent, round(probability, 2) AS probability, emotion, text
        FROM ranked WHERE place <= 3 ORDER BY intent, place
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Whom to call first
# MAGIC Users who were angry, worried or sad in the two weeks before the last night, with their last
# MAGIC text; those most likely to cancel an order come first.

# COMMAND ----------

display(
    shop.sql(
        """
        WITH upset AS (
            SELECT user_id, count(*) AS upset_texts, max_by(emotion, text_time) AS emotion,
                   max_by(intent, text_time) AS intent, max_by(text, text_time) AS last_text
            FROM understood_texts CROSS JOIN last_night
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
# MAGIC Users who send spam (at least two texts, and at least a tenth of the user's texts), and
# MAGIC users with more events than a person has (at least ten times the median number of events
# MAGIC per active day, over 90 days).

# COMMAND ----------

display(
    shop.sql(
        """
        WITH daily AS (
            SELECT user_id, event_count_90d AS events, active_days_90d AS active_days,
                   try_divide(event_count_90d, active_days_90d) AS events_a_day,
                   purchase_count_90d AS purchases
            FROM user_features JOIN last_night USING (as_of)),
        typical AS (SELECT percentile_approx(events_a_day, 0.5) AS median FROM daily),
        written AS (
            SELECT user_id, count(*) AS texts, count_if(is_spam) AS spam_texts,
                   max(text) FILTER (WHERE is_spam) AS example
            FROM understood_texts GROUP BY user_id),
        judged AS (
            SELECT *, spam_texts >= 2 AND spam_texts >= 0.1 * texts AS sends_spam,
                   events_a_day >= 10 * median AS too_busy
            FROM daily LEFT JOIN written USING (user_id) CROSS JOIN typical)
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
# MAGIC The same model as functions on any column, in Python and in SQL: what the writer wants and
# MAGIC how the writer feels. A text that was classified before in this session is not computed
# MAGIC again.

# COMMAND ----------

messages = [
    "where is my parcel? it should have been here last week",
    "can i send the blue mug back and get my money",
]
functions = shop.text_functions()
inbox = shop.spark.createDataFrame([(message,) for message in messages], "message string")
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
    shop.sql(
        """
        SELECT message, round(spam.probability, 3) AS probability, spam.label AS spam
        FROM (SELECT message, classify_text(message, 'spam') AS spam FROM inbox)
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Who wrote something similar before?
# MAGIC The most similar of all stored texts (an exact search): the answer given then may fit now.

# COMMAND ----------

display(shop.similar(messages, k=3).orderBy("query", "rank"))
