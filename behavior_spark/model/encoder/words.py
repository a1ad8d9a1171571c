"""Token ids by word: a process tokenizes each distinct word once and remembers its ids.

BERT's tokenizers first split at white space, and the ids of a word do not depend on its
neighbours (Devlin et al. 2019, arXiv 1810.04805; WordPiece). Words repeat in logs, so that the
ids of most texts can be looked up and concatenated. numpy and Arrow do it for many texts at once,
without holding the interpreter lock, so that other threads can run.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from behavior_spark.model.arrays import Integers

if TYPE_CHECKING:
    from collections.abc import Sequence


# Only the white space that every normaliser treats as such: BERT's drops a vertical tab. Other
# kinds of space stay inside a word, for the tokenizer to split.
SPACES = b" \t\n\r"
# Maximum number of words remembered (with the white space after them), about 30 bytes each.
MOST_WORDS = 400_000
# New words joined to one text for the tokenizer: a call costs more than a word.
TOGETHER = 64

_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(SPACES)] = True


@dataclass(frozen=True, eq=False)
class _Vocabulary:
    """Words and their ids. Never changed after construction, so that threads may share it.

    Attributes:
        words: n words.
        edges: int64 [n + 1], where each word's ids start in ``ids``, and the end.
        ids: int64, ids of all words.
    """

    words: pa.LargeStringArray
    edges: Integers
    ids: Integers

    def places(self, words: pa.LargeStringArray) -> Integers:
        """Position of each word in ``words``, int64 [n]; -1 if it is not known."""
        positions = pc.index_in(words, value_set=self.words).fill_null(-1)
        places: Integers = positions.to_numpy().astype(np.int64)
        return places


class Words:
    """The ids of words by a fast tokenizer, remembered. Threads may share it.

    Attributes:
        first: Special ids that the tokenizer puts before a text.
        last: Special ids that it puts after a text.
    """

    def __init__(self, fast: Any, first: Sequence[int], last: Sequence[int]) -> None:
        self.first, self.last = tuple(first), tuple(last)
        self._fast, self._lock = fast, threading.Lock()
        self._between = fast.id_to_token(last[-1])
        self._vocabulary = _no_words()

    @classmethod
    def of(cls, fast: Any) -> Words | None:
        """The words of a tokenizer; None if it does not tokenize word by word.

        Args:
            fast: A ``tokenizers.Tokenizer`` without padding or truncation; it is copied.
        """
        parts = (fast.model, fast.normalizer, fast.pre_tokenizer)
        names = [type(part).__name__ for part in parts]
        added = dict(fast.get_added_tokens_decoder())
        plain = all(len(t.content.split()) == 1 and not t.single_word for t in added.values())
        if names != ["WordPiece", "BertNormalizer", "BertPreTokenizer"] or not plain:
            return None
        alone = fast.encode("a", add_special_tokens=False).ids
        with_special = fast.encode("a", add_special_tokens=True).ids
        if len(alone) != 1 or with_special.count(alone[0]) != 1:
            return None
        position = with_special.index(alone[0])
        before, after = with_special[:position], with_special[position + 1 :]
        if not after or after[-1] not in added or added[after[-1]].normalized:
            return None
        return cls(copy.deepcopy(fast), before, after)

    def ids(self, texts: pa.LargeStringArray) -> tuple[Integers, Integers]:
        """Token ids of texts, without special tokens.

        Args:
            texts: n texts, none null.

        Returns:
            The ids of all texts one after the other, int64, and each text's number, int64 [n].
        """
        words, counts = _cut(texts)
        vocabulary, places = self._find(words)
        lengths = np.diff(vocabulary.edges)[places]
        ids = vocabulary.ids[ranges(vocabulary.edges[places], lengths)]
        edges = np.concatenate([[0], np.cumsum(lengths)])
        return ids, np.diff(edges[np.concatenate([[0], np.cumsum(counts)])])

    def _find(self, words: pa.LargeStringArray) -> tuple[_Vocabulary, Integers]:
        """A vocabulary with all of ``words``, and their positions; new words are tokenized."""
        vocabulary = self._vocabulary
        places = vocabulary.places(words)
        if not (places < 0).any():
            return vocabulary, places
        with self._lock:
            if vocabulary is not self._vocabulary:  # another thread has added words
                vocabulary = self._vocabulary
                places = vocabulary.places(words)
            new_words = words.filter(pa.array(places < 0)).dictionary_encode()
            if len(vocabulary.words) + len(new_words.dictionary) > MOST_WORDS:
                vocabulary, new_words = _no_words(), words.dictionary_encode()
                places[:] = -1
            places[places < 0] = len(vocabulary.words) + new_words.indices.to_numpy()
            self._vocabulary = self._with_new(vocabulary, new_words.dictionary)
            return self._vocabulary, places

    def _with_new(self, vocabulary: _Vocabulary, new_words: pa.LargeStringArray) -> _Vocabulary:
        """The vocabulary with new words added.

        Many words are tokenized as one text, with a special token after each. A word that
        contains this token's text (``containing``) is tokenized by itself.
        """
        words: list[str] = new_words.to_pylist()
        containing = {place: word for place, word in enumerate(words) if self._between in word}
        joinable = (
            ["" if place in containing else word for place, word in enumerate(words)]
            if containing
            else words
        )
        ids = self._encode(
            [
                self._between.join([*joinable[start : start + TOGETHER], ""])
                for start in range(0, len(joinable), TOGETHER)
            ]
        )
        between = ids == self.last[-1]
        counts = np.diff(np.flatnonzero(between), prepend=-1) - 1
        if len(counts) != len(words):
            raise ValueError("the tokenizer lost a word")
        ids = ids[~between]
        if containing:
            parts = np.split(ids, np.cumsum(counts)[:-1])
            for place, word in containing.items():
                parts[place] = self._encode([word])
            ids, counts = np.concatenate(parts), np.array([len(part) for part in parts])
        return _Vocabulary(
            pa.concat_arrays([vocabulary.words, new_words]),
            np.concatenate([vocabulary.edges, vocabulary.edges[-1] + np.cumsum(counts)]),
            np.concatenate([vocabulary.ids, ids]),
        )

    def _encode(self, texts: list[str]) -> Integers:
        encodings = self._fast.encode_batch_fast(texts, add_special_tokens=False)
        ids = chain.from_iterable(encoding.ids for encoding in encodings)
        return np.fromiter(ids, dtype=np.int64)


def ranges(starts: Integers, lengths: Integers) -> Integers:
    """``starts[0], ..., starts[0] + lengths[0] - 1``, then the same for ``starts[1]``, and so on.

    A cumulative sum of steps. ``numpy.repeat`` would be simpler, but it holds the interpreter
    lock, so that other threads would wait.

    Args:
        starts: int64 [n].
        lengths: int64 [n], 0 or more.

    Returns:
        int64 [sum of ``lengths``].
    """
    nonempty = lengths > 0
    starts, lengths = starts[nonempty], lengths[nonempty]
    ends = np.cumsum(lengths)
    steps = np.ones(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    steps[:1] = starts[:1]
    steps[ends[:-1]] = starts[1:] - starts[:-1] - lengths[:-1] + 1
    numbers: Integers = np.cumsum(steps)
    return numbers


def _no_words() -> _Vocabulary:
    no_words = pa.array([], type=pa.large_string())
    return _Vocabulary(no_words, np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))


def _cut(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Integers]:
    """All words in order, each with the white space after it, and each text's number of words."""
    _, offsets, content = texts.buffers()
    edges = np.zeros(1, dtype=np.int64)
    if len(texts):
        edges = np.frombuffer(offsets, dtype=np.int64)[texts.offset :][: len(texts) + 1]
    start, stop = int(edges[0]), int(edges[-1])
    if start == stop:
        return pa.array([], type=pa.large_string()), np.zeros(len(texts), dtype=np.int64)
    space = _IS_SPACE[np.frombuffer(content, dtype=np.uint8)[start:stop]]
    begins = np.ones(stop - start, dtype=bool)
    np.greater(space[:-1], space[1:], out=begins[1:])  # no space, and the byte before is one
    begins[edges[:-1][edges[:-1] < edges[1:]] - start] = True
    starts = np.flatnonzero(begins) + start
    counts = np.diff(np.searchsorted(starts, edges))
    ends = pa.py_buffer(np.append(starts, stop))
    return pa.LargeStringArray.from_buffers(len(starts), ends, content), counts
