"""One fleet of the blueprint → a Fleet: its inventory read, its runs and overlays laid over each other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import FleetSpec
from compiler.fleet.classes import Classes
from compiler.fleet.cohorts import Sorter
from compiler.fleet.conflicts import Conflicts
from compiler.fleet.declared import REFERENCES, Declared
from compiler.fleet.devices import Device, Setting
from compiler.fleet.explain import Explainer
from compiler.fleet.fields import PRIVACY, scope_of
from compiler.fleet.graph import Fleet, TargetUse
from compiler.fleet.inventories import Inventories, twice
from compiler.fleet.inventory import Inventory
from compiler.fleet.layers import Layers, OverlayLayer, RunLayer, check_command, own_values
from compiler.fleet.levels import RESERVED, Levels
from compiler.fleet.match import Clause, Matcher
from compiler.fleet.names import Names
from compiler.fleet.overridable import Overridable
from compiler.fleet.provenance import FleetOrigins
from compiler.fleet.reach import Reach
from compiler.fleet.rules import Edits, Rule
from compiler.fleet.settle import Settler, privacy_of
from compiler.fleet.target_use import target_use, target_value


@dataclass(slots=True)
class Scope:
    """What all fleets of a workspace share. Each inventory file is read once."""

    places: Places
    classes: Classes
    declared: Declared
    inventories: Inventories


@dataclass(slots=True)
class Linker:
    """One fleet on its way from names to objects."""

    scope: Scope
    name: str
    spec: FleetSpec
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def path(self) -> tuple[str, str]:
        return ("fleets", self.name)

    def link(self) -> tuple[Fleet, list[Diagnostic]]:
        """The fleet, and what is wrong with it."""
        places, usable = self.scope.places, self.scope.classes.usable
        inventory, columns, found = self.scope.inventories.of(self.name, self.spec)
        self.diagnostics += found
        layers = self._layers()
        matcher = Matcher(layers.clauses)
        ways = _ways(matcher, inventory)
        settler = Settler(layers, self.scope.declared)
        conflicts = Conflicts(layers)
        names = Names(usable, layers, Explainer(layers, settler))
        counts = {way: len(devices) for way, devices in ways.items()}
        origins = FleetOrigins(layers, matcher, self._shared(), counts)
        cohorts, idle = Sorter(usable, settler, names, conflicts, origins).cohorts(ways)
        reach = Reach(self.name, inventory, self.scope.classes, layers)
        self.diagnostics += reach.check({matched for _, matched in ways}, settler.removals)
        self.diagnostics += reach.check_order(self._order())
        self.diagnostics += conflicts.diagnostics()
        self.diagnostics += Overridable(self.name, self.spec, layers.levels, places).check(layers.overlays)
        fleet = Fleet(
            self.name,
            self.spec.region,
            self._targets(),
            privacy_of(layers.privacy),
            cohorts,
            places.key(*self.path),
            idle,
            tuple(name for name, _ in columns.variables),
        )
        return fleet, self.diagnostics + settler.diagnostics

    def _targets(self) -> tuple[TargetUse, ...]:
        uses: dict[str, TargetUse] = {}
        for index, spec in enumerate(self.spec.targets):
            use = target_use(spec, (*self.path, "targets", index), self.scope.places)
            if use.name in uses:
                self.diagnostics.append(twice(use.name, use.place, uses[use.name].place))
            uses.setdefault(use.name, use)
        return tuple(uses.values())

    def _layers(self) -> Layers:
        """Everything that the fleet lays over each other, checked as far as no device is needed for that."""
        places = self.scope.places
        privacy, spans = own_values(self.spec.privacy, (*self.path, PRIVACY), places)
        levels = Levels.of(self.spec.order)
        columns = {written: column for column, written in self.spec.columns.items()}
        return Layers(self._runs(), self._overlays(levels), privacy, spans, levels, places, columns)

    def _runs(self) -> tuple[RunLayer, ...]:
        places = self.scope.places
        layers = []
        for name, spec in self.spec.runs.items():
            path = (*self.path, "runs", name)
            values, spans = own_values(spec, path, places)
            for key in REFERENCES:
                self._check_reference(key, values[key], (*path, *key.split(".")))
            self.diagnostics += check_command(values["serve.command"], (*path, "serve", "command", 0), places)
            layers.append(RunLayer(name, scope_of(name), Clause.of(path, spec.match), values, spans, places.key(*path)))
        return tuple(layers)

    def _overlays(self, levels: Levels) -> tuple[OverlayLayer, ...]:
        """In the order of application: from the lowest rank up, of one rank as they are written."""
        reader = Edits(self.name, self.spec, self.scope.places)
        layers = []
        for number, spec in enumerate(self.spec.overlays):
            path = (*self.path, "overlays", number)
            edits = reader.of(spec, path)
            for edit in edits:
                if edit.target.field in REFERENCES and edit.rule is Rule.REPLACE:
                    self._check_reference(edit.target.field, edit.value, edit.at)
                elif edit.target.field == "serve.command" and edit.rule is Rule.REPLACE:
                    self.diagnostics += check_command(edit.value, (*edit.at, 0), self.scope.places)
            rank = levels.level(spec.match), spec.priority
            layers.append(OverlayLayer(number, Clause.of(path, spec.match), rank, edits))
        self.diagnostics += reader.diagnostics
        return tuple(sorted(layers, key=lambda layer: layer.rank))

    def _check_reference(self, field: str, reference: str | None, at: tuple[str | int, ...]) -> None:
        declared = self.scope.declared
        if reference is None or reference in declared.of(field):
            return
        if found := declared.check(field, reference, self.scope.places.value(*at)):
            self.diagnostics.append(found)

    def _order(self) -> list[tuple[str, Span]]:
        """The labels of `order`, if it is written, after a look at names that cannot be levels twice."""
        places = self.scope.places
        seen: dict[str, Span] = {}
        for index, label in enumerate(self.spec.order if places.has(*self.path, "order") else ()):
            place = places.value(*self.path, "order", index)
            if label in RESERVED:
                message = f"`{label}` is a level of its own, at a fixed rank."
                help = "The order lists labels, from general to specific."
                self.diagnostics.append(Diagnostic(Code.BAD_VALUE, message, place, help=help))
            elif label in seen:
                self.diagnostics.append(twice(label, place, seen[label]))
            else:
                seen[label] = place
        return list(seen.items())

    def _shared(self) -> dict[str, Setting]:
        """The values that all devices of the fleet share, with their places."""
        places = self.scope.places
        values: dict[str, Any] = {
            "region": self.spec.region,
            "targets": [target_value(spec) for spec in self.spec.targets],
        }
        return {
            key: Setting(value, places.value(*self.path, key) if places.has(*self.path, key) else None)
            for key, value in values.items()
        }


def _ways(matcher: Matcher, inventory: Inventory) -> dict[tuple[str, tuple[int, ...]], list[Device]]:
    """The devices by class and by the numbers of the clauses that match: all that the blueprint makes of them."""
    found: dict[tuple[str, tuple[int, ...]], list[Device]] = defaultdict(list)
    for device in inventory.devices:
        found[device.device_class, matcher.clauses_of(device)].append(device)
    return found
