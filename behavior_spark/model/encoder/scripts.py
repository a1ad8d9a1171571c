"""Which texts an encoder can read: by script, how finely its tokenizer cuts them.

A tokenizer cuts a language that it was not made for into many small pieces, or into unknown tokens
(Rust et al. 2021, "How good is your tokenizer?", arXiv 2012.15613). What it cuts to pieces, the
encoder has hardly seen.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools, Integers
from behavior_spark.model.encoder.loading import load_tokenizer
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.sentence_modules import read_sentence_modules
from behavior_spark.model.encoder.tokens import Tokenizer

# Characters of a text that are looked at.
BEGINNING = 200
# A text is not known from this share of unknown tokens on, or this number of tokens a letter
# (English has some 0.25, what is spelt out 1). Of fewer letters nothing is said.
MOST_UNKNOWN, MOST_PIECES = 0.2, 0.55
FEWEST_LETTERS = 4
# Scripts without spaces: their characters are tokens in every vocabulary.
_IDEOGRAPHIC = frozenset({"Cjk", "Hiragana", "Katakana"})
# Tags, entities, addresses and markers of masked data are of no language.
_NO_LANGUAGE = re.compile(r"<[^<>]{1,80}>|&#?\w{1,12};|\w+://\S+")


@dataclass(frozen=True, eq=False)
class ReadTexts:
    """How a tokenizer reads the words of n texts, without signs and numbers.

    Attributes:
        scripts: The script of most letters of each text, such as Latin; empty without letters.
        letters: Number of letters of each text, int64 [n].
        tokens: Number of tokens of each, int64 [n].
        unknown: How many of these are the unknown token, int64 [n].
    """

    scripts: tuple[str, ...]
    letters: Integers
    tokens: Integers
    unknown: Integers

    @property
    def known(self) -> Bools:
        """Whether the tokenizer knows the language of each text, bool [n].

        Texts of fewer than four letters are known.
        """
        alphabetic: npt.NDArray[np.bool_] = np.array([s not in _IDEOGRAPHIC for s in self.scripts])
        too_fine = alphabetic & (self.tokens >= MOST_PIECES * np.maximum(self.letters, 1))
        unknown = self.unknown >= MOST_UNKNOWN * np.maximum(self.tokens, 1)
        return ~(too_fine | unknown) | (self.letters < FEWEST_LETTERS)


def read_by_script(source: str, options: EncoderOptions, texts: Sequence[str]) -> ReadTexts:
    """How an encoder's tokenizer reads the beginning of texts. Loads no weights.

    Args:
        source: Folder, ``package:`` name or ``hub:`` name of the encoder.
        options: How texts become vectors.
        texts: n texts.

    Raises:
        ModelError: The folder or its tokenizer cannot be used.
    """
    folder: Path = resolve_model_folder(source)
    loaded = load_tokenizer(folder)
    lower_case = read_sentence_modules(folder).lower_case
    plain = replace(options, max_length=2 * BEGINNING, long_texts="truncate", prompt=None)
    tokenizer = Tokenizer(loaded, plain, lower_case=lower_case)
    beginnings = [only_words(text[:BEGINNING]) for text in texts]
    special = set(loaded.all_special_ids) - {loaded.unk_token_id}
    tokens, unknown = [], []
    for pieces, _ in tokenizer.pieces(beginnings):
        ids = [token for token in pieces[0] if token not in special]
        tokens.append(len(ids))
        unknown.append(ids.count(loaded.unk_token_id))
    letters = [[c for c in text if c.isalpha()] for text in beginnings]
    return ReadTexts(
        tuple(script_of(row) for row in letters),
        np.array([len(row) for row in letters], dtype=np.int64),
        np.array(tokens, dtype=np.int64),
        np.array(unknown, dtype=np.int64),
    )


def only_words(text: str) -> str:
    """Letters and their marks; all else becomes a space.

    >>> only_words("<p>It's 5 o'clock &amp; fine</p>").split()
    ['It', 's', 'o', 'clock', 'fine']
    """
    kept = (c if unicodedata.category(c)[0] in "LM" else " " for c in _NO_LANGUAGE.sub(" ", text))
    return "".join(kept)


def script_of(letters: Sequence[str]) -> str:
    """The script of most letters, by their Unicode names; empty without letters.

    >>> script_of("Straße"), script_of("Привет"), script_of("")
    ('Latin', 'Cyrillic', '')
    """
    counts = Counter(unicodedata.name(c, "UNKNOWN").split()[0] for c in letters)
    if not counts:
        return ""
    return min(counts, key=lambda name: (-counts[name], name)).title()
