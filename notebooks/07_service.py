# Databricks notebook source
# MAGIC %md
# MAGIC # Who answers what, and with which words (customer service)
# MAGIC The texts that came in, by the team that answers them; what they need and why some have no
# MAGIC need; who is angry or about to leave; the answers that are suggested, and what was like it.
# MAGIC
# MAGIC Reads the tables of a night; run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import behavior_spark

shop = behavior_spark.open_demo()  # your own: behavior_spark.open("mine.yaml")
display = globals().get("display", behavior_spark.show)  # Databricks has its own

# COMMAND ----------

# MAGIC %md
# MAGIC ## Which team has how much to do?
# MAGIC Each text is in one queue, by its need; `very_urgent` has two reasons or more to be first.

# COMMAND ----------

shop.sql(
    """
    CREATE OR REPLACE TEMPORARY VIEW tonight AS
    SELECT * FROM service_queue WHERE as_of = (SELECT max(as_of) FROM service_queue)
    """
)
display(
    shop.sql(
        """
        SELECT queue, count(*) AS texts, count_if(urgency = 'high') AS very_urgent,
               count(need) AS with_a_need, count(reply_id) AS with_an_answer
        FROM tonight GROUP BY queue ORDER BY texts DESC, queue
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How sure is it?
# MAGIC A need is given where the head was right often enough on labelled texts that it had not
# MAGIC learned from; the probability for that is `least_confidence`. All others say why they have
# MAGIC none, and go to a team that reads them.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT coalesce(abstained_because, 'has a need') AS state, count(*) AS texts,
               round(avg(need_confidence), 2) AS mean_confidence,
               round(max(least_confidence), 2) AS least_confidence
        FROM tonight GROUP BY 1 ORDER BY texts DESC, state
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Whom to answer first?
# MAGIC By urgency, then by how likely the customer is to cancel, and by what the customer bought.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT queue, place, urgency, array_join(urgent_because, ', ') AS because, need, mood,
               round(risk, 2) AS risk, round(value, 2) AS value, text
        FROM tonight JOIN texts USING (text_id, arrived_at)
        WHERE place <= 3 ORDER BY queue, place
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## What to answer?
# MAGIC The nearest of the answers that the team has approved for the need. Where there is none, the
# MAGIC row says why: nothing is made up.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT coalesce(reply_id, no_reply_because) AS answer_or_why_none, need,
               count(*) AS texts, round(avg(reply_similarity), 2) AS mean_similarity
        FROM tonight GROUP BY ALL ORDER BY texts DESC, answer_or_why_none, need
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Has somebody written that before?
# MAGIC The most similar past text of each, by the exact cosine of the stored embeddings.

# COMMAND ----------

display(
    shop.sql(
        """
        SELECT t.text, round(q.similar_cases[0].similarity, 2) AS similarity,
               p.text AS past_text, q.similar_cases[0].need AS past_need
        FROM tonight q JOIN texts t USING (text_id, arrived_at)
        JOIN (SELECT text_id, max(text) AS text FROM texts GROUP BY text_id) p
          ON p.text_id = q.similar_cases[0].text_id
        WHERE size(q.similar_cases) > 0
        ORDER BY similarity DESC, t.text LIMIT 10
        """
    )
)
