"""Every device before and after: which cohort it was in, and which it is in now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from compiler.fleet.devices import Device
from compiler.fleet.graph import Cohort, Fleet


@dataclass(frozen=True, slots=True)
class Side:
    """Where devices are: their fleet, and their cohort in it; None where nothing runs on them."""

    fleet: Fleet
    cohort: Cohort | None


@dataclass(slots=True)
class Pair:
    """The devices that were at `old` and are at `new`. A side is None for devices that join or leave."""

    old: Side | None
    new: Side | None
    before: list[Device] = field(default_factory=list)
    after: list[Device] = field(default_factory=list)
    """The same devices in the same order; empty on a side that is None."""

    @property
    def devices(self) -> int:
        return len(self.after or self.before)

    @property
    def stays(self) -> bool:
        """Whether the devices are in one fleet before and after."""
        return self.old is not None and self.new is not None and self.old.fleet.name == self.new.fleet.name


_Place = tuple[Side, Device]
_Members = dict[str, dict[str, _Place]]
"""By fleet and device id."""


def pair_up(old: Iterable[Fleet], new: Iterable[Fleet]) -> list[Pair]:
    """Every device of either state in exactly one pair, in the order of fleets and cohorts.

    A device that left one fleet and joined another, and no third, moved there.
    """
    left = _members(old)
    pairs: list[Pair] = []
    joined: dict[str, list[_Place]] = {}
    for fleet in sorted(new, key=lambda fleet: fleet.name):
        earlier = left.get(fleet.name, {})
        for side, devices in _sides(fleet):
            # Devices of one cohort mostly come from one or two: a pair is found by the identity of the old side.
            found: dict[int, Pair] = {}
            for device in devices:
                place = earlier.pop(device.id, None)
                if place is None:
                    joined.setdefault(device.id, []).append((side, device))
                    continue
                pair = found.get(id(place[0]))
                if pair is None:
                    pair = found[id(place[0])] = Pair(place[0], side)
                pair.before.append(place[1])
                pair.after.append(device)
            pairs += found.values()
    return pairs + _moves(left, joined)


def _moves(left: _Members, joined: dict[str, list[_Place]]) -> list[Pair]:
    """The devices that left or joined a fleet; as a move where one did both."""
    gone: dict[str, list[_Place]] = {}
    for members in left.values():
        for device, place in members.items():
            gone.setdefault(device, []).append(place)
    found: dict[tuple[int, int], Pair] = {}
    for device in sorted(gone.keys() | joined.keys()):
        was, now = gone.get(device, []), joined.get(device, [])
        one = len(was) == len(now) == 1
        for before, after in [(was[0], now[0])] if one else [*((w, None) for w in was), *((None, n) for n in now)]:
            key = id(before and before[0]), id(after and after[0])
            pair = found.setdefault(key, Pair(before and before[0], after and after[0]))
            pair.before += [before[1]] if before else []
            pair.after += [after[1]] if after else []
    return list(found.values())


def _sides(fleet: Fleet) -> Iterator[tuple[Side, tuple[Device, ...]]]:
    for cohort in fleet.cohorts:
        yield Side(fleet, cohort), cohort.devices
    yield Side(fleet, None), fleet.idle


def _members(fleets: Iterable[Fleet]) -> _Members:
    found: _Members = {}
    for fleet in sorted(fleets, key=lambda fleet: fleet.name):
        members = found[fleet.name] = {}
        for side, devices in _sides(fleet):
            members |= {device.id: (side, device) for device in devices}
    return found
