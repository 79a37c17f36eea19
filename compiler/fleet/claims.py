"""A device belongs to one fleet: two that run something on it would send it two bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.devices import Device
from compiler.fleet.findings import Findings
from compiler.fleet.graph import Fleet


def claimed_twice(fleets: Sequence[Fleet]) -> list[Diagnostic]:
    """Report each device on which a second fleet runs something, at its row there."""
    if len(fleets) < 2:
        return []
    owners: dict[str, tuple[Fleet, Device]] = {}
    by_file: dict[str, Findings] = defaultdict(Findings)
    for fleet in fleets:
        devices = [device for cohort in fleet.cohorts for device in cohort.devices]
        twice = [device for device in devices if device.id in owners]
        for device in sorted(twice, key=lambda device: (device.place.source.path, device.place.line)):
            describe = partial(_described, device, fleet, *owners[device.id])
            by_file[device.place.source.path].add(Code.CLAIMED_TWICE, describe)
        for device in devices:
            owners.setdefault(device.id, (fleet, device))
    return [diagnostic for findings in by_file.values() for diagnostic in findings.diagnostics()]


def _described(device: Device, fleet: Fleet, owner: Fleet, first: Device) -> Diagnostic:
    message = f"Fleet `{fleet.name}` runs something on `{device.id}`, and so does fleet `{owner.name}`."
    if device.place == first.place:
        related = ((owner.place, "the other fleet is declared here"),)
    else:
        related = ((first.place, f"the row in fleet `{owner.name}`"),)
    help = "Remove the row from one of the two, or let the `match:` of the runs of one leave the device out."
    return Diagnostic(Code.CLAIMED_TWICE, message, device.place, help, related)
