"""What both forms of inventory are read into: rows that know their lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from compiler.base.span import Source, Span

ID, CLASS = "id", "class"


class Row(NamedTuple):
    """One device as written. Its record begins on `line`, where its id stands at `column` (both 1-based)."""

    line: int
    column: int
    id: str
    device_class: str
    labels: tuple[tuple[str, str], ...]
    """In the order of their names; a label with an empty value is left out."""


@dataclass(frozen=True, slots=True)
class Table:
    """The readable rows of one inventory file.

    `place` finds a row's field by name. It reads the line again, and is therefore called
    only for what is reported.
    """

    source: Source
    labels: frozenset[str]
    rows: list[Row]
    place: Callable[[Row, str], Span]
