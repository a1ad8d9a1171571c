"""The texts of a folder of Parquet files, read one row group at a time to save memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from behavior_spark.errors import ModelError
from behavior_spark.model.heads.holding_out import hash_place, normalise_text

# Rows that are shuffled together.
BUFFER = 16_384
SAMPLE = 2_000

Row = tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """Rows of one text each, or of a pair of texts.

    A row is held out by the hash of its first text, in the same way as in fine-tuning, so that a
    text held out there is held out here too if the shares are equal.

    Attributes:
        folder: Folder of Parquet files.
        columns: ``("text",)`` or ``("left", "right")``.
        held_out_share: Share of distinct texts that are held out.
    """

    folder: Path
    columns: tuple[str, ...]
    held_out_share: float

    def epoch(self, *, seed: int, epoch: int) -> Iterator[list[Row]]:
        """Rows to learn from, in shuffled lists of up to ``BUFFER`` rows.

        The order depends only on the seed and the epoch.
        """
        rng = np.random.default_rng([seed, epoch])
        groups = self._groups()
        rows = self._rows([groups[i] for i in rng.permutation(len(groups))], held_out=False)
        while buffer := list(islice(rows, BUFFER)):
            yield [buffer[i] for i in rng.permutation(len(buffer))]

    def sample(self, count: int, *, held_out: bool) -> list[Row]:
        """The first ``count`` rows that are (or are not) held out; fewer if there are fewer."""
        return list(islice(self._rows(self._groups(), held_out=held_out), count))

    def row_count(self) -> int:
        """Number of all rows, read from the files' metadata."""
        return sum(pq.ParquetFile(path).metadata.num_rows for path in self._paths())

    def mean_of(self, measure: Callable[[list[Row]], npt.NDArray[np.int64]]) -> float:
        """Mean of a measure over up to ``SAMPLE`` rows to learn from.

        Args:
            measure: A number, int64 [n], for each of n rows, such as its tokens.

        Raises:
            ModelError: There are no rows to learn from, or none is held out.
        """
        rows = self.sample(SAMPLE, held_out=False)
        if not rows or not self.sample(1, held_out=True):
            raise ModelError(
                "there are too few texts to pre-train an encoder on",
                found=f"{self.row_count()} rows, {len(rows)} of a sample to learn from",
                fix="ingest more texts, or raise pretrain.held_out_share",
            )
        return float(measure(rows).mean())

    def _paths(self) -> list[Path]:
        paths = sorted(self.folder.glob("*.parquet"))
        if not paths:
            raise ModelError(
                f"no texts in {self.folder}",
                found="no Parquet file",
                fix="give `models` a folder that the driver and all workers share",
            )
        return paths

    def _groups(self) -> list[tuple[Path, int]]:
        return [
            (path, group)
            for path in self._paths()
            for group in range(pq.ParquetFile(path).metadata.num_row_groups)
        ]

    def _rows(self, groups: list[tuple[Path, int]], *, held_out: bool) -> Iterator[Row]:
        for path, group in groups:
            table: pa.Table = pq.ParquetFile(path).read_row_group(group, columns=list(self.columns))
            columns = [table.column(name).to_pylist() for name in self.columns]
            for row in zip(*columns, strict=True):
                is_held_out = hash_place(normalise_text(row[0])) < self.held_out_share
                if is_held_out == held_out:
                    yield row
