"""Fields of an inventory → typed values, by the rules of the blueprint; each distinct one is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.blueprint.cells import check_cell
from compiler.fleet.columns import Use
from compiler.fleet.declared import Declared

_REMEMBERED = 1 << 16
_NOWHERE = Span(Source("", ""), 1, 1)


@dataclass(frozen=True, slots=True)
class CellFault:
    code: Code
    describe: Callable[[Span], Diagnostic]


@dataclass(slots=True)
class Cell:
    """The value of a field, or what is wrong with it. Nobody changes it; there is one for each distinct field."""

    value: Any
    fault: CellFault | None = None


@dataclass(slots=True)
class Cells:
    """Reads fields. References to models and recipes are followed."""

    declared: Declared
    _known: dict[tuple[str, type, bool, Any], Cell] = field(default_factory=dict)

    def read(self, use: Use, text: Any, *, typed: bool) -> Cell:
        """The value of one field. `typed` tells that text is text, and a number would have been written as one."""
        key = use.written, type(text), typed, text  # True and 1 are equal
        if (cell := self._known.get(key)) is None:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            cell = self._known[key] = self._read(use, text, typed)
        return cell

    def _read(self, use: Use, text: Any, typed: bool) -> Cell:
        value, describe = check_cell(use.spec, use.path, text, typed=typed)
        if describe is None and use.path in (("model",), ("recipe",)):
            describe = self._reference(use.path[0], value)
        if describe is None:
            return Cell(value)
        return Cell(None, CellFault(describe(_NOWHERE).code, describe))

    def _reference(self, kind: str, name: str) -> Callable[[Span], Diagnostic] | None:
        """What is wrong with the name of a model or recipe, if anything."""
        check = partial(self.declared.check, kind, name)
        if check(_NOWHERE) is None:
            return None

        def describe(place: Span) -> Diagnostic:
            found = check(place)
            assert found is not None
            return found

        return describe
