"""Inventory files → devices: the classes they name exist, their ids are safe and unique."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.fleet.classes import Classes
from compiler.fleet.comma_separated import read_csv
from compiler.fleet.findings import Findings
from compiler.fleet.graph import Device
from compiler.fleet.json_lines import read_jsonl
from compiler.fleet.paths import fault
from compiler.fleet.table import CLASS, ID, Row, Table
from compiler.syntax.text import to_text

_READERS = {".csv": read_csv, ".jsonl": read_jsonl}
_LAYOUT = f"Its first line names the columns (`{ID}`, `{CLASS}`, then labels), each further line is a device."
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Inventory:
    """The devices of one file, or of all files of one fleet.

    `sound` tells that no row was left out: only then is a label or a device that is not
    here one that does not exist.
    """

    devices: tuple[Device, ...] = ()
    labels: frozenset[str] = frozenset()
    sound: bool = True
    rejected: tuple[Device, ...] = ()
    """Rows left out for their class alone: their ids are taken all the same."""

    def values(self, key: str) -> set[str]:
        """The values that some device has: of `class`, or of a label."""
        if key == CLASS:
            return {device.device_class for device in self.devices}
        return {value for device in self.devices for label, value in device.labels if label == key}


_NOTHING = Inventory(sound=False)


def read_inventory(workspace: Path, path: str, place: Span, classes: Classes) -> tuple[Inventory, list[Diagnostic]]:
    """Read the inventory that the blueprint names at `place`: CSV or JSON Lines, by its suffix."""
    if found := fault(workspace, path, place):
        return _NOTHING, [found]
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        help = "An inventory is a table (`.csv`) or JSON Lines (`.jsonl`)."
        return _NOTHING, [Diagnostic(Code.BAD_VALUE, f"`{path}` is neither `.csv` nor `.jsonl`.", place, help=help)]
    source, diagnostics = _text(workspace, path, place)
    if source is None:
        return _NOTHING, diagnostics
    findings = Findings()
    table = reader(source, findings)
    if not table.rows and not findings.any:
        findings.add(Code.BAD_ROW, lambda: _no_rows(source))
    devices, rejected = _devices(table, classes, findings)
    sound = not rejected and not findings.any
    return Inventory(devices, table.labels, sound, rejected), diagnostics + findings.diagnostics()


def together(inventories: Iterable[Inventory]) -> tuple[Inventory, list[Diagnostic]]:
    """The inventories of one fleet as one, by device id; a repeated id is reported at the later row."""
    taken: dict[str, Device] = {}
    devices: dict[str, Device] = {}
    labels: frozenset[str] = frozenset()
    sound = True
    diagnostics = []
    for inventory in inventories:
        findings = Findings()
        labels |= inventory.labels
        for device in sorted((*inventory.devices, *inventory.rejected), key=_row):
            first = taken.setdefault(device.id, device)
            if first is not device:
                findings.add(Code.DUPLICATE_DEVICE, partial(_repeated, device, first))
        devices |= {device.id: device for device in inventory.devices if taken[device.id] is device}
        sound = sound and inventory.sound and not findings.any
        diagnostics += findings.diagnostics()
    return Inventory(tuple(devices[id] for id in sorted(devices)), labels, sound), diagnostics


def _text(workspace: Path, path: str, place: Span) -> tuple[Source | None, list[Diagnostic]]:
    file = workspace / path
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            help = "An inventory is a regular file."
            return None, [Diagnostic(Code.CANNOT_READ, f"`{path}` is not a file.", place, help=help)]
        data = file.read_bytes()
    except FileNotFoundError:
        help = "Paths are relative to the workspace, the folder that slmc is pointed at."
        return None, [Diagnostic(Code.MISSING_FILE, f"`{path}` does not exist.", place, help=help)]
    except OSError as error:
        return None, [Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", place)]
    if not data.strip():
        return None, [Diagnostic(Code.EMPTY_FILE, "This inventory is empty.", file=path, help=_LAYOUT)]
    source, diagnostics, readable = to_text(data, path)
    return (source if readable else None), diagnostics


def _no_rows(source: Source) -> Diagnostic:
    place = Span(source, 1, 1, max(1, len(source.line(1))))
    return Diagnostic(Code.BAD_ROW, "This inventory has no device rows.", place, help=_LAYOUT)


def _row(device: Device) -> int:
    return device.place.line


def _devices(table: Table, classes: Classes, findings: Findings) -> tuple[tuple[Device, ...], tuple[Device, ...]]:
    """The devices of good rows, and those whose id is good and whose class cannot be used."""
    devices: list[Device] = []
    rejected: list[Device] = []
    for row in table.rows:
        usable = row.device_class in classes.usable
        if not row.device_class:
            findings.add(Code.BAD_ROW, partial(_no_class, table, row))
        elif not usable and not classes.knows(row.device_class):
            findings.add(Code.UNKNOWN_CLASS, partial(_unknown_class, table, row, classes))
        if not row.id:
            findings.add(Code.BAD_ROW, partial(_no_id, table, row))
        elif not _SAFE.fullmatch(row.id):
            findings.add(Code.UNSAFE_ID, partial(_unsafe_id, table, row))
        else:
            place = Span(table.source, row.line, row.column, len(row.id))
            (devices if usable else rejected).append(Device(row.id, row.device_class, row.labels, place))
    return tuple(devices), tuple(rejected)


def _unknown_class(table: Table, row: Row, classes: Classes) -> Diagnostic:
    return classes.unknown(Code.UNKNOWN_CLASS, row.device_class, table.place(row, CLASS))


def _no_class(table: Table, row: Row) -> Diagnostic:
    help = "Every device has a device class: one of the workspace's, or `builtin/NAME`."
    return Diagnostic(Code.BAD_ROW, f"The `{CLASS}` of this device is empty.", table.place(row, CLASS), help=help)


def _no_id(table: Table, row: Row) -> Diagnostic:
    help = "Every device has an id, which no other device of its fleet has."
    return Diagnostic(Code.BAD_ROW, f"The `{ID}` of this device is empty.", table.place(row, ID), help=help)


def _unsafe_id(table: Table, row: Row) -> Diagnostic:
    shown = row.id if row.id.isprintable() else ascii(row.id)[1:-1]
    help = "An id is 1 to 63 letters, digits, `.`, `_` and `-`, and begins with a letter or digit."
    return Diagnostic(Code.UNSAFE_ID, f"`{shown}` is not a safe device id.", table.place(row, ID), help=help)


def _repeated(device: Device, first: Device) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_DEVICE,
        f"A second device has the id `{device.id}`.",
        device.place,
        help="Every device of a fleet has its own id: rename one, or remove the row.",
        related=((first.place, "the first one is here"),),
    )
