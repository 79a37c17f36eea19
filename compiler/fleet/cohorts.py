"""Devices → cohorts: one for each distinct configuration on one kind of hardware."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from compiler.fleet.conflicts import Conflicts
from compiler.fleet.graph import Cohort, Device, DeviceClass, Origins
from compiler.fleet.names import Facts, Names
from compiler.fleet.settle import Settled, Settler

Ways = Mapping[tuple[str, tuple[int, ...]], list[Device]]
"""The devices by class and by the numbers of the clauses that match: all that the blueprint makes of them."""


@dataclass(slots=True)
class _Group:
    """Devices of one configuration, in as many lists as ways lead to it."""

    device_class: str
    facts: Facts
    settled: Settled
    devices: list[Sequence[Device]] = field(default_factory=list)


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
        made = {identity: self._cohort(identity, group) for identity, group in self._groups.items()}
        return _told_apart(made), _by_id([idle])

    def _place(self, device_class: str, matched: tuple[int, ...], devices: list[Device]) -> None:
        """Place devices of one class that the same clauses match."""
        settled = self.settler.settle(matched)
        self.conflicts.look(matched, devices)
        plain = []
        own: dict[Any, list[Device]] = defaultdict(list)
        for device in devices:
            if device.values or device.facts:
                own[device.values, device.facts].append(device)
            else:
                plain.append(device)
        if plain:
            self._add(device_class, (), settled, plain)
        for (values, facts), members in own.items():
            if values:
                for member in members:
                    self._compare(matched, member)
            refined = self.settler.refine(matched, members[0]) if values else settled
            self._add(device_class, self._hardware_of(device_class, facts)[1], refined, members)

    def _compare(self, matched: tuple[int, ...], device: Device) -> None:
        targets = ((self.settler.target(path), value) for path, value in device.values)
        self.conflicts.look_at_columns(matched, device, ((target, value) for target, value in targets if target))

    def _add(self, device_class: str, facts: Facts, settled: Settled, devices: Sequence[Device]) -> None:
        if settled.runs:
            text = f"{device_class}\n{facts!r}\n{settled.text}"
            identity = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
            group = self._groups.get(identity)
            if group is None:
                group = self._groups[identity] = _Group(device_class, facts, settled)
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

    def _cohort(self, identity: str, group: _Group) -> Cohort:
        hardware, _ = self._hardware_of(group.device_class, group.facts)
        return Cohort(
            self.names.name(group.device_class, group.settled, group.facts, identity),
            hardware,
            tuple(group.settled.runs.values()),
            _by_id(group.devices),
            group.settled.privacy,
            self.origins,
        )


def _told_apart(cohorts: Mapping[str, Cohort]) -> tuple[Cohort, ...]:
    """Cohorts by name. That two short hashes are the same is next to impossible, and must not lose a cohort."""
    taken: set[str] = set()
    for identity, cohort in sorted(cohorts.items()):
        if cohort.name in taken:
            cohort.name = f"{cohort.name[:17]}-{identity[:32]}"
        taken.add(cohort.name)
    return tuple(sorted(cohorts.values(), key=lambda cohort: cohort.name))


def _by_id(lists: Iterable[Sequence[Device]]) -> tuple[Device, ...]:
    """The devices of lists that are each in order."""
    several = tuple(device for devices in lists for device in devices)
    return tuple(sorted(several, key=lambda device: device.id))
