"""The table of a fleet's devices: device → class → cohort and its own variables, in one file or in shards."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from hashlib import sha256

from compiler.bundle.manifest import SUMS, listed
from compiler.bundle.shards import chain, digits, shard
from compiler.fleet.graph import Fleet

DEVICES = "devices.csv"
SHARDS = "devices"
PER_SHARD = 512
"""Devices in one file, on average at most. Beyond that there are 16 times as many files."""

_Row = tuple[str, ...]


def device_index(fleet: Fleet) -> dict[str, bytes]:
    """The index by path below the output folder, each file in the order of ids.

    A small fleet has `devices.csv`. In a larger one the first hex digits of the sha256 of a device's id
    say where it stands: `devices/3.csv`, beyond 8,192 devices `devices/3/a.csv`, and so on, each folder
    with its `SHA256SUMS`. So a change to one device changes one small file, in folders of at most 17.
    """
    header = ("id", "class", "cohort", *fleet.variables)
    rows = rows_of(fleet)
    length = digits(len(rows), PER_SHARD)
    if not length:
        return {f"{fleet.name}/{DEVICES}": _table(header, rows)}
    members: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        members[shard(row[0], length)].append(row)
    root = f"{fleet.name}/{SHARDS}"
    tables = {f"{name}.csv": _table(header, found) for name, found in members.items()}
    sums = chain(root, {name: sha256(data).hexdigest() for name, data in tables.items()}, length - 1)
    return {f"{root}/{name}": data for name, data in tables.items()} | sums


def rows_of(fleet: Fleet) -> list[_Row]:
    """A row for each device, in no order: id, class, cohort, then what its columns give for the fleet's variables."""
    names = fleet.variables
    rows: list[_Row] = []
    for cohort in fleet.cohorts:
        for device in cohort.devices:
            own = dict(device.variables) if names else {}
            rows.append((device.id, device.device_class, cohort.name, *[own.get(name, "") for name in names]))
    return rows


def _table(header: _Row, rows: Iterable[_Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted(rows))
    return text.getvalue().encode()


def edited_index(
    part: Fleet, gone: Set[str], count: tuple[int, int], read: Callable[[str], bytes | None]
) -> dict[str, bytes] | None:
    """The files of an index that change when the devices `gone` leave and those of `part` of the fleet come.

    `count` is the number of devices before and after, `read` gives a file of the index as it is. None where that
    cannot be told from the few files that change: the index is laid out anew, a shard empties, a device is there twice.
    """
    length = digits(count[0], PER_SHARD)
    if length != digits(count[1], PER_SHARD):
        return None
    rows = {row[0]: row for row in rows_of(part)}
    root = f"{part.name}/{SHARDS}"
    header = ("id", "class", "cohort", *part.variables)
    come: dict[str, dict[str, _Row]] = defaultdict(dict)
    for id in gone | rows.keys():
        here = come[_path_of(part.name, id, length)]
        if id in rows:
            here[id] = rows[id]
    found: dict[str, bytes] = {}
    for path, here in come.items():
        data = _edited(read(path), header, gone, here)
        if data is None:
            return None
        found[path] = data
    if length:
        leaves = {f"{root}/{name}": digest for name, digest in _leaves(root, read)}
        leaves |= {path: sha256(data).hexdigest() for path, data in found.items()}
        found |= chain(root, {path[len(root) + 1 :]: digest for path, digest in leaves.items()}, length - 1)
    return found


def holds(fleet: str, count: int, id: str, read: Callable[[str], bytes | None]) -> bool:
    """Whether the index of a fleet of `count` devices has the device."""
    data = read(_path_of(fleet, id, digits(count, PER_SHARD)))
    return data is not None and f"\n{id},".encode() in data


def _path_of(fleet: str, id: str, length: int) -> str:
    return f"{fleet}/{SHARDS}/{shard(id, length)}.csv" if length else f"{fleet}/{DEVICES}"


def _edited(data: bytes | None, header: _Row, gone: Set[str], come: Mapping[str, _Row]) -> bytes | None:
    before = list(csv.reader(io.StringIO((data or b"").decode("utf-8", "replace"), newline="")))
    if not before or tuple(before[0]) != header:
        return None
    rows = {row[0]: tuple(row) for row in before[1:] if row[0] not in gone}
    if rows.keys() & come.keys() or not (rows or come):
        return None
    return _table(header, [*rows.values(), *come.values()])


def _leaves(root: str, read: Callable[[str], bytes | None], inside: str = "") -> Iterator[tuple[str, str]]:
    """The files that the sums of a tree of shards name, by path below `root`, with their sha256."""
    for name, digest in listed(read(f"{root}/{inside}{SUMS}") or b"").items():
        if name.endswith(f"/{SUMS}"):
            yield from _leaves(root, read, f"{inside}{name.removesuffix(SUMS)}")
        else:
            yield f"{inside}{name}", digest
