"""Texts to token ids: cut into pieces the model can read, longest piece first."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.model_folder import CHARACTERS_PER_TOKEN, EncoderOptions

# A text of which pieces are pooled is read up to so many pieces.
MOST_PIECES = 64

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token ids of n texts, as pieces laid one after the other, longest first.

    Attributes:
        ids: int64 [all tokens of all pieces].
        starts: int64 [pieces + 1], where each piece starts in ``ids``, and the end.
        rows: int64 [pieces], the text each piece comes from.
        token_counts: int32 [n], tokens the model reads of each text; 0 where it is not read.
        truncated: bool [n], whether a text was longer than what is read of it.
        errors: per text None, or why it is not read: ``null_text``, ``empty_text`` or
            ``model_error``.
    """

    ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    token_counts: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]
    errors: list[str | None]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each piece, int64 [pieces], descending."""
        return np.diff(self.starts)


class Tokenizer:
    """A fast tokenizer, and the lengths one model can read. Safe to use from two threads.

    Args:
        tokenizer: A fast transformers tokenizer; its own state is not changed.
        options: ``max_length`` and ``long_texts``.
    """

    def __init__(self, tokenizer: Any, options: EncoderOptions) -> None:
        # A copy, since truncation is a state of the tokenizer that would be saved with it.
        self._fast = copy.deepcopy(tokenizer.backend_tokenizer)
        self._fast.no_padding()
        self._fast.enable_truncation(options.max_length, direction=tokenizer.truncation_side)
        self._pieces = 1 if options.long_texts == "truncate" else MOST_PIECES
        self._most_characters = options.max_length * CHARACTERS_PER_TOKEN * self._pieces

    def pieces(self, texts: Sequence[str]) -> list[tuple[list[list[int]], bool]]:
        """For each text its pieces' token ids, special tokens included, and whether it was cut."""
        cut = [text.lstrip() for text in texts]
        clean = [
            text[: self._most_characters].encode("utf-8", errors="replace").decode("utf-8")
            for text in cut
        ]
        found = []
        for text, encoding in zip(cut, self._fast.encode_batch_fast(clean), strict=True):
            more = encoding.overflowing
            kept = [encoding.ids, *(piece.ids for piece in more[: self._pieces - 1])]
            too_long = len(more) >= self._pieces or len(text) > self._most_characters
            found.append((kept, too_long))
        return found

    def tokens(self, texts: Sequence[str | None]) -> Tokens:
        """All texts, ready for the model; one that cannot be read gets an error code."""
        errors = [_text_error(text) for text in texts]
        rows = {row: text for row, text in enumerate(texts) if text and not errors[row]}
        counts, truncated = np.zeros(len(texts), dtype=np.int32), np.zeros(len(texts), dtype=bool)
        pieces: list[list[int]] = []
        owners: list[int] = []
        for row, (found, cut) in self._of_rows(rows, errors):
            if not found[0]:  # characters the tokenizer drops, and no special tokens
                errors[row] = "empty_text"
                continue
            counts[row], truncated[row] = sum(map(len, found)), cut
            pieces += found
            owners += [row] * len(found)
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        # Longest first, so that memory trouble shows at once; stable, so that runs repeat.
        order = np.argsort(-lengths, kind="stable")
        flat = np.fromiter(chain.from_iterable(pieces), dtype=np.int64, count=int(lengths.sum()))
        starts = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
        moved = (np.cumsum(lengths) - lengths)[order] - starts[:-1]
        return Tokens(
            ids=flat[np.arange(len(flat)) + np.repeat(moved, lengths[order])],
            starts=starts,
            rows=np.asarray(owners, dtype=np.int64)[order],
            token_counts=counts,
            truncated=truncated,
            errors=errors,
        )

    def _of_rows(
        self, rows: dict[int, str], errors: list[str | None]
    ) -> Iterator[tuple[int, tuple[list[list[int]], bool]]]:
        """Pieces by row: all in one call, or one by one where that call fails."""
        try:
            yield from zip(rows, self.pieces(list(rows.values())), strict=True)
            return
        except Exception as error:
            _logger.warning("tokenising a batch failed (%s)", type(error).__name__)
        for row, text in rows.items():
            try:
                found = self.pieces([text])[0]
            except Exception:
                errors[row] = "model_error"
                continue
            yield row, found


def _text_error(text: str | None) -> str | None:
    if text is None:
        return "null_text"
    return None if text.strip() else "empty_text"
