"""Devices → cohorts: the configuration is worked out once for all devices that the same clauses match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.declared import Declared
from compiler.fleet.graph import Cohort, Device, DeviceClass, Run, Setting
from compiler.fleet.layers import OverlayLayer, RunLayer, merge
from compiler.fleet.match import numbers_of
from compiler.fleet.names import Names, short_hash

_OWN = -1
"""The number of a run's own values among the numbers of overlays."""

FIRST_PORT = 8080
"""Runs without a port of their own get this one and the next free ones, in the order of the runs."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The configuration of all devices of one class that the same clauses match."""

    runs: tuple[Run, ...]
    provenance: Mapping[str, Setting]
    makers: frozenset[int]
    """The overlays that make a value what it is."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal configurations. Models and recipes are equal when their names are."""
        return tuple(
            (run.name, run.model.id, run.recipe.name, run.threads, run.context_length, run.memory_limit, run.image,
             run.command, run.port, run.environment)
            for run in self.runs
        )  # fmt: skip


@dataclass(slots=True)
class Settler:
    """Works out configurations, and keeps what it found wrong on the way."""

    runs: tuple[RunLayer, ...]
    overlays: tuple[OverlayLayer, ...]
    declared: Declared
    fleet_settings: Mapping[str, Setting]
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def settle(self, matched: int) -> Settled:
        """The configuration where the clauses of `matched` match: bits of the runs, then of the overlays.

        A run whose model or recipe could not be resolved is left out; that was reported.
        """
        applied = [(number, self.overlays[number].values) for number in numbers_of(matched >> len(self.runs))]
        merged: list[tuple[RunLayer, dict[str, Setting]]] = []
        makers: set[int] = set()
        for bit, run in enumerate(self.runs):
            if matched >> bit & 1:
                over = [(number, values[run.name]) for number, values in applied if run.name in values]
                settings, made = merge([(_OWN, run.values), *over])
                makers |= made
                merged.append((run, settings))
        self._give_ports(merged)
        provenance = dict(self.fleet_settings)
        for run, settings in merged:
            provenance |= {f"runs.{run.name}.{key}": setting for key, setting in settings.items()}
        runs = tuple(found for run, settings in merged if (found := self._run(run, settings)))
        return Settled(runs, provenance, frozenset(makers - {_OWN}))

    def _give_ports(self, merged: list[tuple[RunLayer, dict[str, Setting]]]) -> None:
        """Report runs of one device that ask for the same port, then number those that ask for none."""
        taken: dict[int, tuple[RunLayer, Setting]] = {}
        for run, settings in merged:
            setting = settings["serve.port"]
            if setting.value is None:
                continue
            if setting.value in taken:
                self.diagnostics.append(_same_port(run.name, setting, *taken[setting.value]))
            taken.setdefault(setting.value, (run, setting))
        free = FIRST_PORT
        for run, settings in merged:
            if settings["serve.port"].value is None:
                while free in taken:
                    free += 1
                settings["serve.port"] = Setting(free, None)
                taken[free] = run, settings["serve.port"]

    def _run(self, run: RunLayer, settings: Mapping[str, Setting]) -> Run | None:
        value = {key: setting.value for key, setting in settings.items()}
        model = self.declared.models.get(value["model"])
        recipe = self.declared.recipes.get(value["recipe"])
        if model is None or recipe is None:
            return None
        prefix = "environment."
        environment = sorted((key.removeprefix(prefix), text) for key, text in value.items() if key.startswith(prefix))
        command = value["serve.command"]
        return Run(
            run.name,
            model,
            recipe,
            threads=value["threads"],
            context_length=value["contextLength"],
            memory_limit=value["memoryLimit"],
            image=value["serve.image"],
            command=None if command is None else tuple(command),
            port=value["serve.port"],
            environment=tuple(environment),
            place=run.place,
        )


def _same_port(name: str, setting: Setting, first: RunLayer, earlier: Setting) -> Diagnostic:
    assert setting.place is not None and earlier.place is not None
    return Diagnostic(
        Code.BAD_VALUE,
        f"`{name}` asks for port {setting.value}, which `{first.name}` has on the same device.",
        setting.place,
        help="Give each run of a device its own port, or none: slmc then takes the next free one.",
        related=((earlier.place, f"`{first.name}` asks for it here"),),
    )


@dataclass(slots=True)
class _Group:
    """Devices of one configuration, by the clauses that lead to it."""

    hardware: DeviceClass
    ways: dict[int, tuple[Settled, list[Device]]] = field(default_factory=dict)


def cohorts_of(
    by_signature: Mapping[tuple[str, int], list[Device]],
    usable: Mapping[str, DeviceClass],
    settler: Settler,
    names: Names,
) -> tuple[tuple[Cohort, ...], tuple[Device, ...]]:
    """Cohorts by name, and the devices on which nothing runs.

    `by_signature` has the devices by class and matching clauses (as bits).
    """
    settled: dict[int, Settled] = {}
    groups: dict[Any, _Group] = {}
    idle: list[Device] = []
    run_bits = (1 << len(settler.runs)) - 1
    for (class_name, matched), devices in sorted(by_signature.items()):
        if not matched & run_bits:
            idle += devices
            continue
        if matched not in settled:
            settled[matched] = settler.settle(matched)
        way = settled[matched]
        if way.runs:
            group = groups.setdefault((class_name, way.key), _Group(usable[class_name]))
            group.ways[matched] = way, devices
    return _named([_cohort(group, names) for group in groups.values()]), _by_id(idle)


def _cohort(group: _Group, names: Names) -> Cohort:
    """A cohort is called, and explained, after the first of the ways that lead to it."""
    (first, _), *others = group.ways.values()
    different = {
        device.id: way.provenance for way, devices in others if way.provenance != first.provenance for device in devices
    }
    return Cohort(
        names.name(group.hardware.name, [run.name for run in first.runs], first.makers),
        group.hardware,
        first.runs,
        _by_id(device for _, devices in group.ways.values() for device in devices),
        first.provenance,
        different,
    )


def _named(cohorts: list[Cohort]) -> tuple[Cohort, ...]:
    """Cohorts by name. Where words run together (`pi` at `5-a`, `pi-5` at `a`), a hash tells two apart."""
    shared: dict[str, list[Cohort]] = defaultdict(list)
    for cohort in cohorts:
        shared[cohort.name].append(cohort)
    told_apart = [
        cohort if len(shared[cohort.name]) == 1 else replace(cohort, name=f"{cohort.name}-{_identity(cohort)}")
        for cohort in cohorts
    ]
    return tuple(sorted(told_apart, key=lambda cohort: cohort.name))


def _identity(cohort: Cohort) -> str:
    key = Settled(cohort.runs, {}, frozenset()).key
    return short_hash([cohort.device_class.name, key])


def _by_id(devices: Iterable[Device]) -> tuple[Device, ...]:
    return tuple(sorted(devices, key=lambda device: device.id))
