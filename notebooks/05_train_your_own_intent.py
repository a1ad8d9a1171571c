# Databricks notebook source
# MAGIC %md
# MAGIC # Train your own intent
# MAGIC What do your users want, in your words? A few texts of each intent, labelled by people, are
# MAGIC enough for a first head: the encoder stays as it is, and the head learns on its vectors in
# MAGIC seconds. Then it is measured on texts that it has not seen, and used in SQL.
# MAGIC
# MAGIC The labels are some of the demo's. Run `01_first_night` or `behavior-spark demo` first.

# COMMAND ----------

import os
import tempfile
from pathlib import Path

import behavior_spark

shop = behavior_spark.open_demo()
display = globals().get("display", behavior_spark.show)  # Databricks has its own

# A folder that all workers can read, such as a volume.
folder = Path(os.environ.get("OWN_INTENT_ROOT") or tempfile.mkdtemp(prefix="own_intent_"))
each = 16  # labelled texts of each intent

# COMMAND ----------

# MAGIC %md
# MAGIC ## The labels
# MAGIC A table with a text, its label and the day on which somebody gave it. Sixteen texts of each
# MAGIC intent are for learning. The others play what comes later: they are only for measuring.

# COMMAND ----------

given = shop.settings.text.heads["intent"]
shop.spark.read.parquet(given.path).createOrReplaceTempView("all_labels")
labelled = shop.sql(
    """
    SELECT text, intent, labelled_on,
           row_number() OVER (PARTITION BY intent ORDER BY xxhash64(text), text) AS place
    FROM all_labels
    WHERE text IS NOT NULL AND intent IN (
        SELECT intent FROM all_labels GROUP BY intent HAVING count(DISTINCT text) >= 24)
    """
)
few = labelled.where(f"place <= {each}").drop("place")
few.write.mode("overwrite").parquet(str(folder / "few"))
labelled.where(f"place > {each}").drop("place").write.mode("overwrite").parquet(
    str(folder / "later")
)
display(shop.spark.read.parquet(str(folder / "few")).groupBy("intent").count().orderBy("intent"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train
# MAGIC The config names the labelled table; `finetune: heads` leaves the encoder as it is. Models
# MAGIC and tables go into a folder of their own, so that the shop's stay what they are.

# COMMAND ----------

own = shop.settings.model_dump(mode="json", by_alias=True) | {
    "name": "own_intent",
    "warehouse": str(folder / "warehouse"),
    "models": str(folder / "models"),
    "service": None,  # its queues are by the shop's own head
}
own["text"] |= {
    "finetune": "heads",
    "precision": "fp32",
    "heads": {
        "wish": {
            "path": str(folder / "few"), "text": "text", "label": "intent", "day": "labelled_on",
            "test": {"path": str(folder / "later")},
        }
    },
}  # fmt: skip
mine = behavior_spark.open(own)
trained = mine.finetune()
trained

# COMMAND ----------

# MAGIC %md
# MAGIC ## How good is it?
# MAGIC On the texts that it has not seen. Accuracy has an interval: with few texts it is wide. F1 by
# MAGIC label says where more labels would help most.

# COMMAND ----------

measured = mine.evaluate().details["evaluation"]["heads"]["wish"]
accuracy = measured["figures"]["accuracy"]
print(
    f"accuracy {accuracy['value']:.2f} ({accuracy['low']:.2f} to {accuracy['high']:.2f}) on "
    f"{measured['data']['texts']} texts; {len(measured['per_class'])} labels, so chance is "
    f"{1 / len(measured['per_class']):.2f}"
)

# COMMAND ----------

by_label = mine.spark.createDataFrame(
    sorted(
        ((label, float(v["f1"] or 0)) for label, v in measured["per_class"].items()),
        key=lambda row: row[1],
    ),
    "label string, f1 double",
)
behavior_spark.picture(
    by_label, title="F1 by label, the weakest first", x="label", y="f1", form=".2f"
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Use it
# MAGIC `classify_text` is a function of SQL, on any table of the session. In the shop's own config
# MAGIC the head would be one entry under `text.heads`, and every night would label the new texts.

# COMMAND ----------

display(
    mine.sql(
        """
        SELECT text, wish.label, round(wish.probability, 2) AS probability
        FROM (
            SELECT text, classify_text(text, 'wish') AS wish
            FROM VALUES ('where is my parcel'), ('I want my money back'),
                        ('the lamp is broken, who can help me?'), ('please close my account')
                 AS t(text))
        """
    )
)
