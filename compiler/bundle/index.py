"""The table of a fleet's devices: device → class → cohort and its own variables, in one file or in shards."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

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
