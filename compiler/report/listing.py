"""What `slmc ls` lists: devices, cohorts, artifacts, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.base.units import show_bytes
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet
from compiler.lock.lock import Lock
from compiler.report.table import table
from compiler.report.text import one_line

_SIZES = ("memory", "storage")

Row = Mapping[str, Any]
"""By column: text, a number, None for nothing; a mapping is a group of columns, a list several texts."""


@dataclass(frozen=True, slots=True)
class Listing:
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def devices(fleets: Iterable[Fleet], lock: Lock) -> Listing:
    """Every device, by fleet and id; one that nothing runs on has no cohort. What no device states has no column."""
    rows: list[dict[str, Any]] = []
    for fleet in fleets:
        members: list[tuple[Device, str | None]]
        members = [(device, cohort.name) for cohort in fleet.cohorts for device in cohort.devices]
        members += [(device, None) for device in fleet.idle]
        rows += [_device(fleet, *member) for member in sorted(members, key=lambda member: member[0].id)]
    own = [column for column in ("facts", "variables") if any(row[column] for row in rows)]
    columns = ("fleet", "device", "class", "cohort", "labels", *own)
    return Listing(columns, tuple({column: row[column] for column in columns} for row in rows))


def _device(fleet: Fleet, device: Device, cohort: str | None) -> dict[str, Any]:
    return {
        "fleet": fleet.name,
        "device": device.id,
        "class": device.device_class,
        "cohort": cohort,
        "labels": dict(device.labels),
        "facts": dict(device.facts),
        "variables": dict(device.variables),
    }


def cohorts(fleets: Iterable[Fleet], lock: Lock) -> Listing:
    """Every cohort with its number of devices and what runs on them."""
    rows = [
        {
            "fleet": fleet.name,
            "cohort": cohort.name,
            "class": cohort.device_class.name,
            "devices": len(cohort.devices),
            "runs": {run.name: run.artifact for run in cohort.runs},
        }
        for fleet in fleets
        for cohort in fleet.cohorts
    ]
    return Listing(("fleet", "cohort", "class", "devices", "runs"), tuple(rows))


def artifacts(fleets: Iterable[Fleet], lock: Lock) -> Listing:
    """Every artifact that some run needs, with what `lock` knows of it and on how many devices it lies."""
    counts: Counter[str] = Counter()
    makers: dict[str, tuple[str, str]] = {}
    for cohort in (cohort for fleet in fleets for cohort in fleet.cohorts):
        for run in {run.artifact: run for run in cohort.runs}.values():
            counts[run.artifact] += len(cohort.devices)
            makers[run.artifact] = run.model.id, run.recipe.name
    rows = []
    for name in sorted(makers):
        locked = lock.artifacts[name].artifact if name in lock.artifacts else None
        model, recipe = makers[name]
        row = {"artifact": name, "model": model, "recipe": recipe, "devices": counts[name]}
        rows.append(row | {"size": locked and locked.size, "digest": locked and locked.digest})
    return Listing(("artifact", "model", "recipe", "devices", "size", "digest"), tuple(rows))


LISTINGS: dict[str, Callable[[Iterable[Fleet], Lock], Listing]] = {
    "devices": devices,
    "cohorts": cohorts,
    "artifacts": artifacts,
}


def listing_text(listing: Listing) -> str:
    """A table for people: sizes with units, short digests."""
    if not listing.rows:
        return ""
    right = [index for index, column in enumerate(listing.columns) if column in ("devices", "size")]
    rows = [[_cell(column, row[column]) for column in listing.columns] for row in listing.rows]
    return table(listing.columns, rows, right=right)


def listing_csv(listing: Listing) -> str:
    """RFC 4180 with LF. A group becomes one column for each name in it, such as `labels.site`."""
    names: dict[str, set[str]] = {column: set() for column in listing.columns}
    grouped = {column for row in listing.rows for column in listing.columns if isinstance(row[column], dict)}
    for row in listing.rows:
        for column in grouped:
            names[column].update(row[column])
    header = [
        (column, name) for column in listing.columns for name in (sorted(names[column]) if column in grouped else [""])
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f"{column}.{name}" if name else column for column, name in header])
    for row in listing.rows:
        writer.writerow([row[column].get(name) if name else row[column] for column, name in header])
    return text.getvalue()


def listing_data(listing: Listing) -> list[dict[str, Any]]:
    """The rows as JSON values."""
    return [dict(row) for row in listing.rows]


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if column == "size":
        return show_bytes(value)
    if column == "digest":
        return str(value).removeprefix("sha256:")[:12]
    if isinstance(value, dict):
        separator = ": " if column == "runs" else "="
        if column == "facts":
            value = {name: show_bytes(fact) if name in _SIZES else fact for name, fact in value.items()}
        return one_line(", ".join(f"{name}{separator}{text}" for name, text in value.items()))
    return one_line(str(value))
