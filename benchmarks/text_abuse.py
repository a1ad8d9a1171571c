"""Users who write spam, found in shops where it is planted, with the demo's settings of alerts.

    python -m benchmarks.text_abuse [--seeds 4,5,6,7,8,9] [--users 400] [--days 150]

Each shop has some users who write spam now and then, eight more who wrote one to five texts of it
in the week before the night, and four who forwarded such texts to ask whether they are genuine. A
head over frozen MiniLM learns from the shop's early labels (``--labels``) and reads the texts of
the fortnight before the night; the alerts are those of ``text_abuse``. Beside it: a list of suspect
words, written down in advance, with two texts and with one. Brackets: Wilson's 95 % intervals. The
rule and its settings were chosen on seeds 1 to 3.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Sequence

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Alerts, LocalSpark, load_settings
from behavior_spark.demo.incidents import SPAM
from behavior_spark.demo.logs import OUTCOME_DAYS, UserLogs
from behavior_spark.io.session import spark_session
from behavior_spark.model.encoder.encoder import Encoder, use_threads
from behavior_spark.model.heads.fitting import fit_head
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import LabelledTexts, split_task
from behavior_spark.pipelines.text_models.labelled_tables import cleaned
from behavior_spark.pipelines.uses.abuse_truth import AbuseMeasured, measured
from behavior_spark.report.tables import share_cell
from behavior_spark.schemas import RISK_ALERTS
from behavior_spark.uses.alerts.assembly import alerts_of
from behavior_spark.uses.alerts.kind import AlertInputs
from behavior_spark.uses.alerts.kinds.text_abuse import KIND
from benchmarks.banking77 import frozen_encoder

START = dt.date(2024, 1, 1)
SETTINGS = load_settings(["demo.yaml"])


def shop_texts(shop: Sequence[UserLogs], night: dt.date, days: int) -> pd.DataFrame:
    """Cleaned texts that arrived before the night and were written within the days."""
    midnight = dt.datetime.combine(night, dt.time(), dt.UTC)
    end = int(midnight.timestamp() * 1e6)
    since = end - days * 86_400_000_000
    rows = [
        {"text_id": name, "user_id": user, "text_time": pd.Timestamp(at, unit="us", tz="UTC"),
         "text": cleaned(body, SETTINGS), "is_recent": received >= end - 7 * 86_400_000_000}
        for logs in shop
        for name, user, at, received, _, body in logs.list_texts()
        if since <= at and received < end and body and body.strip()
    ]  # fmt: skip
    texts = pd.DataFrame(rows)
    texts["text_hash"] = [hashlib.sha256(text.encode()).hexdigest() for text in texts["text"]]
    return texts


def spam_head(shop: Sequence[UserLogs], encoder: Encoder, most: int) -> Head:
    """A head that learned from the shop's labels."""
    rows = [row for logs in shop for row in logs.list_labels()]
    texts = [cleaned(text, SETTINGS) for _, text, *_ in rows]
    task = LabelledTexts(SPAM, texts, [str(row[4]) for row in rows])
    split = split_task(task, validation_share=0.15, seed=0, max_examples=most)
    vectors = encoder.embed(list(split.texts)).embeddings
    return fit_head(split, vectors, backbone_digest="-")


def measured_shop(
    spark: SparkSession, encoder: Encoder, options: argparse.Namespace, seed: int
) -> AbuseMeasured:
    """The alerts of one shop, against the truth."""
    alerts = SETTINGS.alerts or Alerts()
    shop = [
        UserLogs(seed, index, options.users, START, options.days, True)
        for index in range(options.users)
    ]
    night = START + dt.timedelta(days=options.days - OUTCOME_DAYS)
    head = spam_head(shop, encoder, options.labels)
    texts = shop_texts(shop, night, alerts.text_abuse.days)
    probabilities, codes = head.answer(encoder.embed(list(texts["text"])).embeddings)
    labels = pd.DataFrame(
        {"text_hash": texts["text_hash"], "head": SPAM,
         "label": [None if c < 0 else head.labels[c] for c in codes.tolist()],
         "probability": head.confidence(probabilities).astype(float),
         "probabilities": [dict(zip(head.labels, map(float, row), strict=True))
                           for row in probabilities]}
    ).drop_duplicates("text_hash")  # fmt: skip
    frame = spark.createDataFrame(texts)
    inputs = AlertInputs(
        as_of=night, settings=alerts, events=frame, mapped=frozenset(), texts=frame,
        earlier=spark.createDataFrame([], RISK_ALERTS.schema),
        labels=spark.createDataFrame(labels), heads=frozenset({SPAM}),
    )  # fmt: skip
    seen = KIND.candidates(inputs)
    alerted = alerts_of("text_abuse", seen, seen.frame).select(F.col("subject").alias("user_id"))
    writers = {row[0] for logs in shop for row in logs.list_planted() if row[1] == SPAM}
    truth = spark.createDataFrame([(user,) for user in sorted(writers)], "user_id string")
    return measured(alerted, frame, truth)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", default="4,5,6,7,8,9")
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--labels", type=int, default=800)
    options = parser.parse_args()
    use_threads(1)
    encoder, writers = frozen_encoder(), 0
    users: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with spark_session(LocalSpark(), name="text abuse") as spark:
        for seed in map(int, options.seeds.split(",")):
            found = measured_shop(spark, encoder, options, seed)
            writers += found.writers
            for rule in found.rules:
                users[rule.rule] += rule.users
                right[rule.rule] += rule.right
                print(f"seed {seed}: {rule.rule}: {rule.right} of {found.writers} who wrote spam, "
                      f"{rule.users - rule.right} others", flush=True)  # fmt: skip
    print("\n| rule | users | of them wrote spam | found of those who did |")
    print("| --- | ---: | --- | --- |")
    for name in users:
        print(f"| {name} | {users[name]} | {share_cell(right[name], users[name])} | "
              f"{share_cell(right[name], writers)} |")  # fmt: skip


if __name__ == "__main__":
    main()
