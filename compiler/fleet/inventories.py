"""All inventories of a fleet: the files that its paths and patterns name, read with its columns."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Source, Span
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import FleetSpec
from compiler.fleet.cells import Cells
from compiler.fleet.classes import Classes
from compiler.fleet.columns import Columns, check_columns
from compiler.fleet.declared import Declared
from compiler.fleet.findings import Findings
from compiler.fleet.inventory import Inventory, read_inventory, read_rows, together
from compiler.fleet.kinds import Kinds
from compiler.fleet.paths import fault, normal
from compiler.fleet.patterns import is_pattern, matching, nothing

_Read = tuple[Inventory, list[Diagnostic]]


@dataclass(slots=True)
class Inventories:
    """Reads inventories. A file that several fleets read with the same columns is read once.

    With `rows`, texts by path are read in the place of the files, and no others: the devices are then a part of the
    fleet's, and nobody may conclude anything from one that is missing.
    """

    workspace: Path
    places: Places
    classes: Classes
    declared: Declared
    rows: Mapping[str, str] | None = None
    _files: dict[tuple[str, object], _Read] = field(default_factory=dict)
    _kinds: dict[object, Kinds] = field(default_factory=dict)

    def of(self, fleet: str, spec: FleetSpec) -> tuple[Inventory, Columns, list[Diagnostic]]:
        """The devices of a fleet by id, what its columns mean, and all that is wrong in its inventories."""
        columns, diagnostics = check_columns(fleet, spec, self.places)
        paths, found = self._paths(fleet, spec)
        diagnostics += found
        with _no_collection():
            # A pattern or path that names nothing may have meant the devices that are missed elsewhere.
            read = [Inventory(sound=False)] if found else []
            for path, place in paths:
                inventory, found = self._read(path, place, columns)
                diagnostics += found
                read.append(inventory)
            inventory, found = together(read)
        diagnostics += found
        if inventory.sound:
            diagnostics += self._missing(fleet, columns, inventory)
        return inventory, columns, diagnostics

    def _read(self, path: str, place: Span, columns: Columns) -> _Read:
        key = columns.key
        if key not in self._kinds:
            self._kinds[key] = Kinds(self.classes, columns, Cells(self.declared))
        at = normal(path), key
        if at not in self._files:
            self._files[at] = (
                self._part(at[0], columns, self._kinds[key])
                if self.rows is not None
                else (read_inventory(self.workspace, path, place, self._kinds[key], columns))
            )
        return self._files[at]

    def _part(self, path: str, columns: Columns, kinds: Kinds) -> _Read:
        text = (self.rows or {}).get(path)
        if text is None:
            return Inventory(sound=False), []
        inventory, found = read_rows(Source(path, text), kinds, columns, Findings(), frozenset())
        return replace(inventory, sound=False), found

    def _paths(self, fleet: str, spec: FleetSpec) -> tuple[list[tuple[str, Span]], list[Diagnostic]]:
        """Each file once, in the order of the entries, with the place that names it; those of a pattern by path."""
        at = ("fleets", fleet, "inventory")
        written = spec.inventory
        listed = (
            [(written, self.places.value(*at))]
            if isinstance(written, str)
            else [(path, self.places.value(*at, index)) for index, path in enumerate(written)]
        )
        diagnostics: list[Diagnostic] = []
        first: dict[str, Span] = {}
        entries = []
        for path, place in listed:
            if normal(path) in first:
                diagnostics.append(twice(path, place, first[normal(path)]))
                continue
            first[normal(path)] = place
            entries.append((path, place))
        taken = {path for path in first if not is_pattern(path)}
        paths = []
        for path, place in entries:
            if not is_pattern(path):
                paths.append((path, place))
            elif found := fault(self.workspace, path, place):
                diagnostics.append(found)
            elif files := matching(self.workspace, path):
                paths += [(file, place) for file in files if file not in taken]
                taken.update(files)
            else:
                diagnostics.append(nothing(self.workspace, path, place))
        return paths, diagnostics

    def _missing(self, fleet: str, columns: Columns, inventory: Inventory) -> list[Diagnostic]:
        """Report every declared column that no inventory has."""
        diagnostics = []
        for column in columns.uses:
            if column not in inventory.columns:
                help = did_you_mean(column, inventory.columns - columns.uses.keys() - {"id", "class"})
                message = f"No inventory of fleet `{fleet}` has a column `{column}`."
                place = self.places.key("fleets", fleet, "columns", column)
                diagnostics.append(Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help))
        return diagnostics


def twice(name: str, place: Span, first: Span) -> Diagnostic:
    """The diagnostic for an entry of a list that stands there already."""
    related = ((first, "the first one is here"),)
    help = "Remove one of the two."
    return Diagnostic(Code.BAD_VALUE, f"`{name}` is listed twice.", place, help=help, related=related)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, which would look at all devices again and again while they become more."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
