"""Where a value comes from: the line that set it, and what that overrode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.fleet.devices import Device, Setting
from compiler.fleet.graph import Cohort, Fleet
from compiler.fleet.match import comparable


@dataclass(frozen=True, slots=True)
class Finding:
    """One value of `path` (from `fleets.` on), and on how many devices it has this origin."""

    path: str
    setting: Setting
    devices: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked, and each distinct value with its origin; per path the most frequent one first."""

    path: str
    device: str | None
    findings: tuple[Finding, ...]


def where(fleets: Iterable[Fleet], path: str, device: str | None) -> tuple[Answer, list[Diagnostic]]:
    """Find the origins of the value at `path`, or of every value below it.

    Paths are spelt as in the blueprint: `fleets.shops.runs.counter.serve.port`. With a
    `device` the answer is what holds there, else what holds on how many devices.
    """
    listed = tuple(fleets)
    asked = path.rstrip(".")
    inside = [(fleet, rest) for fleet in listed if (rest := _inside(asked, fleet)) is not None]
    if not inside:
        names = [f"fleets.{fleet.name}" for fleet in listed]
        start = ".".join(asked.split(".")[:2])
        return _nothing(path, device, f"No fleet has a value at `{path}`.", did_you_mean(start, names))
    # A name may contain dots: of `fleets.shops` and `fleets.shops.eu`, the longer one is meant.
    fleet, rest = max(inside, key=lambda pair: len(pair[0].name))
    cohorts = [cohort for cohort in fleet.cohorts if device is None or _has(cohort, device)]
    if not cohorts and device is not None:
        return _no_device(fleet, path, device)
    counts: dict[str, Finding] = {}
    for cohort in cohorts:
        for provenance, devices in origins(cohort, device):
            for key, setting in provenance.items():
                if _below(key, rest):
                    full = f"fleets.{fleet.name}.{key}"
                    # A value may be a list, so the origin's text stands for it as a key.
                    old = counts.get(f"{full} {setting!r}")
                    counts[f"{full} {setting!r}"] = Finding(full, setting, devices + (old.devices if old else 0))
    if not counts:
        return _no_value(fleet, cohorts, path, rest, device)
    findings = sorted(counts.items(), key=lambda pair: (pair[1].path, -pair[1].devices, pair[0]))
    return Answer(path, device, tuple(finding for _, finding in findings)), []


def _inside(path: str, fleet: Fleet) -> str | None:
    """What is left of `path` inside `fleet`; None when it leads elsewhere."""
    start = f"fleets.{fleet.name}"
    if path == start:
        return ""
    return path.removeprefix(start + ".") if path.startswith(start + ".") else None


def _below(key: str, rest: str) -> bool:
    return not rest or key == rest or key.startswith(rest + ".")


def _has(cohort: Cohort, device: str) -> bool:
    return any(member.id == device for member in cohort.devices)


def origins(cohort: Cohort, device: str | None) -> list[tuple[Mapping[str, Setting], int]]:
    """Each distinct provenance of the cohort with the number of devices that it holds for."""
    if device is not None:
        return [(cohort.provenance_of(device), 1)]
    first: dict[Hashable, Device] = {}
    counts: Counter[Hashable] = Counter()
    for member in cohort.devices:
        way = cohort.origins.way(member)
        first.setdefault(way, member)
        counts[way] += 1
    return [(cohort.origins.of(member), counts[way]) for way, member in first.items()]


def _no_device(fleet: Fleet, path: str, device: str) -> tuple[Answer, list[Diagnostic]]:
    if any(idle.id == device for idle in fleet.idle):
        message = f"No run of fleet `{fleet.name}` matches device `{device}`, so it has no values."
        return _nothing(path, device, message, "A run without `match:` runs on every device.")
    ids = {member.id for cohort in fleet.cohorts for member in cohort.devices}
    help = did_you_mean(device, comparable(ids))
    return _nothing(path, device, f"Fleet `{fleet.name}` has no device `{device}`.", help)


def _no_value(
    fleet: Fleet, cohorts: list[Cohort], path: str, rest: str, device: str | None
) -> tuple[Answer, list[Diagnostic]]:
    if device is not None and any(_below(key, rest) for cohort in fleet.cohorts for key in cohort.provenance):
        message = f"`{path}` has no value on `{device}`."
        return _nothing(path, device, message, "Other devices have one: leave out `--device` to see them.")
    if not cohorts:
        help = "`slmc ls devices` shows the devices and their labels."
        return _nothing(path, device, f"No run of fleet `{fleet.name}` matches a device, so it has no values.", help)
    known = {key for cohort in cohorts for key in cohort.provenance}
    return _nothing(path, device, f"Fleet `{fleet.name}` has no value at `{rest}`.", did_you_mean(rest, known))


def _nothing(path: str, device: str | None, message: str, help: str | None) -> tuple[Answer, list[Diagnostic]]:
    return Answer(path, device, ()), [Diagnostic(Code.UNKNOWN_REFERENCE, message, help=help)]
