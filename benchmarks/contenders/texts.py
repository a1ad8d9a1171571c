"""Make the texts that all contenders embed: real, from public data sets, always the same.

``--set texts``: N distinct texts of very different lengths, one fifth each from forum posts,
forum comments, film reviews, questions to a bank and Reddit comments (all of a source that has
fewer, such as the 1,845 forum posts). ``--set retail``: the
item title of every line of a shop's log, nulls and repetitions included.

python -m benchmarks.contenders.texts --data ../shared/data --output build/benchmarks/texts.parquet
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import html
import io
import random
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEED = 7
PARTS = 4
MAX_CHARS = 4000
TAG = re.compile(r"<[^>]*>")


def posts(data: Path) -> Iterator[str]:
    """Bodies of forum posts without their HTML tags."""
    for body in _column(data / "stackexchange_quantumcomputing/posts.parquet", "Body"):
        yield html.unescape(TAG.sub(" ", body))


def comments(data: Path) -> Iterator[str]:
    """Comments below forum posts."""
    yield from _column(data / "stackexchange_quantumcomputing/comments.parquet", "Text")


def reviews(data: Path) -> Iterator[str]:
    """Sentences from film reviews."""
    with zipfile.ZipFile(data / "sentence_polarity/sentence_polarity.zip") as archive:
        for name in ("rt-polarity.neg", "rt-polarity.pos"):
            yield from archive.read(f"sentence_polarity/{name}").decode("latin-1").split("\n")


def questions(data: Path) -> Iterator[str]:
    """Questions to a bank's customer service."""
    for name in ("train", "test"):
        text = gzip.decompress((data / f"banking77/{name}.csv.gz").read_bytes()).decode("utf-8")
        yield from (row["text"] for row in csv.DictReader(io.StringIO(text, newline="")))


def reddit(data: Path) -> Iterator[str]:
    """Reddit comments."""
    for name in ("train", "dev", "test"):
        text = gzip.decompress((data / f"goemotions/{name}.tsv.gz").read_bytes()).decode("utf-8")
        yield from (line.split("\t")[0] for line in text.split("\n"))


def distinct_texts(data: Path, count: int) -> pa.Table:
    """``count`` distinct texts, equal parts from each source, shuffled: ``text_hash, text``.

    A source that has fewer than its part gives all; the others make up for it.
    """
    dice, seen, chosen = random.Random(SEED), set[str](), list[str]()
    sources = [_new(source(data), seen) for source in (posts, comments, reviews, questions, reddit)]
    for found, part in zip(sources, parts([len(found) for found in sources], count), strict=True):
        chosen += dice.sample(found, part)
    dice.shuffle(chosen)
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in chosen]
    return pa.table({"text_hash": hashes, "text": chosen})


def parts(sizes: list[int], count: int) -> list[int]:
    """How many to take from sources of these sizes, ``count`` in all, as equal as can be.

    >>> parts([10, 10, 3], 9), parts([10, 10, 3], 20)
    ([3, 3, 3], [8, 9, 3])
    """
    if sum(sizes) < count:
        raise SystemExit(f"only {sum(sizes)} distinct texts")
    taken = [0] * len(sizes)
    by_size = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for done, place in enumerate(by_size):
        taken[place] = min(sizes[place], (count - sum(taken)) // (len(sizes) - done))
    return taken


def retail_lines(data: Path) -> pa.Table:
    """The title of every line of the retail log: ``line_id, text``."""
    titles = pq.read_table(data / "online_retail/online_retail.parquet")["Description"]
    ids = pa.array(range(len(titles)), pa.int64())
    return pa.table({"line_id": ids, "text": titles.cast(pa.string())})


def write_parts(table: pa.Table, folder: Path) -> None:
    """Write ``table`` as Parquet files of equal size, so that engines can share the work."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(table) // PARTS)
    for part in range(PARTS):
        rows = table.slice(part * size, size).combine_chunks()
        pq.write_table(rows, folder / f"part-{part:05d}.parquet")


def _column(path: Path, name: str) -> list[str]:
    return [value for value in pq.read_table(path, columns=[name])[name].to_pylist() if value]


def _new(texts: Iterable[str], seen: set[str]) -> list[str]:
    """Texts not seen yet, in order, white space made plain and long ones cut."""
    found: list[str] = []
    for text in texts:
        plain = " ".join(text.split())[:MAX_CHARS].strip()
        if plain and plain not in seen:
            seen.add(plain)
            found.append(plain)
    return found


def main() -> None:
    """Write the set that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--set", choices=("texts", "retail"), default="texts")
    parser.add_argument("--texts", type=int, default=8000, help="how many")
    options = parser.parse_args()
    if options.set == "retail":
        table = retail_lines(options.data)
    else:
        table = distinct_texts(options.data, options.texts)
    write_parts(table, options.output)
    print(f"{len(table)} rows in {PARTS} files: {options.output}")


if __name__ == "__main__":
    main()
