"""Places in text. Every value that a user wrote keeps one from its first byte on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """One text file as it was read: `path` is relative to the workspace, with `/`."""

    path: str
    text: str = field(repr=False, compare=False)

    @cached_property
    def lines(self) -> list[str]:
        # Not `splitlines()`: YAML and CSV end a line at \n only, not at \x0c or \u2028.
        return self.text.split("\n")

    def line(self, number: int) -> str:
        """Line `number` (1-based) without its end; empty when there is none."""
        if 1 <= number <= len(self.lines):
            return self.lines[number - 1].rstrip("\r")
        return ""


@dataclass(frozen=True, slots=True)
class Span:
    """`length` characters from `line`:`column` (both 1-based) on one line of `source`."""

    source: Source
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"
