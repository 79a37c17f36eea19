"""What changes between two states of the fleets: one Change for each atomic edit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from compiler.base.span import Span


class Kind(Enum):
    """In the order of a plan: what goes comes first."""

    REMOVE = "remove"
    CHANGE = "change"
    ADD = "add"


class Subject(Enum):
    """What a change is about, in the order of a plan."""

    FLEET = "fleet"
    DEVICES = "devices"
    RUN = "run"
    TARGET = "target"
    VALUES = "values"
    DEVICE_CLASS = "deviceClass"
    COHORT = "cohort"
    VARIABLE = "variable"
    DECLARATION = "declaration"


@dataclass(frozen=True, slots=True)
class Value:
    """One value that changes, on how many devices. None is a value that is not set."""

    path: str
    old: Any
    new: Any
    devices: int


@dataclass(frozen=True, slots=True)
class Change:
    """One atomic change.

    `name` is of the run, target, class, variable or declaration that it is about, `fleet` None where it
    touches several. `place` is the line of the blueprint that makes it, `was` the line of the earlier
    blueprint that it takes away.
    """

    kind: Kind
    subject: Subject
    name: str
    fleet: str | None
    devices: int
    values: tuple[Value, ...] = ()
    ids: tuple[str, ...] = ()
    """Of the devices that leave, join or move, in order."""
    place: Span | None = field(default=None, repr=False)
    was: Span | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes in the order of a plan. Of `devices`, those of either state, some are touched by one."""

    changes: tuple[Change, ...]
    devices: int
    touched: int


def in_order(changes: list[Change]) -> tuple[Change, ...]:
    """Removals first; within a kind by subject, fleet and place."""
    kinds, subjects = list(Kind), list(Subject)

    def key(change: Change) -> tuple[Any, ...]:
        place = change.place or change.was
        where = (place.source.path, place.line, place.column) if place else ("", 0, 0)
        values = [(value.path, repr(value.old), repr(value.new)) for value in change.values]
        return kinds.index(change.kind), subjects.index(change.subject), change.fleet or "", where, change.name, values

    return tuple(sorted(changes, key=key))
