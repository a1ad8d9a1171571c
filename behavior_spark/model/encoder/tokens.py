"""Texts to token ids: cut into pieces that the model can read, the longest piece first."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import normalizers

from behavior_spark.model.encoder.model_folder import CHARACTERS_PER_TOKEN
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.words import Words, ranges

# Maximum number of pieces of a text that are read, where pieces are pooled.
MOST_PIECES = 64

# For fewer texts the tokenizer is called directly: that is faster than looking up words.
FEWEST_BY_WORDS = 64

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token ids of n texts, cut into pieces, the longest piece first.

    Attributes:
        ids: int64 [tokens], ids of all pieces one after the other.
        starts: int64 [pieces + 1], where each piece starts in ``ids``, and the end.
        rows: int64 [pieces], position of the text that each piece comes from.
        token_counts: int32 [n], tokens that the model reads of each text; 0 with an error.
        truncated: bool [n], whether only a part of the text is read.
        errors: For each text None, or why it is not read: ``null_text``, ``empty_text`` or
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


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Like :class:`Tokens`, with the pieces in the order of the texts."""

    ids: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    errors: list[str | None]


class Tokenizer:
    """Tokenizes and cuts texts for one model. Threads may share it.

    Args:
        tokenizer: A fast transformers tokenizer; its own state is not changed.
        options: ``max_length``, ``long_texts`` and ``prompt``.
        lower_case: Lowercase texts first, as a sentence-transformers folder may say.
    """

    def __init__(
        self, tokenizer: Any, options: EncoderOptions, *, lower_case: bool = False
    ) -> None:
        # A copy, since truncation is a state of the tokenizer that would be saved with it.
        self._fast = copy.deepcopy(tokenizer.backend_tokenizer)
        if lower_case:
            _lower_case(self._fast)
        self._prompt = options.prompt or ""
        self._fast.no_padding()
        self._fast.no_truncation()
        cuts_right = tokenizer.truncation_side == "right"
        self._words = Words.of(self._fast) if cuts_right else None
        self._fast.enable_truncation(options.length, direction=tokenizer.truncation_side)
        self._max_length = options.length
        self._pieces = 1 if options.long_texts == "truncate" else MOST_PIECES
        self._most_characters = options.length * CHARACTERS_PER_TOKEN * self._pieces

    def pieces(self, texts: Sequence[str]) -> list[tuple[list[list[int]], bool]]:
        """For each text: token ids of its pieces, with special tokens, and whether it was cut."""
        short, cut = self._shortened(texts)
        if self._prompt:
            short = [self._prompt + text for text in short]
        results = []
        for encoding, too_long in zip(
            self._fast.encode_batch_fast(short), cut.tolist(), strict=True
        ):
            overflow = encoding.overflowing
            pieces = [encoding.ids, *(piece.ids for piece in overflow[: self._pieces - 1])]
            results.append((pieces, too_long or len(overflow) >= self._pieces))
        return results

    def tokens(self, texts: Sequence[str | None] | pa.Array) -> Tokens:
        """The token ids of texts; a text that cannot be read gets an error code.

        Args:
            texts: n texts. An Arrow array is not converted to Python strings where possible.
        """
        pieces = self._by_words(texts) if len(texts) >= FEWEST_BY_WORDS else None
        if pieces is None:
            pieces = self._one_by_one(texts.to_pylist() if isinstance(texts, pa.Array) else texts)
        lengths = pieces.lengths
        counts = np.bincount(pieces.rows, weights=lengths, minlength=len(texts)).astype(np.int32)
        # Longest first, so that memory runs out at once or never; stable, for reproducibility.
        order = np.argsort(-lengths, kind="stable")
        starts = np.concatenate([[0], np.cumsum(lengths[order])])
        piece_starts = (np.cumsum(lengths) - lengths)[order]
        return Tokens(
            ids=pieces.ids[ranges(piece_starts, lengths[order])],
            starts=starts.astype(np.int64, copy=False),
            rows=pieces.rows[order],
            token_counts=counts,
            truncated=pieces.truncated,
            errors=pieces.errors,
        )

    def _by_words(self, texts: Sequence[str | None] | pa.Array) -> _Pieces | None:
        """Pieces of all texts, by looking up words; None if that is not possible."""
        if self._words is None:
            return None
        column = _column(texts)
        blank = pc.or_(pc.utf8_is_space(column), pc.equal(pc.binary_length(column), 0))
        errors: list[str | None] = [None] * len(column)
        for mask, code in ((column.is_null(), "null_text"), (blank, "empty_text")):
            for row in pc.indices_nonzero(mask).to_pylist():
                errors[row] = code
        rows = pc.indices_nonzero(pc.invert(blank)).to_numpy().astype(np.int64)
        shortened, cut = self._short_column(column.take(pa.array(rows)))
        if self._prompt:
            prompt, separator = (pa.scalar(part, pa.large_string()) for part in (self._prompt, ""))
            shortened = pc.binary_join_element_wise(prompt, shortened, separator)
        try:
            content, counts = self._words.ids(shortened)
        except Exception as error:  # the caller then finds the failing text one by one
            _logger.warning("tokenising a batch by words failed (%s)", type(error).__name__)
            return None
        before, after = self._words.first, self._words.last
        content_limit = self._max_length - len(before) - len(after)
        needed = np.maximum(1, -(-counts // content_limit))
        pieces = np.minimum(needed, self._pieces)
        skipped = (
            ranges(np.zeros_like(pieces), pieces) * content_limit
        )  # the text's tokens before a piece
        content_lengths = np.minimum(content_limit, np.repeat(counts, pieces) - skipped)
        lengths = content_lengths + len(before) + len(after)
        starts = np.cumsum(lengths) - lengths
        ids = np.empty(int(lengths.sum()), dtype=np.int64)
        source = np.repeat(np.cumsum(counts) - counts, pieces) + skipped
        ids[ranges(starts + len(before), content_lengths)] = content[
            ranges(source, content_lengths)
        ]
        for place, token in enumerate(before):
            ids[starts + place] = token
        for place, token in enumerate(after):
            ids[starts + len(before) + content_lengths + place] = token
        truncated = np.zeros(len(column), dtype=bool)
        truncated[rows] = cut | (needed > pieces)
        return _Pieces(ids, lengths, np.repeat(rows, pieces), truncated, errors)

    def _short_column(
        self, column: pa.LargeStringArray
    ) -> tuple[pa.LargeStringArray, npt.NDArray[np.bool_]]:
        """Like :meth:`_shortened`, for a column without nulls."""
        long = pc.greater(pc.utf8_length(column), self._most_characters)
        cut = long.to_numpy(zero_copy_only=False).copy()
        if cut.any():
            short, cut[cut] = self._shortened(column.filter(long).to_pylist())
            column = pc.replace_with_mask(column, long, pa.array(short, type=column.type))
        return column, cut

    def _one_by_one(self, texts: Sequence[str | None]) -> _Pieces:
        """Pieces of the texts, by the tokenizer."""
        errors = [_text_error(text) for text in texts]
        rows = {row: text for row, text in enumerate(texts) if text and not errors[row]}
        truncated = np.zeros(len(texts), dtype=bool)
        pieces: list[list[int]] = []
        owners: list[int] = []
        for row, (of_text, truncated[row]) in self._of_rows(rows, errors):
            if not of_text[0]:  # the tokenizer drops all characters and adds no special tokens
                errors[row] = "empty_text"
                continue
            pieces += of_text
            owners += [row] * len(of_text)
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        flat = np.fromiter(chain.from_iterable(pieces), dtype=np.int64, count=int(lengths.sum()))
        return _Pieces(flat, lengths, np.array(owners, dtype=np.int64), truncated, errors)

    def _shortened(self, texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.bool_]]:
        """Texts cut to the characters that their pieces can hold, valid in UTF-8; bool [n] if cut.

        White space at the start is removed first.
        """
        stripped = [text.lstrip() for text in texts]
        sizes = np.fromiter(map(len, stripped), dtype=np.int64, count=len(stripped))
        short = [_encodable(text[: self._most_characters]) for text in stripped]
        return short, sizes > self._most_characters

    def _of_rows(
        self, rows: dict[int, str], errors: list[str | None]
    ) -> Iterator[tuple[int, tuple[list[list[int]], bool]]]:
        """Pieces by row: of all texts in one call or, if that call fails, text by text."""
        try:
            yield from zip(rows, self.pieces(list(rows.values())), strict=True)
            return
        except Exception as error:
            _logger.warning("tokenising a batch failed (%s)", type(error).__name__)
        for row, text in rows.items():
            try:
                result = self.pieces([text])[0]
            except Exception:
                errors[row] = "model_error"
                continue
            yield row, result


def _lower_case(fast: Any) -> None:
    """Lowercase texts, like ``do_lower_case`` of sentence-transformers.

    A BERT normalizer is changed itself, since it can lowercase.
    """
    normalizer = fast.normalizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        if not normalizer.lowercase:
            normalizer.strip_accents = bool(normalizer.strip_accents)
            normalizer.lowercase = True
            fast.normalizer = normalizer
        return
    fast.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), *([] if normalizer is None else [normalizer])]
    )


def _column(texts: Sequence[str | None] | pa.Array) -> pa.LargeStringArray:
    """Texts as one Arrow array; invalid characters become ``?``."""
    if isinstance(texts, pa.Array):
        return texts.cast(pa.large_string())
    try:
        return pa.array(texts, type=pa.large_string())
    except UnicodeEncodeError:
        encodable = [None if text is None else _encodable(text) for text in texts]
        return pa.array(encodable, type=pa.large_string())


def _text_error(text: str | None) -> str | None:
    if text is None:
        return "null_text"
    return None if text.strip() else "empty_text"


def _encodable(text: str) -> str:
    """The text, with ``?`` for lone surrogates, which UTF-8 cannot encode."""
    if text.isascii():
        return text
    return text.encode("utf-8", errors="replace").decode("utf-8")
