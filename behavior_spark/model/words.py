"""Token ids by word: each distinct word goes through the tokenizer once in a process's life.

BERT's tokenizers cut at white space before all else, and what a word becomes does not depend on
its neighbours (Devlin et al. 2019, arXiv 1810.04805; WordPiece). Logs repeat their words, so most
texts are ids looked up and laid side by side. The texts' bytes are cut, and the words numbered,
by numpy and Arrow in a few passes over all of them.
"""

from __future__ import annotations

import threading
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]

# Of white space only what every normaliser takes for it: BERT's drops a vertical tab, and other
# kinds of space are left to the tokenizer, inside their word.
SPACES = " \t\n\r"
# Characters of the words remembered, about 100 bytes of memory for a word more.
MOST_CHARACTERS = 1 << 25
_OVERHEAD = 100
# New words in one call of the tokenizer, which takes longer to begin than for a word.
TOGETHER = 64

_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(SPACES.encode())] = True


class Words:
    """What a fast tokenizer makes of words, remembered. Safe to use from two threads.

    Attributes:
        first: int64, ids the tokenizer puts before a text.
        last: int64, ids it puts after one.
    """

    def __init__(self, fast: Any, first: Sequence[int], last: Sequence[int]) -> None:
        self.first = np.asarray(first, dtype=np.int64)
        self.last = np.asarray(last, dtype=np.int64)
        self._fast, self._lock = fast, threading.Lock()
        self._between = fast.id_to_token(last[-1])
        self._places: dict[str, int] = {}
        self._edges, self._ids = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._characters = 0

    @classmethod
    def of(cls, fast: Any) -> Words | None:
        """The words of a tokenizer; None of one that does not read word by word.

        Args:
            fast: A ``tokenizers.Tokenizer`` without padding or truncation.
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
        return cls(fast, first, last)

    def ids(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """Ids of all texts, one after the other, without the ends, and each text's number of ids.

        Args:
            texts: n texts that can be written as UTF-8.

        Returns:
            int64 [ids of all texts], and int64 [n].
        """
        words, counts = _cut(texts)
        numbered = words.dictionary_encode()
        distinct = pc.ascii_rtrim(numbered.dictionary, characters=SPACES).to_pylist()
        lengths, starts, known = self._known(distinct)
        own = numbered.indices.to_numpy(zero_copy_only=False)
        word_lengths = lengths[own]
        found = known[ranges(starts[own], word_lengths)]
        edges = np.concatenate([[0], np.cumsum(word_lengths)])
        return found, np.diff(edges[np.concatenate([[0], np.cumsum(counts)])])

    def _known(self, words: list[str]) -> tuple[Ints, Ints, Ints]:
        """Number of ids of each word, where they start, and the ids they start in."""
        with self._lock:
            if self._characters > MOST_CHARACTERS:
                self._places, self._characters = {}, 0
                self._edges, self._ids = self._edges[:1], self._ids[:0]
            places = self._find(words)
            if (missing := np.flatnonzero(places < 0)).size:
                new = [words[place] for place in missing.tolist()]
                self._learn(list(dict.fromkeys(new)))
                places[missing] = self._find(new)
            return np.diff(self._edges)[places], self._edges[places], self._ids

    def _find(self, words: list[str]) -> Ints:
        return np.fromiter(map(self._places.get, words, repeat(-1)), np.int64, len(words))

    def _learn(self, words: list[str]) -> None:
        """Remember new words: many in one text, a special token after each."""
        plain = [word for word in words if self._between not in word]
        odd = [word for word in words if self._between in word]
        texts = [
            self._between.join([*plain[start : start + TOGETHER], ""])
            for start in range(0, len(plain), TOGETHER)
        ]
        found = self._encode(texts)
        ends = np.flatnonzero(found == self.last[-1])
        if len(ends) != len(plain):
            raise ValueError("the tokenizer lost an end")
        own = [self._encode([word]) for word in odd]
        counts = np.diff(ends, prepend=-1) - 1
        self._ids = np.concatenate([self._ids, found[found != self.last[-1]], *own])
        counts = np.concatenate([counts, [len(ids) for ids in own]]).astype(np.int64)
        self._edges = np.concatenate([self._edges, self._edges[-1] + np.cumsum(counts)])
        self._places |= zip(plain + odd, range(len(self._places), len(self._edges)), strict=False)
        self._characters += sum(map(len, words)) + _OVERHEAD * len(words)

    def _encode(self, texts: list[str]) -> Ints:
        found = self._fast.encode_batch_fast(texts, add_special_tokens=False)
        return np.array([each for encoding in found for each in encoding.ids], dtype=np.int64)


def _cut(texts: Sequence[str]) -> tuple[pa.LargeStringArray, Ints]:
    """All words in order, each with the white space after it, and each text's number of them."""
    whole = pa.array(texts, type=pa.large_string())
    _, offsets, content = whole.buffers()
    edges = np.frombuffer(offsets, dtype=np.int64)[: len(whole) + 1]
    size = int(edges[-1]) if len(whole) else 0
    if not size:
        return pa.array([], type=pa.large_string()), np.zeros(len(whole), dtype=np.int64)
    space = _IS_SPACE[np.frombuffer(content, dtype=np.uint8, count=size)]
    begins = np.ones(size, dtype=bool)
    np.greater(space[:-1], space[1:], out=begins[1:])  # after a space, and none itself
    begins[edges[:-1][edges[:-1] < edges[1:]]] = True
    starts = np.flatnonzero(begins)
    counts = np.diff(np.searchsorted(starts, edges))
    ends = pa.py_buffer(np.append(starts, size).astype(np.int64, copy=False))
    return pa.LargeStringArray.from_buffers(len(starts), ends, content), counts


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """``starts[0] ... starts[0] + lengths[0] - 1``, then those of the next, and so on."""
    before = np.cumsum(lengths) - lengths
    found: Ints = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return found
