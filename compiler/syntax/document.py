"""A YAML file as plain values that remember where they stand."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Any

from compiler.base.span import Source, Span

Path = tuple[str | int, ...]
"""Keys and indexes from the document's root: `("fleets", "stores-eu", "overlays", 0)`."""

Mark = tuple[int, int, int]
"""Line, column (both 1-based) and length of what to underline."""


class Mapping(dict[str, Any]):
    """A YAML mapping: a plain dict, plus the marks of its keys and values."""

    __slots__ = ("key_marks", "value_marks")

    def __init__(self) -> None:
        super().__init__()
        self.key_marks: dict[str, Mark] = {}
        self.value_marks: dict[str, Mark] = {}


class Sequence(list[Any]):
    """A YAML sequence: a plain list, plus the marks of its items."""

    __slots__ = ("item_marks",)

    def __init__(self) -> None:
        super().__init__()
        self.item_marks: list[Mark] = []


@dataclass(frozen=True, slots=True)
class Document:
    """One blueprint file. `data` is made of Mapping, Sequence, str, int, float, bool, None.

    A document that is not `complete` lacks some of what the user wrote, because the text has
    errors that were reported: nobody may conclude that a name is not declared.
    """

    source: Source
    data: Mapping
    complete: bool = True

    def key(self, path: Items[str | int]) -> Span:
        """Where the key at `path` stands; for an item of a sequence, the item itself."""
        return self._span(path, key=True)

    def value(self, path: Items[str | int]) -> Span:
        """Where the value at `path` stands.

        A scalar is underlined itself, a mapping or sequence at its key: a block
        collection has no end worth showing.
        """
        return self._span(path, key=False)

    def _span(self, path: Items[str | int], *, key: bool) -> Span:
        """The place of `path`, or of its longest part that exists."""
        container: Any = self.data
        mark: Mark = (1, 1, 1)
        for step in path:
            if isinstance(container, Mapping) and step in container:
                name = str(step)
                inner = container[name]
                at_key = key or isinstance(inner, (Mapping, Sequence))
                mark = (container.key_marks if at_key else container.value_marks)[name]
            elif isinstance(container, Sequence) and isinstance(step, int) and step < len(container):
                inner = container[step]
                mark = container.item_marks[step]
            else:
                break
            container = inner
        return Span(self.source, *mark)
