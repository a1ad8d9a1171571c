"""Groups of digits in a text, and chains of groups with only separators between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# A word of ASCII letters and digits with a digit in it.
_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]*+[0-9][A-Za-z0-9]*+")
_ONE_RUN = re.compile(r"([A-Za-z]*+)([0-9]++)([A-Za-z]*+)")
_WITH_EXTENSION = re.compile(r"()([0-9]++)(x|ext)[0-9]{1,6}", re.I)
_SEPARATORS = " ().-/+,_:*|~"
_LONGEST_GAP = 4
_FEWEST_DIGITS = 7


@dataclass(frozen=True)
class Chain:
    """Groups of digits with only separators between.

    Attributes:
        text: The whole text.
        groups: ``(start, end)`` of each group of digits.
        glued_left: Letters directly before the first group.
        glued_right: Letters directly after the last group.
    """

    text: str
    groups: list[tuple[int, int]]
    glued_left: str = ""
    glued_right: str = ""

    @property
    def start(self) -> int:
        """Start of the first group."""
        return self.groups[0][0]

    @property
    def end(self) -> int:
        """End of the last group."""
        return self.groups[-1][1]

    @cached_property
    def sizes(self) -> list[int]:
        """Number of digits of each group."""
        return [end - start for start, end in self.groups]

    @cached_property
    def gaps(self) -> list[str]:
        """Separator between each group and the next."""
        pairs = zip(self.groups, self.groups[1:], strict=False)
        return [self.text[left[1] : right[0]] for left, right in pairs]

    @property
    def digits(self) -> str:
        """All digits, without separators."""
        return "".join(self.text[start:end] for start, end in self.groups)

    def part(self, first: int, last: int) -> Chain:
        """The chain of the groups from ``first`` to ``last``, exclusive."""
        return Chain(
            self.text,
            self.groups[first:last],
            self.glued_left if first == 0 else "",
            self.glued_right if last >= len(self.groups) else "",
        )

    def split_where(self, apart: re.Pattern[str]) -> Iterator[Chain]:
        """Split the chain at each gap that the pattern matches completely."""
        first = 0
        for index, gap in enumerate(self.gaps, 1):
            if apart.fullmatch(gap):
                yield self.part(first, index)
                first = index
        yield self.part(first, len(self.groups))


class NumberedText:
    """A text with its words that contain digits, and its chains; each is computed on first use."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[tuple[int, int]]:
        """``(start, end)`` of each word of ASCII letters and digits with a digit in it."""
        return [match.span() for match in _WORD.finditer(self.text)]

    @cached_property
    def chains(self) -> list[Chain]:
        """Chains with seven digits or more."""
        return [
            chain
            for chain in self._all_chains()
            if chain.end - chain.start >= _FEWEST_DIGITS and sum(chain.sizes) >= _FEWEST_DIGITS
        ]

    def _all_chains(self) -> Iterator[Chain]:
        text = self.text
        groups: list[tuple[int, int]] = []
        left, last = "", 0
        for start, end in self.words:
            gap = text[last:start] if start - last <= _LONGEST_GAP else "?"
            joined = bool(groups) and not gap.strip(_SEPARATORS)
            match = _ONE_RUN.fullmatch(text, start, end)
            match = match or _WITH_EXTENSION.fullmatch(text, start, end)
            if groups and (not joined or match is None or match[1]):
                yield Chain(text, groups, left)
                groups = []
            last = end
            if match is None:  # digits and letters alternate: a code
                continue
            if not groups:
                groups, left = [], match[1]
            groups.append(match.span(2))
            if match[3]:
                yield Chain(text, groups, left, match[3])
                groups = []
        if groups:
            yield Chain(text, groups, left)
