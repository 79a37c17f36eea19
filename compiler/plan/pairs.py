"""Every device before and after: which cohort it was in, and which it is in now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from compiler.fleet.graph import Cohort, Device, Fleet


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


class _Member(NamedTuple):
    side: int
    device: Device


_Members = dict[str, dict[str, _Member]]
"""By fleet and device id."""


def pair_up(old: Iterable[Fleet], new: Iterable[Fleet]) -> list[Pair]:
    """Every device of either state in exactly one pair, in the order of fleets and cohorts.

    A device that left one fleet and joined another, and no third, moved there.
    """
    sides: list[Side] = []
    was = _members(old, sides)
    now = _members(new, sides)
    found: dict[tuple[int, int], Pair] = {}
    for before, after in chain(_staying(was, now), _moves(_only_in(was, now), _only_in(now, was))):
        key = before.side if before else -1, after.side if after else -1
        if key not in found:
            old_side, new_side = (sides[number] if number >= 0 else None for number in key)
            found[key] = Pair(old_side, new_side)
        if before:
            found[key].before.append(before.device)
        if after:
            found[key].after.append(after.device)
    return [found[key] for key in sorted(found)]


_Passage = tuple[_Member | None, _Member | None]


def _staying(was: _Members, now: _Members) -> Iterator[_Passage]:
    for fleet, members in now.items():
        earlier = was.get(fleet, {})
        for id, member in members.items():
            if id in earlier:
                yield earlier[id], member


def _only_in(these: _Members, others: _Members) -> dict[str, list[_Member]]:
    """By device id, the members of fleets that have no such device among `others`."""
    found: dict[str, list[_Member]] = {}
    for fleet, members in these.items():
        known = others.get(fleet, {})
        for id, member in members.items():
            if id not in known:
                found.setdefault(id, []).append(member)
    return found


def _moves(left: dict[str, list[_Member]], joined: dict[str, list[_Member]]) -> Iterator[_Passage]:
    """Each device that left or joined, as a move where it is one."""
    for id in sorted(left.keys() | joined.keys()):
        gone, come = left.get(id, []), joined.get(id, [])
        if len(gone) == len(come) == 1:
            yield gone[0], come[0]
            continue
        for member in gone:
            yield member, None
        for member in come:
            yield None, member


def _members(fleets: Iterable[Fleet], sides: list[Side]) -> _Members:
    """The devices by fleet and id, each with the number of its side in `sides`."""
    found: _Members = {}
    for fleet in sorted(fleets, key=lambda fleet: fleet.name):
        members = found[fleet.name] = {}
        for cohort in (*fleet.cohorts, None):
            number = len(sides)
            sides.append(Side(fleet, cohort))
            for device in cohort.devices if cohort else fleet.idle:
                members[device.id] = _Member(number, device)
    return found
