"""Places in text. Every value that a user wrote keeps one from its first byte on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

_PIECE = 1 << 16
"""Characters of text that are split into lines at once."""


@dataclass(frozen=True)
class Source:
    """One text file as it was read: `path` is relative to the workspace, with `/`.

    Its lines are cut out of the text when they are asked for, so that a file of a million
    lines costs the memory of its text.
    """

    path: str
    text: str = field(repr=False, compare=False)

    @property
    def lines(self) -> list[str]:
        """All lines, for a file that is known to be small."""
        # Not `splitlines()`: YAML and CSV end a line at \n only, not at \x0c or \u2028.
        return self.text.split("\n")

    @property
    def count(self) -> int:
        """How many lines there are; behind a last line feed there is an empty one."""
        return len(self._starts)

    def each_line(self) -> Iterator[str]:
        """Every line without its line feed, in order."""
        return chain.from_iterable(piece.split("\n") for piece in self.pieces())

    def pieces(self) -> Iterator[str]:
        """The text in pieces of whole lines, each without its last line feed."""
        begin = 0
        while (end := self.text.find("\n", begin + _PIECE)) >= 0:
            yield self.text[begin:end]
            begin = end + 1
        yield self.text[begin:]

    def line(self, number: int) -> str:
        """Line `number` (1-based) without its end; empty when there is none."""
        return self.raw(number).rstrip("\r")

    def raw(self, number: int) -> str:
        """Line `number` (1-based) with a carriage return before its line feed; empty when there is none."""
        if not 1 <= number <= len(self._starts):
            return ""
        begin = self._starts[number - 1]
        return self.text[begin : self._starts[number] - 1 if number < len(self._starts) else len(self.text)]

    @cached_property
    def _starts(self) -> array[int]:
        """Where each line begins: eight bytes for a line, where a list of them takes a hundred."""
        starts = array("q", (0,))
        position = 0
        for line in self.each_line():
            position += len(line) + 1
            starts.append(position)
        starts.pop()
        return starts


@dataclass(frozen=True, slots=True)
class Span:
    """`length` characters from `line`:`column` (both 1-based) on one line of `source`."""

    source: Source
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"
