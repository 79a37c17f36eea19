"""A part of the fleets: the devices that someone asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet
from compiler.fleet.match import CLASS, DEVICE, Clause, Matcher, comparable


@dataclass(frozen=True, slots=True)
class Selection:
    """Names of fleets and cohorts, none for all of them, and what a `match:` would ask for."""

    fleets: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def everything(self) -> bool:
        return not (self.fleets or self.cohorts or self.match)


def select(fleets: Iterable[Fleet], selection: Selection) -> tuple[tuple[Fleet, ...], list[Diagnostic]]:
    """The selected fleets with the selected devices. Cohorts without any are left out.

    A name or a value that nothing has is an error; values that no single device has together select nothing.
    """
    listed = tuple(fleets)
    if selection.everything:
        return listed, []
    chosen = tuple(fleet for fleet in listed if not selection.fleets or fleet.name in selection.fleets)
    diagnostics = list(_unknown("fleet", selection.fleets, {fleet.name for fleet in listed}))
    diagnostics += _unknown("cohort", selection.cohorts, {cohort.name for fleet in chosen for cohort in fleet.cohorts})
    if not diagnostics:
        diagnostics += _unmet(chosen, selection.match)
    matcher = Matcher([Clause((), selection.match)])
    return tuple(_narrow(fleet, selection.cohorts, matcher) for fleet in chosen), diagnostics


def _narrow(fleet: Fleet, names: tuple[str, ...], matcher: Matcher) -> Fleet:
    def kept(devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return tuple(device for device in devices if matcher.clauses_of(device))

    wanted = (cohort for cohort in fleet.cohorts if not names or cohort.name in names)
    cohorts = (replace(cohort, devices=kept(cohort.devices)) for cohort in wanted)
    return replace(
        fleet, cohorts=tuple(cohort for cohort in cohorts if cohort.devices), idle=() if names else kept(fleet.idle)
    )


def _unknown(kind: str, wanted: Iterable[str], known: set[str]) -> Iterator[Diagnostic]:
    for name in wanted:
        if name not in known:
            help = did_you_mean(name, comparable(known))
            yield Diagnostic(Code.UNKNOWN_REFERENCE, f"No {kind} is named `{name}`.", help=help)


def _unmet(fleets: Iterable[Fleet], match: Mapping[str, tuple[str, ...]]) -> Iterator[Diagnostic]:
    """Report each key and each value that no device has."""
    if not match:
        return
    values = _values(fleets)
    for key, wanted in match.items():
        if key not in values:
            help = did_you_mean(key, values)
            yield Diagnostic(Code.UNKNOWN_REFERENCE, f"No device has a label `{key}`.", help=help)
            continue
        for value in wanted:
            if value not in values[key]:
                help = did_you_mean(value, comparable(values[key]))
                yield Diagnostic(Code.UNKNOWN_REFERENCE, f"No device has `{key}={value}`.", help=help)


def _values(fleets: Iterable[Fleet]) -> dict[str, set[str]]:
    """What the devices have, by what a `match:` can ask for."""
    found: dict[str, set[str]] = {CLASS: set(), DEVICE: set()}
    for fleet in fleets:
        for devices in (*(cohort.devices for cohort in fleet.cohorts), fleet.idle):
            for device in devices:
                found[CLASS].add(device.device_class)
                found[DEVICE].add(device.id)
                for label, value in device.labels:
                    found.setdefault(label, set()).add(value)
    return found
