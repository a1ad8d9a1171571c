# Databricks notebook source
# MAGIC %md
# MAGIC # Your own log
# MAGIC From a table that nobody has mapped to clean events: what is in it, which config follows, can
# MAGIC a night run on it, and which of its rows come in.
# MAGIC
# MAGIC The log here is the demo shop's, taken as a stranger's: no mapping of it is used. Name yours
# MAGIC in `log`, as a path or as `catalog.schema.table`. Run `01_first_night` or
# MAGIC `behavior-spark demo` first, or leave the demo out.

# COMMAND ----------

import os
import tempfile
from pathlib import Path

import behavior_spark

shop = behavior_spark.open_demo()
display = globals().get("display", behavior_spark.show)  # Databricks has its own

log = shop.settings.sources.events[0].path  # yours: "catalog.schema.clicks", "/Volumes/.../clicks"
# A folder that all workers can read, such as a volume.
folder = Path(os.environ.get("OWN_LOG_ROOT") or tempfile.mkdtemp(prefix="own_log_"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is in it?
# MAGIC `write_config` (on the command line `init`) reads all rows once. It finds out which column is
# MAGIC the time, the user, the kind of event, and proposes targets. What it found, and what it left
# MAGIC out, stands in the comments of the config: read it.

# COMMAND ----------

from behavior_spark.pipelines.logs.starting import write_config

config = folder / "mine.yaml"
written = write_config(
    events=str(log), texts=None, items=None, output=config, force=True, spark=shop.spark
)
lines = config.read_text(encoding="utf-8").splitlines()
print("\n".join(line for line in lines if not line.startswith("  # ")))  # without the defaults

# COMMAND ----------

# MAGIC %md
# MAGIC ## Can a night run?
# MAGIC `check` maps some rows of each source and reads what all rows tell. It starts no model. Its
# MAGIC last line is the verdict: on which `as_of`, with how many users of each target.

# COMMAND ----------

mine = behavior_spark.open(config, overrides=[f"warehouse={folder}/warehouse"])
checked = mine.check(as_of=written.as_of)
checked

# COMMAND ----------

# MAGIC %md
# MAGIC ## Take it in
# MAGIC Every row is kept, a duplicate, or refused with its reason. From here on `mine.nightly(...)` does
# MAGIC the rest, as in `01_first_night`.

# COMMAND ----------

taken = mine.ingest(as_of=written.as_of)
display(
    mine.sql(
        f"""
        SELECT table_name, rows_in, rows_out, duplicates, refused, without_user
        FROM (SELECT inline(sources) FROM runs WHERE run_id = '{taken.run_id}')
        """
    )
)

# COMMAND ----------

display(
    mine.sql(
        """
        SELECT reason, sum(refused_rows) AS refused_rows, min(row) AS example
        FROM quarantine GROUP BY reason ORDER BY refused_rows DESC, reason
        """
    )
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Is every week there?
# MAGIC A gap in a log looks like users who stay away. Events of the six most frequent kinds by week:

# COMMAND ----------

behavior_spark.picture(
    mine.sql(
        """
        WITH frequent AS (
            SELECT event_type FROM events GROUP BY event_type ORDER BY count(*) DESC LIMIT 6)
        SELECT to_date(date_trunc('week', event_time)) AS week, event_type, count(*) AS events
        FROM events JOIN frequent USING (event_type) GROUP BY ALL ORDER BY week, event_type
        """
    ),
    title="Events by week",
    x="week", y="events", series="event_type", kind="stacks",
)  # fmt: skip
