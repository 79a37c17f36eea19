"""Fleets over devices that are given as values, columns and all, rather than read from a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from compiler.base.diagnostics import Diagnostic, in_order
from compiler.base.span import Source, Span
from compiler.blueprint.merge import merge
from compiler.fleet.catalogue import load
from compiler.fleet.columns import Columns
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet
from compiler.fleet.inventories import Inventories
from compiler.fleet.inventory import Inventory
from compiler.fleet.resolve import resolve
from compiler.syntax.read import parse
from tests.fleet.workspaces import PARTS, fleet_text

ROWS = Source("shops.csv", "a row\n" * 20)


def device(
    id: str, device_class: str = "till", facts: dict[str, Any] | None = None, values: Any = (), **labels: str
) -> Device:
    """`values` by path inside the run `assistant`. Its row is told by the digits of its id."""
    line = int("".join(filter(str.isdigit, id)) or 1)
    paths = {f"runs.assistant.{path}": value for path, value in dict(values).items()}
    return Device(
        id,
        device_class,
        tuple(sorted(labels.items())),
        Span(ROWS, line, 1, 5),
        tuple(sorted((facts or {}).items())),
        tuple(sorted(paths.items())),
    )


def fleet_over(devices: Iterable[Device], body: str) -> tuple[Fleet, list[Diagnostic]]:
    """The fleet `shops` with `body` (its runs and overlays) beside PARTS, over these devices."""
    listed = tuple(sorted(devices, key=lambda device: device.id))
    labels = frozenset({label for device in listed for label, _ in device.labels} | {"site", "shift"})
    documents = [parse(PARTS.encode(), "parts.slmc.yaml"), parse(fleet_text(body).encode(), "fleet.slmc.yaml")]
    blueprint, wrong = merge([document for document, found in documents if document and not found])
    with patch.object(Inventories, "of", lambda *_: (Inventory(listed, labels), Columns(), [])):
        (fleet,), diagnostics = resolve(Path("nowhere"), blueprint, load()[0])
    return fleet, in_order([*wrong, *diagnostics])


def places(fleet: Fleet) -> dict[str, str]:
    """Device → cohort."""
    return {device.id: cohort.name for cohort in fleet.cohorts for device in cohort.devices}
