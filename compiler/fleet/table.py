"""What both forms of inventory are read into: rows, handed over one by one, and the places of their fields."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Protocol

from compiler.base.span import Source, Span
from compiler.fleet.columns import Columns
from compiler.fleet.findings import Findings
from compiler.fleet.kinds import Kind

ID, CLASS = "id", "class"
REMEMBERED = 1 << 16
"""Distinct rows that a reader remembers. Where every row is another one, remembering all would cost memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One inventory file. It reads a line again to find a field: only what is reported needs a place."""

    source: Source
    columns: Set[str]
    field: Callable[[int, str], Span]
    """The whole field of a column in the row that begins at a line; the line when it has none."""

    def place(self, line: int, column: str) -> Span:
        return self.field(line, column)

    def inside(self, line: int, column: str, text: str) -> Span:
        """The text of a field, behind its quote."""
        span = self.field(line, column)
        quoted = self.source.raw(span.line)[span.column - 1 : span.column] == '"'
        return Span(self.source, span.line, span.column + quoted, max(1, len(text)))


class Sink(Protocol):
    """Takes what a reader finds in one file."""

    findings: Findings
    columns: Columns
    unreadable: frozenset[int]
    """Lines with bytes that are no text, which were reported: a row on one is left out."""

    def begin(self, table: Table) -> None:
        """Called once, before the first row."""
        ...

    def kind(self, device_class: str, cells: tuple[tuple[str, Any], ...], *, typed: bool = False) -> Kind:
        """What a row with these fields is, beside its id and its variables; `typed` where text is not a number."""
        ...

    def add(self, line: int, id: str, kind: Kind, variables: tuple[tuple[str, str], ...]) -> None:
        """One readable row. `variables` are by name, in order."""
        ...
