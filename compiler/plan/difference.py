"""Fleets × Fleets → Difference: what changes on which devices, and which line makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.base.span import Span
from compiler.fleet.devices import Device
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, TargetUse
from compiler.plan.changes import Change, Difference, Kind, Subject, Value, in_order
from compiler.plan.declarations import declaration_changes
from compiler.plan.pairs import Pair, Side
from compiler.plan.values import ValueChanges

_FACTS = {
    "arch": "arch", "isa": "isa", "cores": "cores", "memory": "memory", "reserved_memory": "reservedMemory",
    "storage": "storage", "reserved_storage": "reservedStorage", "accelerators": "accelerators", "systemd": "systemd",
    "podman": "podman",
}  # fmt: skip
"""Facts of a device class that a bundle or the fit depends on; a price changes nothing that a compile writes."""


def difference(
    old: Sequence[Fleet], new: Sequence[Fleet], pairs: Sequence[Pair], renewed: Collection[str] = ()
) -> Difference:
    """Every change between two states of the fleets. `pairs` are their devices, from `pair_up`.

    `renewed` names the artifacts whose bytes change: a device that needs one is touched.

    A cohort is only a way to group devices: one that goes from one cohort to another with the same values
    did not change.
    """
    gathering = _Gathering(
        {fleet.name: fleet.place for fleet in old}, {fleet.name: fleet.place for fleet in new}, renewed
    )
    gathering.fleets()
    for pair in pairs:
        gathering.add(pair)
    changes = [*gathering.changes(), *_targets(old, new), *declaration_changes(old, new)]
    return Difference(in_order(changes), sum(pair.devices for pair in pairs), gathering.touched)


def configuration(side: Side) -> tuple[Any, ...]:
    """What bundles are rendered from, as far as the blueprint decides; equal for equal bundles."""
    fleet, cohort = side.fleet, side.cohort
    if cohort is None:
        return ()
    hardware = cohort.device_class
    return hardware.name, _facts(hardware), fleet.place.source.path, *_settings(fleet, cohort)


def index_changes(pairs: Iterable[Pair]) -> dict[str, int]:
    """By fleet, the number of rows that come, go or change in its index of devices: id, class, cohort, variables."""
    changed: Counter[str] = Counter()
    for pair in pairs:
        was, now = _row(pair.old), _row(pair.new)
        devices = pair.devices if was != now else _revalued(pair) if now else 0
        for fleet in {row[0] for row in (was, now) if row and devices}:
            changed[fleet] += devices
    return dict(sorted(changed.items()))


def _row(side: Side | None) -> tuple[str, str, str, tuple[str, ...]] | None:
    """What the index says of all devices of a side, with the fleet; None of those on which nothing runs."""
    if side is None or side.cohort is None:
        return None
    return side.fleet.name, side.cohort.device_class.name, side.cohort.name, side.fleet.variables


def _revalued(pair: Pair) -> int:
    """Devices with other values of the same variables."""
    return sum(was.variables != now.variables for was, now in zip(pair.before, pair.after, strict=True))


def _settings(fleet: Fleet, cohort: Cohort) -> tuple[Any, ...]:
    # Parameters as text too: `1` and `true` are equal in Python, and not to a template.
    parameters = [repr(run.parameters) for run in cohort.runs]
    return cohort.runs, parameters, fleet.region, cohort.privacy, fleet.variables


def _facts(hardware: DeviceClass) -> tuple[Any, ...]:
    return tuple(getattr(hardware, fact) for fact in _FACTS)


@dataclass(slots=True)
class _Tally:
    """A change that is still counted."""

    devices: int = 0
    ids: list[str] = field(default_factory=list)
    values: tuple[tuple[str, Any, Any], ...] = ()
    place: Span | None = None
    was: Span | None = None

    def change(self, kind: Kind, subject: Subject, name: str, fleet: str | None) -> Change:
        values = tuple(Value(*value, self.devices) for value in self.values)
        return Change(kind, subject, name, fleet, self.devices, values, tuple(sorted(self.ids)), self.place, self.was)


_Key = tuple[Kind, Subject, str, str | None, str]
"""Kind, subject, name, fleet, and what else tells two changes apart."""


@dataclass(slots=True)
class _Gathering:
    """Changes on their way: each pair adds its devices to them."""

    old: Mapping[str, Span]
    new: Mapping[str, Span]
    """The fleets by name, with the places that declare them."""
    renewed: Collection[str]
    touched: int = 0
    _tallies: dict[_Key, _Tally] = field(default_factory=dict)
    _values: ValueChanges = field(default_factory=ValueChanges)

    def changes(self) -> list[Change]:
        found = [tally.change(*key[:4]) for key, tally in self._tallies.items()]
        return [*found, *self._values.changes()]

    def of(self, kind: Kind, subject: Subject, name: str, fleet: str | None, more: str = "") -> _Tally:
        return self._tallies.setdefault((kind, subject, name, fleet, more), _Tally())

    def fleets(self) -> None:
        """Fleets that come or go, be it without a device."""
        for name in self.old.keys() - self.new.keys():
            self.of(Kind.REMOVE, Subject.FLEET, name, name).was = self.old[name]
        for name in self.new.keys() - self.old.keys():
            self.of(Kind.ADD, Subject.FLEET, name, name).place = self.new[name]

    def add(self, pair: Pair) -> None:
        if pair.old is None or pair.new is None:
            self._come_or_go(pair)
            self.touched += pair.devices
            return
        name, moved = pair.new.fleet.name, not pair.stays
        if moved:
            name = f"{pair.old.fleet.name} → {name}"
            self._list(self.of(Kind.CHANGE, Subject.DEVICES, "", name), pair.after)
        differs = [self._runs(pair, name), self._classes(pair, name), self._hardware(pair), self._settings(pair, name)]
        touched = moved or any(differs) or self._rebundled(pair)
        changed = self._variables(pair, name)
        self.touched += pair.devices if touched else changed

    def _rebundled(self, pair: Pair) -> bool:
        """Whether devices get other bundles though no value of theirs changes."""
        assert pair.old and pair.new
        was, now = (set(side.fleet.targets) for side in (pair.old, pair.new))
        runs = pair.new.cohort.runs if pair.new.cohort else ()
        renamed = pair.old.fleet.variables != pair.new.fleet.variables
        return bool(runs) and (was != now or renamed or any(run.artifact in self.renewed for run in runs))

    def _come_or_go(self, pair: Pair) -> None:
        """Devices of one state only. Those of a fleet that comes or goes as a whole come or go with it."""
        side, kind = (pair.old, Kind.REMOVE) if pair.old else (pair.new, Kind.ADD)
        assert side
        name = side.fleet.name
        whole = name not in (self.new if pair.old else self.old)
        tally = self.of(kind, Subject.FLEET if whole else Subject.DEVICES, name if whole else "", name)
        self._list(tally, pair.before or pair.after)

    @staticmethod
    def _list(tally: _Tally, devices: list[Device]) -> None:
        tally.devices += len(devices)
        tally.ids += [device.id for device in devices]

    def _runs(self, pair: Pair, fleet: str) -> bool:
        """Runs that end or begin on devices that stay."""
        assert pair.old and pair.new
        was, now = _names(pair.old), _names(pair.new)
        for name in was.keys() - now.keys():
            tally = self.of(Kind.REMOVE, Subject.RUN, name, fleet)
            tally.devices += pair.devices
            tally.was = tally.was or was[name]
        for name in now.keys() - was.keys():
            tally = self.of(Kind.ADD, Subject.RUN, name, fleet)
            tally.devices += pair.devices
            tally.place = tally.place or now[name]
        return was.keys() != now.keys()

    def _classes(self, pair: Pair, fleet: str) -> bool:
        """Devices that are of another class now. The class is the same for all of a cohort."""
        assert pair.old and pair.new
        old, new = pair.old.cohort, pair.new.cohort
        if old and new and old.device_class.name == new.device_class.name:
            return False
        classes = Counter(
            (before.device_class, after.device_class) for before, after in zip(pair.before, pair.after, strict=True)
        )
        moves = [(*both, devices) for both, devices in classes.items() if both[0] != both[1]]
        for was, now, devices in moves:
            tally = self.of(Kind.CHANGE, Subject.VALUES, "", fleet, f"class\0{was}\0{now}")
            tally.devices += devices
            tally.values = (("class", was, now),)
        return bool(moves)

    def _hardware(self, pair: Pair) -> bool:
        """A class whose facts changed."""
        old, new = pair.old and pair.old.cohort, pair.new and pair.new.cohort
        if not old or not new or old.device_class.name != new.device_class.name:
            return False
        facts = zip(_FACTS.values(), _facts(old.device_class), _facts(new.device_class), strict=True)
        values = tuple((path, was, now) for path, was, now in facts if was != now)
        if values:
            tally = self.of(Kind.CHANGE, Subject.DEVICE_CLASS, new.device_class.name, None, repr(values))
            tally.devices += pair.devices
            tally.values, tally.place = values, new.device_class.place
        return bool(values)

    def _settings(self, pair: Pair, fleet: str) -> bool:
        """Values that differ, of runs that stay. Provenance is asked for only where configurations differ."""
        assert pair.old and pair.new
        old, new = pair.old.cohort, pair.new.cohort
        if old is None or new is None:
            return False
        if _settings(pair.old.fleet, old) == _settings(pair.new.fleet, new):
            return False
        return self._values.add(pair, fleet, frozenset(_names(pair.old).keys() ^ _names(pair.new).keys()))

    def _variables(self, pair: Pair, fleet: str) -> int:
        """The per-device table: on how many devices of the pair a value of it changes."""
        changed = 0
        for before, after in zip(pair.before, pair.after, strict=True):
            if before.variables != after.variables:
                changed += 1
                was, now = dict(before.variables), dict(after.variables)
                for name in was.keys() | now.keys():
                    if was.get(name) != now.get(name):
                        self.of(Kind.CHANGE, Subject.VARIABLE, name, fleet).devices += 1
        return changed


def _names(side: Side) -> dict[str, Span]:
    """The runs of a side with the places that declare them."""
    return {run.name: run.place for run in side.cohort.runs} if side.cohort else {}


def _targets(old: Sequence[Fleet], new: Sequence[Fleet]) -> Iterator[Change]:
    """Targets that a fleet is not emitted for any more, or is now."""
    earlier = {fleet.name: fleet for fleet in old}
    for fleet in new:
        if fleet.name in earlier:
            was, now = ({use.name: use for use in state.targets} for state in (earlier[fleet.name], fleet))
            for name in was.keys() - now.keys():
                yield Change(Kind.REMOVE, Subject.TARGET, name, fleet.name, fleet.devices, was=was[name].place)
            for name in now.keys() - was.keys():
                yield Change(Kind.ADD, Subject.TARGET, name, fleet.name, fleet.devices, place=now[name].place)
            for name in was.keys() & now.keys():
                if was[name] != now[name]:
                    yield _options(fleet, was[name], now[name])


def _options(fleet: Fleet, was: TargetUse, now: TargetUse) -> Change:
    """A target that stays, with other values for its options."""
    old, new = ({option.name: option for option in use.options} for use in (was, now))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    values = tuple(
        Value(name, old[name].value if name in old else None, new[name].value if name in new else None, fleet.devices)
        for name in names
    )
    place = next((new[name].place for name in names if name in new), now.place)
    return Change(Kind.CHANGE, Subject.TARGET, now.name, fleet.name, fleet.devices, values, place=place)
