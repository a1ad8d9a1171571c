"""Column functions and SQL functions that embed and classify texts, for notebooks and queries.

They are batch functions, not iterator functions: Spark runs each iterator function in a separate
Python process, but all batch functions of one projection in the same process, where a text is
embedded once for all of them. Either kind loads the model once per process.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas import functions as spark_udfs
from pyspark.sql.types import (
    ArrayType,
    DataType,
    FloatType,
    StringType,
    StructField,
    StructType,
)

from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.failures import FAILURES, MOST_FAILED, refuse_failures
from behavior_spark.model.heads.head import Head
from behavior_spark.scoring.arrow import list_array
from behavior_spark.scoring.workers import EncoderRecipe

Codes = npt.NDArray[np.int64]

EMBEDDING = ArrayType(FloatType(), containsNull=False)
CLASS = StructType([StructField("label", StringType()), StructField("probability", FloatType())])
CACHE_BYTES = 64 * 1024 * 1024

_SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EmbeddingCache:
    """A least-recently-used cache of embeddings, bounded in bytes and safe for threads.

    Its keys are hashes: it holds no texts, and a long text takes no more space than a short one.

    Args:
        max_bytes: Maximum size of the vectors and of the Python objects around them, in bytes.
    """

    _OVERHEAD = 320  # bytes of a dict entry, its key and the numpy object around the numbers

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.used_bytes = max_bytes, 0
        self._vectors: OrderedDict[bytes, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    @staticmethod
    def key(digest: str, text: str) -> bytes:
        """Key of a text for the encoder with this digest: BLAKE2b, 24 bytes."""
        content = f"{digest}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=24).digest()

    def get(self, keys: Sequence[bytes]) -> list[Floats | None]:
        """The vector of each key, float32 [dimension]; None where the cache has none."""
        with self._lock:
            vectors = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, vectors, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
        return vectors

    def put(self, keys: Sequence[bytes], vectors: Sequence[Floats]) -> None:
        """Keep copies of vectors, and drop the least recently used ones beyond the bound."""
        with self._lock:
            for key, vector in zip(keys, vectors, strict=True):
                if key not in self._vectors:
                    self._vectors[key] = np.array(vector, dtype=np.float32)
                    self.used_bytes += self._size(self._vectors[key])
                self._vectors.move_to_end(key)
                while self.used_bytes > self.max_bytes:
                    self.used_bytes -= self._size(self._vectors.popitem(last=False)[1])

    def _size(self, vector: Floats) -> int:
        return self._OVERHEAD + vector.nbytes


_cache = EmbeddingCache(CACHE_BYTES)


@dataclass(frozen=True, eq=False)
class TextFunctions:
    """Column functions and SQL functions over one text model.

    They are marked as non-deterministic, so that Spark calls them once per row, even if filters
    follow. Within a batch each distinct text is embedded once. All functions of a process share a
    cache of the latest embeddings (64 MiB). To embed fewer rows, use ``where``: with ``F.when``
    Spark still passes every row. Spark does not allow these functions inside an aggregate
    function: compute the column in a subquery and aggregate there, ``max(c.probability)``.

    Attributes:
        recipe: The encoder; a worker whose files give another digest raises.
        heads: Heads by name; each reads embeddings of this encoder.
        prepare: Turns a raw text into the text that the encoder reads; None: texts are used
            unchanged. Spark sends it to the workers.
        notes: Notes about the heads, shown in the error if a head is missing.
        max_failed_share: A query fails where the encoder fails on a larger share of the texts of
            a batch, at least 20; the others get null.

    Raises:
        ModelError: A head reads embeddings of another encoder.

    Example::

        f = text_functions(settings)                      # behavior_spark.pipelines.texts.functions
        df.select("text", f.embed_text("text"), f.classify_text("text", head="intent"))
        f.register(spark)
        spark.sql("SELECT classify_text(text, 'intent').label, count(*) FROM chats GROUP BY 1")
    """

    recipe: EncoderRecipe
    heads: Mapping[str, Head] = field(default_factory=dict)
    prepare: Callable[[str], str] | None = None
    notes: Sequence[str] = ()
    max_failed_share: float = MOST_FAILED

    def __post_init__(self) -> None:
        for name, head in self.heads.items():
            if head.backbone_digest != self.recipe.digest:
                raise ModelError(
                    f"the head {name!r} reads embeddings of another encoder",
                    found=f"{head.backbone_digest}, not {self.recipe.digest}",
                    fix="train the head on this encoder's embeddings",
                )

    def embed_text(self, text: Column | str) -> Column:
        """Embeddings of a text column, given as a Column or by name.

        Returns:
            ``array<float>`` of the encoder's dimension; null where the text is null, is empty
            after ``prepare``, or cannot be embedded.

        Raises:
            InputError: In the worker: the column holds no strings.
            ModelError: In the worker: the encoder cannot be loaded, is another one, or fails on
                too many texts.

        >>> df.select(f.embed_text("text").alias("embedding"))  # doctest: +SKIP
        """
        return cast(Column, self._embed_function()(text))

    def classify_text(self, text: Column | str, *, head: str) -> Column:
        """A head's most probable label for each text.

        Returns:
            ``struct<label: string, probability: float>``; null where :meth:`embed_text` is
            null. Where the head abstains, only ``label`` is null. Spark 4.0 returns a struct of
            two nulls instead of null, so test ``probability``.

        Raises:
            ConfigError: No head has this name.
            InputError: In the worker: the column holds no strings.
            ModelError: In the worker: as for :meth:`embed_text`.

        >>> df.select(f.classify_text("text", head="intent")["label"])  # doctest: +SKIP
        """
        if head not in self.heads:
            raise _unknown_head(self.heads, self.notes, found=head)
        only = replace(self, heads={head: self.heads[head]})
        return cast(Column, only._classify_function()(text, F.lit(head)))

    def register(self, spark: SparkSession, prefix: str = "") -> list[str]:
        """Register SQL functions ``embed_text(text)`` and ``classify_text(text, head)``.

        They return the same as the methods. The head may differ from row to row; a null head
        gives null. An unknown head fails the query, and its name is not shown in the error.

        Args:
            spark: Session in which to register them; functions with the same name are replaced.
            prefix: Put before both names, for example to use two models in one session.

        Returns:
            The registered names.

        Raises:
            ConfigError: The prefix has other characters than letters, digits and ``_``.

        >>> f.register(spark, prefix="old_")  # doctest: +SKIP
        ['old_embed_text', 'old_classify_text']
        """
        functions = {
            f"{prefix}embed_text": self._embed_function(),
            f"{prefix}classify_text": self._classify_function(),
        }
        for name in functions:
            if not _SQL_NAME.fullmatch(name):
                raise ConfigError(
                    "a prefix of SQL functions has letters, digits and _ only", found=prefix
                )
        for name, function in functions.items():
            spark.udf.register(name, function)
        return list(functions)

    def _embed_function(self) -> Any:
        model = replace(self, heads={})

        def embed_text(text: pa.Array) -> pa.Array:
            return _embed(model, text)

        return _batch_function(embed_text, EMBEDDING)

    def _classify_function(self) -> Any:
        model = self

        def classify_text(text: pa.Array, head: pa.Array) -> pa.Array:
            return _classify(model, text, head)

        return _batch_function(classify_text, CLASS)


def _batch_function(run: Callable[..., pa.Array], returns: DataType) -> Any:
    """A non-deterministic Column function from a function over Arrow arrays.

    This is the only place that differs by Spark's version: before 4.1 it is a pandas UDF.
    """
    arrow_udf: Any = getattr(spark_udfs, "arrow_udf", None)  # since Spark 4.1
    if arrow_udf is not None:
        return arrow_udf(run, returns).asNondeterministic()

    def from_pandas(*columns: pd.Series) -> pd.Series:
        array = run(*(pa.Array.from_pandas(column) for column in columns))
        if isinstance(returns, StructType):
            table = pa.Table.from_arrays(array.flatten(), names=returns.names)
            return cast(pd.Series, table.to_pandas())
        return cast(pd.Series, array.to_pandas())

    from_pandas.__name__ = run.__name__
    pandas_udf: Any = spark_udfs.pandas_udf
    return pandas_udf(from_pandas, returns).asNondeterministic()


def _embed(model: TextFunctions, text: pa.Array) -> pa.Array:
    """A float32 list array: for each row its embedding, or null."""
    vectors, codes = _vectors(model, text)
    kind = pa.list_(pa.float32())
    if not len(vectors):
        return pa.nulls(len(codes), kind)
    distinct = list_array(vectors, missing=np.zeros(len(vectors), dtype=bool))
    return distinct.take(pa.array(codes, mask=codes < 0)).cast(kind)


def _classify(model: TextFunctions, text: pa.Array, head: pa.Array) -> pa.Array:
    """A struct array: for each row label and probability, or null."""
    names, head_codes = _distinct(head, "classify_text(text, head)")
    if any(name not in model.heads for name in names):
        raise _unknown_head(model.heads, model.notes)
    vectors, codes = _vectors(model, text)
    labels: list[str] = []
    label_codes = np.full(len(codes), -1, dtype=np.int64)
    chances = np.zeros(len(codes), dtype=np.float32)
    answered = np.zeros(len(codes), dtype=bool)
    for index, name in enumerate(names):
        rows = np.flatnonzero((head_codes == index) & (codes >= 0))
        if not len(rows):
            continue
        used, inverse = np.unique(codes[rows], return_inverse=True)
        probabilities, best = model.heads[name].answer(vectors[used])
        label_codes[rows] = np.where(best < 0, -1, len(labels) + best)[inverse]
        chances[rows] = model.heads[name].confidence(probabilities)[inverse]
        answered[rows] = True
        labels += model.heads[name].labels
    return pa.StructArray.from_arrays(
        [
            pa.array(labels, pa.string()).take(pa.array(label_codes, mask=label_codes < 0)),
            pa.array(chances, mask=~answered),
        ],
        names=CLASS.names,
        mask=pa.array(~answered),
    )


def _vectors(model: TextFunctions, column: pa.Array) -> tuple[Floats, Codes]:
    """Vectors [k, dimension] of the distinct texts; for each row its index, -1 for none."""
    raw, codes = _distinct(column, "embed_text and classify_text")
    index: dict[str, int] = {}
    prepared = np.full(len(raw) + 1, -1, dtype=np.int64)  # the last entry is for code -1
    for position, text in enumerate(_prepare(model, raw)):
        if text.strip():
            prepared[position] = index.setdefault(text, len(index))
    vectors = _embed_distinct(model, list(index))
    good = np.isfinite(vectors).all(axis=1)
    kept = np.append(np.where(good, np.cumsum(good) - 1, -1), -1)
    return vectors[good], kept[prepared[codes]]


def _embed_distinct(model: TextFunctions, texts: list[str]) -> Floats:
    """Embeddings, float32 [k, dimension], from the cache where possible; NaN rows for errors."""
    keys = [EmbeddingCache.key(model.recipe.digest, text) for text in texts]
    vectors = _cache.get(keys)
    new = [position for position, vector in enumerate(vectors) if vector is None]
    if new:
        budget = model.recipe.token_budget
        encoder = model.recipe.load()
        done = encoder.embed([texts[p] for p in new], token_budget=budget)
        embedded = done.embeddings
        refuse_failures(
            sum(error in FAILURES for error in done.errors),
            len(texts),  # those in the cache are good
            limit=model.max_failed_share,
            cause=encoder.last_failure,
        )
        for position, vector in zip(new, embedded, strict=True):
            vectors[position] = vector
        good = np.flatnonzero(np.isfinite(embedded).all(axis=1)).tolist()
        _cache.put([keys[new[row]] for row in good], [embedded[row] for row in good])
    # No entry is None any more.
    return np.stack(cast(list[Floats], vectors)) if vectors else np.empty((0, 0), dtype=np.float32)


def _prepare(model: TextFunctions, texts: list[str]) -> list[str]:
    if model.prepare is None:
        return texts
    kind = ""
    try:
        return [model.prepare(text) for text in texts]
    except Exception as error:
        kind = type(error).__name__
    # Raised outside of the except block, so that the first error, which may quote the text, is not
    # attached to it.
    raise ModelError("a text could not be prepared for the encoder", found=kind)


def _distinct(column: pa.Array, function: str) -> tuple[list[str], Codes]:
    """Distinct strings of a column; for each row its index, -1 for null."""
    if pa.types.is_null(column.type):
        return [], np.full(len(column), -1, dtype=np.int64)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(
            f"{function} read strings", found=str(column.type), fix="cast the column to string"
        )
    encoded = column.dictionary_encode()
    # Spark accepts bytes that are not UTF-8 as strings.
    values = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return [value.decode("utf-8", "replace") for value in values], codes


def _unknown_head(
    heads: Mapping[str, Head], notes: Sequence[str], *, found: str | None = None
) -> ConfigError:
    """The error for an unknown head.

    ``found`` is given only if a person typed the name: a column of heads may hold users' texts.
    """
    known = ", ".join(sorted(heads)) or "none"
    return ConfigError(
        f"the text model has no head {found!r}" if found else "the text model has no such head",
        found=f"the heads there are: {known}",
        fix="; ".join(notes) or "name one of them, or train another with `behavior-spark finetune`",
    )
