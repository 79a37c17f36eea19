"""Devices → cohorts: one for each distinct configuration on one kind of hardware."""

from __future__ import annotations

import marshal
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from operator import attrgetter
from typing import Any

from compiler.fleet.conflicts import Conflicts
from compiler.fleet.devices import Device, Origins
from compiler.fleet.graph import Cohort, DeviceClass, Privacy, Run
from compiler.fleet.names import Facts, Names
from compiler.fleet.settle import Settled, Settler

Ways = Mapping[tuple[str, tuple[int, ...]], list[Device]]
"""The devices by class and by the numbers of the clauses that match: all that the blueprint makes of them."""


@dataclass(slots=True)
class _Group:
    """Devices of one configuration, in as many lists as ways lead to it."""

    name: str
    hardware: DeviceClass
    runs: tuple[Run, ...]
    privacy: Privacy
    devices: list[Sequence[Device]]


@dataclass(slots=True)
class Sorter:
    """Places the devices of one fleet in cohorts."""

    usable: Mapping[str, DeviceClass]
    settler: Settler
    names: Names
    conflicts: Conflicts
    origins: Origins
    _groups: dict[str, _Group] = field(default_factory=dict)
    _hardware: dict[tuple[str, Any], tuple[DeviceClass, Facts]] = field(default_factory=dict)

    def cohorts(self, ways: Ways) -> tuple[tuple[Cohort, ...], tuple[Device, ...]]:
        """Cohorts by name, and the devices on which nothing runs. Devices come in the order of their ids."""
        idle: list[Device] = []
        for (device_class, matched), devices in ways.items():
            if matched and matched[0] < len(self.settler.layers.runs):
                self._place(device_class, matched, devices)
            else:
                idle += devices
        made = {
            identity: Cohort(group.name, group.hardware, group.runs, _by_id(group.devices), group.privacy, self.origins)
            for identity, group in self._groups.items()
        }
        return _told_apart(made), _by_id([idle])

    def _place(self, device_class: str, matched: tuple[int, ...], devices: list[Device]) -> None:
        """Place devices of one class that the same clauses match."""
        settled = self.settler.settle(matched)
        self.conflicts.look(matched, devices)
        plain = []
        own: dict[Any, list[Device]] = defaultdict(list)
        for device in devices:
            if device.values or device.facts:
                # The types too: 1, 1.0 and true are equal, and not the same value.
                own[device.values, device.facts, tuple([type(value) for _, value in device.values])].append(device)
            else:
                plain.append(device)
        if plain:
            self._add(device_class, (), settled, plain)
        if own:
            self.conflicts.look_at_columns(matched, devices, self.settler.target)
        for (values, facts, _), members in own.items():
            refined = self.settler.refine(settled, matched, members[0]) if values else settled
            self._add(device_class, facts, refined, members)

    def _add(self, device_class: str, facts: Facts, settled: Settled, devices: Sequence[Device]) -> None:
        if not settled.runs:
            return
        hardware, differ = self._hardware_of(device_class, facts) if facts else (self.usable[device_class], ())
        identity = sha256(marshal.dumps((device_class, differ), 2) + settled.print).hexdigest()
        group = self._groups.get(identity)
        if group is None:
            name = self.names.name(device_class, settled, differ)
            self._groups[identity] = _Group(name, hardware, tuple(settled.runs.values()), settled.privacy, [devices])
        else:
            group.devices.append(devices)

    def _hardware_of(self, device_class: str, facts: Facts) -> tuple[DeviceClass, Facts]:
        """The class with these facts in place of its own, and those of them that are not the class's anyway."""
        known = self._hardware.get((device_class, facts))
        if known is None:
            hardware = self.usable[device_class]
            differ = tuple((name, value) for name, value in facts if getattr(hardware, name) != value)
            known = (replace(hardware, **dict(differ)) if differ else hardware), differ
            self._hardware[device_class, facts] = known
        return known


def _told_apart(cohorts: Mapping[str, Cohort]) -> tuple[Cohort, ...]:
    """Cohorts by name. That two short hashes are the same is next to impossible, and must not lose a cohort."""
    alike = len({cohort.name for cohort in cohorts.values()}) < len(cohorts)
    taken: set[str] = set()
    for identity, cohort in sorted(cohorts.items()) if alike else ():
        if cohort.name in taken:
            cohort.name = f"{cohort.name[:17]}-{identity[:32]}"
        taken.add(cohort.name)
    return tuple(sorted(cohorts.values(), key=lambda cohort: cohort.name))


def _by_id(lists: Iterable[Sequence[Device]]) -> tuple[Device, ...]:
    """The devices of lists that are each in order."""
    listed = list(lists)
    if len(listed) == 1 and len(listed[0]) == 1:
        return tuple(listed[0])
    return tuple(sorted(chain.from_iterable(listed), key=attrgetter("id")))
