"""Values that differ between two cohorts, grouped by the line that makes the difference."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.base.span import Span
from compiler.fleet.devices import Device, Setting
from compiler.fleet.graph import Cohort
from compiler.plan.changes import Change, Kind, Subject, Value
from compiler.plan.pairs import Pair

_ELSEWHERE = ("targets",)
"""Values that have changes of their own."""

Origin = tuple[str, int, bool]
"""File, line, and whether of the earlier blueprint."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One value of one device before and after."""

    path: str
    old: Setting | None
    new: Setting | None


@dataclass(slots=True)
class _Group:
    """What one line makes of devices of one fleet."""

    place: Span | None
    was: Span | None
    devices: int = 0
    values: dict[tuple[str, str, str], tuple[Any, Any, int]] = field(default_factory=dict)

    def add(self, step: _Step, devices: int) -> None:
        old, new = (setting and setting.value for setting in (step.old, step.new))
        key = step.path, repr(old), repr(new)
        self.values[key] = old, new, devices + (self.values[key][2] if key in self.values else 0)


@dataclass(slots=True)
class ValueChanges:
    """Gathers the values that change, pair by pair."""

    _groups: dict[tuple[str, Any], _Group] = field(default_factory=dict)

    def add(self, pair: Pair, fleet: str, without: frozenset[str]) -> bool:
        """Note what differs between the cohorts of a pair, all but the runs in `without`; whether anything does.

        Devices of one cohort may have come to their values by other lines, so each is asked for its own; those
        that share them are looked at once.
        """
        assert pair.old and pair.old.cohort and pair.new and pair.new.cohort
        differs = False
        for old, new, devices in _ways(pair, pair.old.cohort, pair.new.cohort):
            touched: set[Any] = set()
            for step in _steps(old, new, without):
                key, place, was = _origin(step)
                group = self._groups.setdefault((fleet, key), _Group(place, was))
                group.add(step, devices)
                if key not in touched:
                    group.devices += devices
                touched.add(key)
            differs = differs or bool(touched)
        return differs

    def changes(self) -> Iterator[Change]:
        for (fleet, _), group in self._groups.items():
            values = tuple(Value(key[0], *group.values[key]) for key in sorted(group.values))
            yield Change(
                Kind.CHANGE, Subject.VALUES, "", fleet, group.devices, values, place=group.place, was=group.was
            )


def _ways(pair: Pair, old: Cohort, new: Cohort) -> Iterator[tuple[Mapping[str, Setting], Mapping[str, Setting], int]]:
    """The distinct provenances of a pair's devices, before and after, with the number of devices of each."""
    found: dict[tuple[Hashable, Hashable], list[tuple[Device, Device]]] = {}
    for before, after in zip(pair.before, pair.after, strict=True):
        found.setdefault((old.origins.way(before), new.origins.way(after)), []).append((before, after))
    for devices in found.values():
        before, after = devices[0]
        yield old.origins.of(before), new.origins.of(after), len(devices)


def _steps(old: Mapping[str, Setting], new: Mapping[str, Setting], without: frozenset[str]) -> Iterator[_Step]:
    runs = frozenset(_run(path) for path in (*old, *new)) if without else frozenset()
    for path in sorted(old.keys() | new.keys()):
        if path in _ELSEWHERE or (without and _run_of(path, runs | without) in without):
            continue
        was, now = old.get(path), new.get(path)
        # Not the values themselves: `1` and `true` are equal in Python, and not to a template.
        if repr(was and was.value) != repr(now and now.value):
            yield _Step(path, was, now)


def _run(path: str) -> str:
    """The name of the run whose `model` is at `path`, else nothing: every run has one."""
    return path[5:-6] if path.startswith("runs.") and path.endswith(".model") else ""


def _run_of(path: str, names: frozenset[str]) -> str:
    """The run that a path is in. A name may contain dots: of `a` and `a.b`, the longer one is meant."""
    return max((name for name in names if path.startswith(f"runs.{name}.")), key=len, default="")


def _origin(step: _Step) -> tuple[Any, Span | None, Span | None]:
    """The line that makes a difference, with what to group by.

    It is the one that set the new value; the one that set the old value where that is gone, be it that nothing
    sets it any more, or that what it overrode is in force again.
    """
    old, new = step.old, step.new
    if old and old.place and (new is None or new.place is None or _uncovered(old, new)):
        return (old.place.source.path, old.place.line, True), None, old.place
    if new and new.place:
        return (new.place.source.path, new.place.line, False), new.place, None
    return (step.path, repr(old and old.value), repr(new and new.value)), None, None


def _uncovered(old: Setting, new: Setting) -> bool:
    """Whether the new value and all that it overrode were under the old one already."""
    under = [origin.value for origin in old.overrode]
    chain = [new.value, *(origin.value for origin in new.overrode)]
    return len(under) >= len(chain) and under[len(under) - len(chain) :] == chain
