"""What a row says beside its id. Of 100,000 rows most say what others say: it is checked once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.base.units import show_bytes
from compiler.fleet.cells import Cells
from compiler.fleet.classes import Classes
from compiler.fleet.columns import FACT, Columns
from compiler.fleet.graph import DeviceClass

_SHARED = 1 << 16
_Any = TypeVar("_Any")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of all rows of a kind; `describe` takes the place of the field in one of them."""

    code: Code
    column: str
    describe: Callable[[Span], Diagnostic]


@dataclass(frozen=True, slots=True)
class Kind:
    """Class, labels, facts and values. A row whose kind is not `usable` gives no device."""

    device_class: str
    labels: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, Any], ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    faults: tuple[Fault, ...] = ()
    usable: bool = True


class Kinds:
    """Makes kinds out of fields, for all inventories of one fleet."""

    def __init__(self, classes: Classes, columns: Columns, cells: Cells) -> None:
        self._classes = classes
        self._columns = columns
        self._cells = cells
        self._known: dict[Any, Any] = {}

    def of(self, device_class: str, fields: tuple[tuple[str, Any], ...], *, typed: bool) -> Kind:
        """The kind of rows with these fields, which are in the order of their columns; an empty one sets nothing."""
        faults = [*self._class_faults(device_class)]
        hardware = self._classes.usable.get(device_class)
        labels: list[tuple[str, str]] = []
        facts: list[tuple[str, Any]] = []
        values: list[tuple[str, Any]] = []
        for column, text in fields:
            use = self._columns.uses.get(column)
            if text == "":
                continue
            if use is None:
                labels.append(self._share((column, text)))
                continue
            cell = self._cells.read(use, text, typed=typed)
            if cell.fault is not None:
                faults.append(Fault(cell.fault.code, column, cell.fault.describe))
            elif use.kind != FACT:
                values.append((use.name, cell.value))
            elif hardware is not None:
                wrong = _against(hardware, use.name, cell.value)
                faults += [Fault(Code.BAD_VALUE, column, wrong)] if wrong else []
                facts += [(use.name, cell.value)] if cell.value != getattr(hardware, use.name) else []
        return Kind(
            self._share(device_class),
            self._share(tuple(labels)),
            tuple(sorted(facts)),
            tuple(sorted(values, key=_name)),
            tuple(faults),
            hardware is not None and not faults,
        )

    def _class_faults(self, name: str) -> Iterator[Fault]:
        if not name:
            yield Fault(Code.BAD_ROW, "class", _no_class)
        elif not self._classes.knows(name):
            yield Fault(Code.UNKNOWN_CLASS, "class", partial(self._classes.unknown, Code.UNKNOWN_CLASS, name))

    def _share(self, value: _Any) -> _Any:
        """One object for equal texts and tuples of texts."""
        if len(self._known) > _SHARED:
            self._known.clear()
        shared: _Any = self._known.setdefault(value, value)
        return shared


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
