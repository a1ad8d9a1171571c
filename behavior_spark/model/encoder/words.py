"""Token ids by word: each distinct word goes through the tokenizer once in a process's life.

BERT's tokenizers cut at white space before all else, and what a word becomes does not depend on
its neighbours (Devlin et al. 2019, arXiv 1810.04805; WordPiece). Logs repeat their words, so most
texts are ids looked up and laid side by side: by numpy and Arrow, in a few passes over the bytes
of many texts, which let other threads run.
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


# Of white space only what every normaliser takes for it: BERT's drops a vertical tab, and other
# kinds of space are left to the tokenizer, inside their word.
SPACES = b" \t\n\r"
# Words remembered, each with the white space after it; about 30 bytes of memory for each.
MOST_WORDS = 400_000
# New words in one call of the tokenizer, which takes longer to begin than for a word.
TOGETHER = 64

_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(SPACES)] = True


@dataclass(frozen=True, eq=False)
class _Known:
    """Words, where the ids of each start, and the ids; never changed, so that threads may read."""

    words: pa.LargeStringArray
    edges: Integers
    ids: Integers

    def places(self, words: pa.LargeStringArray) -> Integers:
        """The place of each word, -1 where it is not known."""
        found = pc.index_in(words, value_set=self.words).fill_null(-1)
        places: Integers = found.to_numpy().astype(np.int64)
        return places


class Words:
    """What a fast tokenizer makes of words, remembered. Safe to use from two threads.

    Attributes:
        first: Ids the tokenizer puts before a text.
        last: Ids it puts after one.
    """

    def __init__(self, fast: Any, first: Sequence[int], last: Sequence[int]) -> None:
        self.first, self.last = tuple(first), tuple(last)
        self._fast, self._lock = fast, threading.Lock()
        self._between = fast.id_to_token(last[-1])
        self._known = _nothing()

    @classmethod
    def of(cls, fast: Any) -> Words | None:
        """The words of a tokenizer; None of one that does not read word by word.

        Args:
            fast: A ``tokenizers.Tokenizer`` without padding or truncation; a copy is kept.
        """
        parts = (fast.model, fast.normalizer, fast.pre_tokenizer)
        names = [type(part).__name__ for part in parts]
        added = dict(fast.get_added_tokens_decoder())
        plain = all(len(t.content.split()) == 1 and not t.single_word for t in added.values())
        if names != ["WordPiece", "BertNormalizer", "BertPreTokenizer"] or not plain:
            return None
        inside, whole = (fast.encode("a", add_special_tokens=way).ids for way in (False, True))
        if len(inside) != 1 or whole.count(inside[0]) != 1:
            return None
        place = whole.index(inside[0])
        first, last = whole[:place], whole[place + 1 :]
        if not last or last[-1] not in added or added[last[-1]].normalized:
            return None
        return cls(copy.deepcopy(fast), first, last)

    def ids(self, texts: pa.LargeStringArray) -> tuple[Integers, Integers]:
        """Ids of all texts, one after the other, without the ends, and each text's number of ids.

        Args:
            texts: n texts, none null.

        Returns:
            int64 [ids of all texts], and int64 [n].
        """
        words, counts = _cut(texts)
        known, places = self._find(words)
        lengths = np.diff(known.edges)[places]
        found = known.ids[ranges(known.edges[places], lengths)]
        edges = np.concatenate([[0], np.cumsum(lengths)])
        return found, np.diff(edges[np.concatenate([[0], np.cumsum(counts)])])

    def _find(self, words: pa.LargeStringArray) -> tuple[_Known, Integers]:
        """All that is known once these words are, and their places in it."""
        known = self._known
        places = known.places(words)
        if not (places < 0).any():
            return known, places
        with self._lock:
            if known is not self._known:  # another thread has learned since
                known = self._known
                places = known.places(words)
            new = words.filter(pa.array(places < 0)).dictionary_encode()
            if len(known.words) + len(new.dictionary) > MOST_WORDS:
                known, new = _nothing(), words.dictionary_encode()
                places[:] = -1
            places[places < 0] = len(known.words) + new.indices.to_numpy()
            self._known = self._learned(known, new.dictionary)
            return self._known, places

    def _learned(self, known: _Known, new: pa.LargeStringArray) -> _Known:
        """The tokenizer reads many words as one text, a special token after each."""
        words: list[str] = new.to_pylist()
        odd = {place: word for place, word in enumerate(words) if self._between in word}
        plain = ["" if place in odd else word for place, word in enumerate(words)] if odd else words
        ids = self._encode(
            [
                self._between.join([*plain[start : start + TOGETHER], ""])
                for start in range(0, len(plain), TOGETHER)
            ]
        )
        between = ids == self.last[-1]
        counts = np.diff(np.flatnonzero(between), prepend=-1) - 1
        if len(counts) != len(words):
            raise ValueError("the tokenizer lost a word")
        ids = ids[~between]
        if odd:
            parts = np.split(ids, np.cumsum(counts)[:-1])
            for place, word in odd.items():
                parts[place] = self._encode([word])
            ids, counts = np.concatenate(parts), np.array([len(part) for part in parts])
        return _Known(
            pa.concat_arrays([known.words, new]),
            np.concatenate([known.edges, known.edges[-1] + np.cumsum(counts)]),
            np.concatenate([known.ids, ids]),
        )

    def _encode(self, texts: list[str]) -> Integers:
        found = self._fast.encode_batch_fast(texts, add_special_tokens=False)
        return np.fromiter(chain.from_iterable(each.ids for each in found), dtype=np.int64)


def ranges(starts: Integers, lengths: Integers) -> Integers:
    """``starts[0] ... starts[0] + lengths[0] - 1``, then those of the next, and so on.

    By steps that are summed: ``numpy.repeat`` would stop all other threads meanwhile.
    """
    some = lengths > 0
    starts, lengths = starts[some], lengths[some]
    ends = np.cumsum(lengths)
    steps = np.ones(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    steps[:1] = starts[:1]
    steps[ends[:-1]] = starts[1:] - starts[:-1] - lengths[:-1] + 1
    found: Integers = np.cumsum(steps)
    return found


def _nothing() -> _Known:
    no_words = pa.array([], type=pa.large_string())
    return _Known(no_words, np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))


def _cut(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Integers]:
    """All words in order, each with the white space after it, and each text's number of them."""
    _, offsets, content = texts.buffers()
    edges = np.zeros(1, dtype=np.int64)
    if len(texts):
        edges = np.frombuffer(offsets, dtype=np.int64)[texts.offset :][: len(texts) + 1]
    start, stop = int(edges[0]), int(edges[-1])
    if start == stop:
        return pa.array([], type=pa.large_string()), np.zeros(len(texts), dtype=np.int64)
    space = _IS_SPACE[np.frombuffer(content, dtype=np.uint8)[start:stop]]
    begins = np.ones(stop - start, dtype=bool)
    np.greater(space[:-1], space[1:], out=begins[1:])  # after a space, and none itself
    begins[edges[:-1][edges[:-1] < edges[1:]] - start] = True
    starts = np.flatnonzero(begins) + start
    counts = np.diff(np.searchsorted(starts, edges))
    ends = pa.py_buffer(np.append(starts, stop))
    return pa.LargeStringArray.from_buffers(len(starts), ends, content), counts
