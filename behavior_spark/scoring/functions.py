"""Embed and classify texts by Column functions and SQL functions, for notebooks and queries.

They are batch functions and no iterator functions: Spark runs each iterator function in a Python
process of its own, but all batch functions of one projection in one process, which then embeds a
text once for all of them. The model is loaded once per process either way.
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
from behavior_spark.model.heads.head import Head
from behavior_spark.scoring.arrow import list_array
from behavior_spark.scoring.workers import EncoderRecipe

Codes = npt.NDArray[np.int64]

EMBEDDING = ArrayType(FloatType(), containsNull=False)
CLASS = StructType([StructField("label", StringType()), StructField("probability", FloatType())])
CACHE_BYTES = 64 * 1024 * 1024

_SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EmbeddingCache:
    """The embeddings used last, up to a number of bytes; safe to use from several threads.

    Texts are kept as hashes: the cache holds none, and a long one takes no more than a short one.

    Args:
        max_bytes: Bound of the vectors and what Python needs to hold them.
    """

    _OVERHEAD = 320  # an entry of the dict, its key and numpy's object around the numbers

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.used_bytes = max_bytes, 0
        self._vectors: OrderedDict[bytes, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    @staticmethod
    def key(digest: str, text: str) -> bytes:
        """Key of a text under a backbone's digest."""
        content = f"{digest}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=24).digest()

    def get(self, keys: Sequence[bytes]) -> list[Floats | None]:
        """Per key its vector, float32 [dimension]; None where it is not kept."""
        with self._lock:
            found = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, found, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
        return found

    def put(self, keys: Sequence[bytes], vectors: Sequence[Floats]) -> None:
        """Keep copies of vectors, and forget those that were used longest ago."""
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

    They are marked as non-deterministic, so that Spark calls them once per row whatever filters
    follow. Within a batch each distinct text is embedded once, and a process keeps the latest
    embeddings (64 MiB), whichever function asked for them. ``F.when`` spares no row: Spark hands
    all of them over first; ``where`` does. Spark refuses them inside an aggregate function: name
    the column in a subquery and aggregate that, ``max(c.probability)``.

    Attributes:
        recipe: The encoder; a worker that finds other files than the recipe's refuses to run.
        heads: By name; each reads embeddings of this encoder.
        prepare: From a text as it comes to the text the encoder reads; None: as it comes.
            It travels to the workers.
        notes: What a reader should know about the heads, shown where one is missing.

    Raises:
        ModelError: A head reads embeddings of another backbone.

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

    def __post_init__(self) -> None:
        for name, head in self.heads.items():
            if head.backbone_digest != self.recipe.digest:
                raise ModelError(
                    f"the head {name!r} reads embeddings of another encoder",
                    found=f"{head.backbone_digest}, not {self.recipe.digest}",
                    fix="train the head on this encoder's embeddings",
                )

    def embed_text(self, text: Column | str) -> Column:
        """Embeddings of a text column, or of the column so named.

        Returns:
            ``array<float>`` of the encoder's dimension; null where the text is null, empty
            once prepared, or cannot be embedded.

        Raises:
            InputError: In the worker: the column holds no strings.
            ModelError: In the worker: the encoder cannot be loaded, or is another one.

        >>> df.select(f.embed_text("text").alias("embedding"))  # doctest: +SKIP
        """
        return cast(Column, self._embed_function()(text))

    def classify_text(self, text: Column | str, *, head: str) -> Column:
        """A head's most probable label for each text.

        Returns:
            ``struct<label: string, probability: float>``; null where :meth:`embed_text` is
            null; its ``label`` alone is null where the head abstains. On Spark 4.0 a null one
            is a struct of two nulls, so test its ``probability``.

        Raises:
            ConfigError: No head has this name.
            InputError: In the worker: the column holds no strings.
            ModelError: In the worker: the encoder cannot be loaded, or is another one.

        >>> df.select(f.classify_text("text", head="intent")["label"])  # doctest: +SKIP
        """
        if head not in self.heads:
            raise _unknown_head(self.heads, self.notes, found=head)
        only = replace(self, heads={head: self.heads[head]})
        return cast(Column, only._classify_function()(text, F.lit(head)))

    def register(self, spark: SparkSession, prefix: str = "") -> list[str]:
        """Register SQL functions ``embed_text(text)`` and ``classify_text(text, head)``.

        They return what the methods do; the head may differ from row to row, and a null head
        gives null. A head that is not known fails the query and is not quoted.

        Args:
            spark: Session in which they exist until it ends; earlier ones are replaced.
            prefix: Put before both names, where two models are used in one session.

        Returns:
            The names registered.

        Raises:
            ConfigError: The prefix cannot begin a name in SQL.

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
    """A Column function that runs once per row, from one over Arrow arrays: the one fork."""
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
    """A list array with a vector or null for each row."""
    vectors, codes = _vectors(model, text)
    kind = pa.list_(pa.float32())
    if not len(vectors):
        return pa.nulls(len(codes), kind)
    distinct = list_array(vectors, missing=np.zeros(len(vectors), dtype=bool))
    return distinct.take(pa.array(codes, mask=codes < 0)).cast(kind)


def _classify(model: TextFunctions, text: pa.Array, head: pa.Array) -> pa.Array:
    """A struct array with label and probability, or null, for each row."""
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
        used, place = np.unique(codes[rows], return_inverse=True)
        probabilities, best = model.heads[name].answer(vectors[used])
        label_codes[rows] = np.where(best < 0, -1, len(labels) + best)[place]
        chances[rows] = probabilities.max(axis=1)[place]
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
    """Vectors [k, dimension] of the distinct texts; per row the index of its own, -1 for none."""
    raw, codes = _distinct(column, "embed_text and classify_text")
    index: dict[str, int] = {}
    prepared = np.full(len(raw) + 1, -1, dtype=np.int64)  # its last stands for code -1
    for place, text in enumerate(_prepare(model, raw)):
        if text.strip():
            prepared[place] = index.setdefault(text, len(index))
    vectors = _embed_distinct(model, list(index))
    good = np.isfinite(vectors).all(axis=1)
    kept = np.append(np.where(good, np.cumsum(good) - 1, -1), -1)
    return vectors[good], kept[prepared[codes]]


def _embed_distinct(model: TextFunctions, texts: list[str]) -> Floats:
    """float32 [k, dimension], from the process's cache where it can be; NaN rows for errors."""
    keys = [EmbeddingCache.key(model.recipe.digest, text) for text in texts]
    found = _cache.get(keys)
    new = [place for place, vector in enumerate(found) if vector is None]
    if new:
        budget = model.recipe.token_budget
        done = model.recipe.load().embed([texts[place] for place in new], token_budget=budget)
        vectors = done.embeddings
        for place, vector in zip(new, vectors, strict=True):
            found[place] = vector
        good = np.flatnonzero(np.isfinite(vectors).all(axis=1)).tolist()
        _cache.put([keys[new[row]] for row in good], [vectors[row] for row in good])
    # Every entry is a vector by now.
    return np.stack(cast(list[Floats], found)) if found else np.empty((0, 0), dtype=np.float32)


