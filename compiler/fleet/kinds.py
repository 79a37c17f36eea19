"""What a row says beside its id. Of 100,000 rows most say what others say: it is checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.base.units import show_bytes
from compiler.fleet.cells import Cells
from compiler.fleet.classes import Classes
from compiler.fleet.columns import FACT, Columns
from compiler.fleet.graph import DeviceClass

_SHARED = 1 << 16
"""Distinct texts and rows of texts that are kept as one object. Where there are more, some are kept twice."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of all rows of a kind; `describe` takes the place of the field in one of them."""

    code: Code
    column: str
    describe: Callable[[Span], Diagnostic]


@dataclass(slots=True, unsafe_hash=True)
class Kind:
    """Class, labels, facts and values. A row whose kind is not `usable` gives no device. Nobody changes it."""

    device_class: str
    labels: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, Any], ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    usable: bool = True


@dataclass(frozen=True, slots=True)
class _Hardware:
    """The class of a row: its name, as one object, and what is wrong with it."""

    name: str
    facts: DeviceClass | None
    faults: tuple[Fault, ...]


class Kinds:
    """Makes kinds out of fields, for all inventories of one fleet."""

    def __init__(self, classes: Classes, columns: Columns, cells: Cells) -> None:
        self._classes = classes
        self._uses = columns.uses
        self._cells = cells
        self._hardware: dict[str, _Hardware] = {}
        self._shared: dict[Any, Any] = {}

    def of(self, device_class: str, fields: tuple[tuple[str, Any], ...], *, typed: bool) -> Kind:
        """The kind of rows with these fields, which are in the order of their columns; an empty one sets nothing."""
        if len(self._shared) > _SHARED:
            self._shared.clear()
        share, uses = self._shared.setdefault, self._uses
        hardware = self._hardware.get(device_class) or self._class(device_class)
        found = tuple([share(pair, pair) for pair in fields if pair[1] != "" and pair[0] not in uses])
        labels = share(found, found)
        if not uses:
            usable = hardware.facts is not None and not hardware.faults
            return Kind(hardware.name, labels, faults=hardware.faults, usable=usable)
        facts: list[tuple[str, Any]] = []
        values: list[tuple[str, Any]] = []
        faults = list(hardware.faults)
        for column, text in fields:
            if text == "" or column not in uses:
                continue
            use = uses[column]
            cell = self._cells.read(use, text, typed=typed)
            if cell.fault is not None:
                faults.append(Fault(cell.fault.code, column, cell.fault.describe))
            elif use.kind != FACT:
                values.append((use.name, cell.value))
            elif hardware.facts is not None:
                wrong = _against(hardware.facts, use.name, cell.value)
                faults += [Fault(Code.BAD_VALUE, column, wrong)] if wrong else []
                facts += [(use.name, cell.value)] if cell.value != getattr(hardware.facts, use.name) else []
        usable = hardware.facts is not None and not faults
        ordered = tuple(sorted(values, key=_name))
        return Kind(hardware.name, labels, tuple(sorted(facts)), ordered, tuple(faults), usable)

    def _class(self, name: str) -> _Hardware:
        if len(self._hardware) > _SHARED:
            self._hardware.clear()
        faults: tuple[Fault, ...] = ()
        if not name:
            faults = (Fault(Code.BAD_ROW, "class", _no_class),)
        elif not self._classes.knows(name):
            faults = (Fault(Code.UNKNOWN_CLASS, "class", partial(self._classes.unknown, Code.UNKNOWN_CLASS, name)),)
        found = self._hardware[name] = _Hardware(name, self._classes.usable.get(name), faults)
        return found


def _name(pair: tuple[str, Any]) -> str:
    return pair[0]


def _no_class(place: Span) -> Diagnostic:
    help = "Every device has a device class: one of the workspace's, or `builtin/NAME`."
    return Diagnostic(Code.BAD_ROW, "The `class` of this device is empty.", place, help=help)


def _against(hardware: DeviceClass, fact: str, value: Any) -> Callable[[Span], Diagnostic] | None:
    """What is wrong with a fact of a device of this class, if anything."""
    if fact == "arch" and value != hardware.arch:
        message = f"This device is {value}, and its class `{hardware.name}` {hardware.arch}."
        return partial(
            _wrong, message, "Give it a class of its own architecture: programs of the other do not run on it."
        )
    if fact in ("memory", "storage"):
        reserved = getattr(hardware, f"reserved_{fact}")
        if value <= reserved:
            message = f"This device has {show_bytes(value)} of {fact}, of which class `{hardware.name}` reserves "
            message += f"{show_bytes(reserved)}: nothing is left for runs."
            return partial(_wrong, message, "Correct the field, or give the device another class.")
    return None


def _wrong(message: str, help: str, place: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_VALUE, message, place, help=help)
