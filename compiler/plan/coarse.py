"""An index of devices × Fleets → Difference: what can be said where the earlier blueprint cannot be read.

The index says which device was in which class and cohort, and nothing of the values there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from compiler.fleet.graph import Cohort, Fleet
from compiler.plan.changes import Change, Difference, Kind, Subject, Value, in_order


class Row(NamedTuple):
    """A device in an index."""

    device_class: str
    cohort: str


Index = Mapping[str, Mapping[str, Row]]
"""By fleet and device id. Devices on which nothing runs are in no index."""


def coarse_difference(old: Index, new: Sequence[Fleet]) -> Difference:
    """Devices that leave, join, or go to another class or cohort, and fleets that come or go."""
    groups: dict[tuple[Kind, Subject, str, str, str], list[str]] = defaultdict(list)
    places = {fleet.name: fleet.place for fleet in new}
    now = _index(new)
    for fleet in old.keys() | now.keys():
        was, will = old.get(fleet, {}), now.get(fleet, {})
        leave = Subject.DEVICES if fleet in now else Subject.FLEET
        join = Subject.DEVICES if fleet in old else Subject.FLEET
        for subject, kind, here, there in ((leave, Kind.REMOVE, was, will), (join, Kind.ADD, will, was)):
            gone = here.keys() - there.keys()
            if gone or (subject is Subject.FLEET and fleet in (old if kind is Kind.REMOVE else now)):
                groups[kind, subject, fleet, "", ""] += gone
        for id in was.keys() & will.keys():
            for subject, before, after in _moves(was[id], will[id]):
                groups[Kind.CHANGE, subject, fleet, before, after].append(id)
    changes = []
    for (kind, subject, fleet, before, after), ids in groups.items():
        values = (Value("class" if subject is Subject.VALUES else "cohort", before, after, len(ids)),) if after else ()
        place = places.get(fleet) if subject is Subject.FLEET else None
        name = fleet if subject is Subject.FLEET else ""
        changes.append(Change(kind, subject, name, fleet, len(ids), values, tuple(sorted(ids)), place))
    touched = len({(key[2], id) for key, ids in groups.items() for id in ids})
    devices = {(fleet, id) for state in (old, now) for fleet, rows in state.items() for id in rows}
    return Difference(in_order(changes), len(devices) + sum(len(fleet.idle) for fleet in new), touched)


def coarse_index_changes(old: Index, new: Sequence[Fleet]) -> dict[str, int]:
    """By fleet, the number of rows of its index that come, go or change."""
    now = _index(new)
    found = {}
    for fleet in sorted(old.keys() | now.keys()):
        was, will = old.get(fleet, {}), now.get(fleet, {})
        if changed := sum(was.get(id) != will.get(id) for id in was.keys() | will.keys()):
            found[fleet] = changed
    return found


def index_rows(fleet: Fleet) -> Iterator[tuple[str, Row, Cohort]]:
    """The rows that the index of a fleet has, with their ids and cohorts."""
    for cohort in fleet.cohorts:
        for device in cohort.devices:
            yield device.id, Row(device.device_class, cohort.name), cohort


def _index(fleets: Iterable[Fleet]) -> Index:
    return {fleet.name: {id: row for id, row, _ in index_rows(fleet)} for fleet in fleets}


def _moves(before: Row, after: Row) -> Iterator[tuple[Subject, str, str]]:
    if before.device_class != after.device_class:
        yield Subject.VALUES, before.device_class, after.device_class
    if before.cohort != after.cohort:
        yield Subject.COHORT, before.cohort, after.cohort