def _prepare(model: TextFunctions, texts: list[str]) -> list[str]:
    if model.prepare is None:
        return texts
    kind = ""
    try:
        return [model.prepare(text) for text in texts]
    except Exception as error:
        kind = type(error).__name__
    # Raised here, so that no error that may quote the text comes along.
    raise ModelError("a text could not be prepared for the encoder", found=kind)


def _distinct(column: pa.Array, function: str) -> tuple[list[str], Codes]:
    """Distinct strings of a column; per row the index of its own, -1 for null."""
    if pa.types.is_null(column.type):
        return [], np.full(len(column), -1, dtype=np.int64)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(
            f"{function} read strings", found=str(column.type), fix="cast the column to string"
        )
    encoded = column.dictionary_encode()
    # Spark lets bytes that are no UTF-8 pass as strings.
    values = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return [value.decode("utf-8", "replace") for value in values], codes


def _unknown_head(
    heads: Mapping[str, Head], notes: Sequence[str], *, found: str | None = None
) -> ConfigError:
    """What is not known is quoted only where a person typed it: a column may hold texts."""
    there = ", ".join(sorted(heads)) or "none"
    return ConfigError(
        f"the text model has no head {found!r}" if found else "the text model has no such head",
        found=f"the heads there are: {there}",
        fix="; ".join(notes) or "name one of them, or train another with `behavior-spark finetune`",
    )
