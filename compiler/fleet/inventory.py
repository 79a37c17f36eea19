"""Inventory files → devices: the classes they name exist, their ids are safe and unique."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from operator import attrgetter, lt
from pathlib import Path
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.fleet.columns import Columns
from compiler.fleet.comma_separated import read_csv
from compiler.fleet.devices import Device
from compiler.fleet.findings import Findings
from compiler.fleet.json_lines import read_jsonl
from compiler.fleet.kinds import Kind, Kinds
from compiler.fleet.paths import fault
from compiler.fleet.table import CLASS, ID, Table
from compiler.fleet.unreadable import lenient
from compiler.syntax.text import to_text

_READERS = {".csv": read_csv, ".jsonl": read_jsonl}
_LAYOUT = f"Its first line names the columns (`{ID}`, `{CLASS}`, then labels), each further line is a device."
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NOT_CARRIED = re.compile(r"[\x00-\x1f'\\$\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffe\uffff]")
"""What systemd, Compose and sh do not all read alike in a file of variables, however it is quoted."""


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
    """Rows left out for what they say beside their id: their ids are taken all the same."""
    columns: frozenset[str] = frozenset()
    """All columns, `id` and `class` too."""

    def values(self, key: str) -> set[str]:
        """The values that some device has: of `class`, or of a label."""
        if key == CLASS:
            return {device.device_class for device in self.devices}
        return {value for device in self.devices for label, value in device.labels if label == key}


_NOTHING = Inventory(sound=False)


def read_inventory(
    workspace: Path, path: str, place: Span, kinds: Kinds, columns: Columns
) -> tuple[Inventory, list[Diagnostic]]:
    """Read the inventory that the blueprint names at `place`: CSV or JSON Lines, by its suffix."""
    if found := fault(workspace, path, place):
        return _NOTHING, [found]
    if _suffix(path) not in _READERS:
        help = "An inventory is a table (`.csv`) or JSON Lines (`.jsonl`)."
        return _NOTHING, [Diagnostic(Code.BAD_VALUE, f"`{path}` is neither `.csv` nor `.jsonl`.", place, help=help)]
    findings = Findings()
    source, unreadable, diagnostics = _text(workspace, path, place, findings)
    if source is None:
        return _NOTHING, diagnostics
    inventory, wrong = read_rows(source, kinds, columns, findings, unreadable)
    return inventory, diagnostics + wrong


def read_rows(
    source: Source, kinds: Kinds, columns: Columns, findings: Findings, unreadable: frozenset[int]
) -> tuple[Inventory, list[Diagnostic]]:
    """The devices in a text whose path tells its form. Lines that are `unreadable` are among the `findings` already."""
    rows = _Devices(kinds, columns, findings, unreadable)
    _READERS[_suffix(source.path)](source, rows)
    if not rows.seen and not findings.any:
        findings.add(Code.BAD_ROW, lambda: _no_rows(source))
    sound = not rows.rejected and not findings.any
    names = frozenset(rows.table.columns if rows.table else ())
    labels = names - {ID, CLASS, *columns.uses}
    inventory = Inventory(tuple(rows.devices), labels, sound, tuple(rows.rejected), names)
    return inventory, findings.diagnostics()


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def together(inventories: Iterable[Inventory]) -> tuple[Inventory, list[Diagnostic]]:
    """The inventories of one fleet as one, by device id; a repeated id is reported at the later row."""
    listed = list(inventories)
    devices = [device for inventory in listed for device in inventory.devices]
    rejected = [device for inventory in listed for device in inventory.rejected]
    diagnostics: list[Diagnostic] = []
    if not _ordered(devices):
        devices.sort(key=_id)
    if rejected or not _ordered(devices):
        devices, diagnostics = _unique(listed)
    labels: frozenset[str] = frozenset().union(*(inventory.labels for inventory in listed))
    columns: frozenset[str] = frozenset().union(*(inventory.columns for inventory in listed))
    sound = not diagnostics and all(inventory.sound for inventory in listed)
    return Inventory(tuple(devices), labels, sound, columns=columns), diagnostics


_id: Any = attrgetter("id")


def _ordered(devices: list[Device]) -> bool:
    """Whether they stand in the order of their ids, each id once."""
    return all(map(lt, map(_id, devices), map(_id, islice(devices, 1, None))))


def _unique(inventories: list[Inventory]) -> tuple[list[Device], list[Diagnostic]]:
    """The devices by id, of each id the first; every later row with the same id is reported."""
    taken: dict[str, Device] = {}
    devices: list[Device] = []
    diagnostics: list[Diagnostic] = []
    for inventory in inventories:
        findings = Findings()
        for device in sorted(chain(inventory.devices, inventory.rejected), key=attrgetter("line")):
            first = taken.setdefault(device.id, device)
            if first is not device:
                findings.add(Code.DUPLICATE_DEVICE, partial(_repeated, device, first))
        devices += [device for device in inventory.devices if taken[device.id] is device]
        diagnostics += findings.diagnostics()
    return sorted(devices, key=_id), diagnostics


def _text(
    workspace: Path, path: str, place: Span, findings: Findings
) -> tuple[Source | None, frozenset[int], list[Diagnostic]]:
    """The text of a file, the lines of it that are no text, and what forbids to read it at all."""
    file = workspace / path
    nothing: frozenset[int] = frozenset()
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            help = "An inventory is a regular file."
            return None, nothing, [Diagnostic(Code.CANNOT_READ, f"`{path}` is not a file.", place, help=help)]
        data = file.read_bytes()
    except FileNotFoundError:
        help = "Paths are relative to the workspace, the folder that slmc is pointed at."
        return None, nothing, [Diagnostic(Code.MISSING_FILE, f"`{path}` does not exist.", place, help=help)]
    except OSError as error:
        return None, nothing, [Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", place)]
    if not data or data.isspace():
        return None, nothing, [Diagnostic(Code.EMPTY_FILE, "This inventory is empty.", file=path, help=_LAYOUT)]
    source, diagnostics, readable = to_text(data, path)
    if readable:
        return source, nothing, diagnostics
    if any(found.code is Code.BYTE_ORDER_MARK for found in diagnostics):
        return None, nothing, diagnostics
    source, unreadable = lenient(data, path, findings)
    return source, unreadable, []


def _no_rows(source: Source) -> Diagnostic:
    place = Span(source, 1, 1, max(1, len(source.line(1))))
    return Diagnostic(Code.BAD_ROW, "This inventory has no device rows.", place, help=_LAYOUT)


@dataclass(slots=True)
class _Devices:
    """Collects the devices of good rows, and those that are only good for their id."""

    kinds: Kinds
    columns: Columns
    findings: Findings
    unreadable: frozenset[int]
    table: Table = field(init=False)
    devices: list[Device] = field(default_factory=list)
    rejected: list[Device] = field(default_factory=list)
    seen: bool = False

    def begin(self, table: Table) -> None:
        self.table = table

    def kind(self, device_class: str, cells: tuple[tuple[str, Any], ...], *, typed: bool = False) -> Kind:
        return self.kinds.of(device_class, cells, typed=typed)

    def add(self, line: int, id: str, kind: Kind, variables: tuple[tuple[str, str], ...]) -> None:
        self.seen = True
        if not id and not kind.device_class:
            self.findings.add(Code.BAD_ROW, partial(_no_device, self.table, line))
            return
        sound = kind.usable
        if kind.faults:
            self._kind_faults(line, kind)
        if variables and not all(map(_carried, variables)):
            self._bad_variables(line, variables)
            sound = False
        if not _SAFE.fullmatch(id):
            self.findings.add(Code.BAD_ROW if not id else Code.UNSAFE_ID, partial(_bad_id, self.table, line, id))
            return
        device = Device(id, kind.device_class, kind.labels, self.table, kind.facts, kind.values, variables, line)
        (self.devices if sound else self.rejected).append(device)

    def _kind_faults(self, line: int, kind: Kind) -> None:
        for found in kind.faults:
            self.findings.add(found.code, partial(_at, self.table, line, found.column, found.describe))

    def _bad_variables(self, line: int, variables: tuple[tuple[str, str], ...]) -> None:
        columns = dict(self.columns.variables)
        for name, text in variables:
            if found := _NOT_CARRIED.search(text):
                describe = partial(_not_carried, name, found[0])
                self.findings.add(Code.BAD_VALUE, partial(_at, self.table, line, columns[name], describe))


def _carried(variable: tuple[str, str]) -> bool:
    return _NOT_CARRIED.search(variable[1]) is None


def _at(table: Table, line: int, column: str, describe: Any) -> Diagnostic:
    found: Diagnostic = describe(table.place(line, column))
    return found


def _not_carried(name: str, character: str, place: Span) -> Diagnostic:
    shown = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
    message = f"The value of `{name}` has the character {shown}, which not every target can carry."
    help = "A variable of a device is text without control characters, `'`, `\\` and `$`."
    return Diagnostic(Code.BAD_VALUE, message, place, help=help)


def _no_device(table: Table, line: int) -> Diagnostic:
    help = "Every device has an id and a device class. Remove a row that is no device."
    message = f"The `{ID}` and the `{CLASS}` of this device are empty."
    return Diagnostic(Code.BAD_ROW, message, table.place(line, ID), help=help)


def _bad_id(table: Table, line: int, id: str) -> Diagnostic:
    if not id:
        help = "Every device has an id, which no other device of its fleet has."
        return Diagnostic(Code.BAD_ROW, f"The `{ID}` of this device is empty.", table.place(line, ID), help=help)
    shown = id if id.isprintable() else ascii(id)[1:-1]
    help = "An id is 1 to 63 letters, digits, `.`, `_` and `-`, and begins with a letter or digit."
    return Diagnostic(Code.UNSAFE_ID, f"`{shown}` is not a safe device id.", table.place(line, ID), help=help)


def _repeated(device: Device, first: Device) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_DEVICE,
        f"A second device has the id `{device.id}`.",
        device.place,
        help="Every device of a fleet has its own id: rename one, or remove the row.",
        related=((first.place, "the first one is here"),),
    )
