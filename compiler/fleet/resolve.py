"""Blueprint + inventories → Fleets: every reference followed, every device placed in a cohort."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint, Places
from compiler.blueprint.fleet_spec import FleetSpec
from compiler.fleet.catalogue import Catalogue
from compiler.fleet.classes import Classes, resolve_classes
from compiler.fleet.cohorts import Settler, cohorts_of
from compiler.fleet.declared import Declared
from compiler.fleet.graph import Device, Fleet, Privacy, Setting, TargetUse
from compiler.fleet.inventories import Inventories, twice
from compiler.fleet.inventory import Inventory
from compiler.fleet.layers import Layer, OverlayLayer, RunLayer, check_command, layer
from compiler.fleet.match import Clause, Matcher
from compiler.fleet.names import Names
from compiler.fleet.paths import check_paths
from compiler.fleet.reach import Reach


def resolve(workspace: Path, blueprint: Blueprint, catalogue: Catalogue) -> tuple[tuple[Fleet, ...], list[Diagnostic]]:
    """Link every fleet, by name, to what it runs and where.

    A name that resolves to nothing is reported where it stands and left out, so one typo
    costs one error and the rest is still checked. What refers to an entry that the
    blueprint stage refused, or that a file nobody could read may hold, is left out without a word.
    """
    classes, diagnostics = resolve_classes(blueprint, catalogue)
    diagnostics = check_paths(workspace, blueprint) + diagnostics
    declared = Declared(blueprint)
    inventories = Inventories(workspace, blueprint.places, classes, declared)
    scope = _Scope(blueprint.places, classes, declared, inventories)
    fleets = []
    for name, spec in sorted(blueprint.fleets.items()):
        fleet, found = _Linker(scope, name, spec).link()
        fleets.append(fleet)
        diagnostics += found
    diagnostics += _same_artifact_names(fleets)
    return tuple(fleets), list(dict.fromkeys(diagnostics))


@dataclass(slots=True)
class _Scope:
    """What all fleets of a workspace share. Each inventory file is read once."""

    places: Places
    classes: Classes
    declared: Declared
    inventories: Inventories


@dataclass(slots=True)
class _Linker:
    """One fleet on its way from names to objects."""

    scope: _Scope
    name: str
    spec: FleetSpec
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def path(self) -> tuple[str, str]:
        return ("fleets", self.name)

    def link(self) -> tuple[Fleet, list[Diagnostic]]:
        places = self.scope.places
        inventory, columns, found = self.scope.inventories.of(self.name, self.spec)
        self.diagnostics += found
        runs, overlays = self._runs(), self._overlays()
        clauses = [*(run.clause for run in runs), *(overlay.clause for overlay in overlays)]
        by_signature = _signatures(clauses, inventory)
        signatures = {matched for _, matched in by_signature}
        self.diagnostics += Reach(self.name, inventory, self.scope.classes, places).check(runs, overlays, signatures)
        settler = Settler(runs, overlays, self.scope.declared, self._settings())
        usable = self.scope.classes.usable
        cohorts, idle = cohorts_of(by_signature, usable, settler, Names(usable, runs, overlays))
        privacy = self.spec.privacy
        fleet = Fleet(
            self.name,
            self.spec.region,
            self._targets(),
            Privacy(privacy.data_class, privacy.residency, privacy.egress, tuple(privacy.telemetry)),
            cohorts,
            places.key(*self.path),
            idle,
            tuple(name for name, _ in columns.variables),
        )
        return fleet, self.diagnostics + settler.diagnostics

    def _targets(self) -> tuple[TargetUse, ...]:
        uses: dict[str, Span] = {}
        for index, name in enumerate(self.spec.targets):
            place = self.scope.places.value(*self.path, "targets", index)
            if name in uses:
                self.diagnostics.append(twice(name, place, uses[name]))
            uses.setdefault(name, place)
        return tuple(TargetUse(name, place) for name, place in uses.items())

    def _runs(self) -> tuple[RunLayer, ...]:
        places = self.scope.places
        layers = []
        for name, spec in self.spec.runs.items():
            path = (*self.path, "runs", name)
            values = self._checked(layer(spec, path, places), path)
            layers.append(RunLayer(name, Clause.of(path, spec.match), values, places.key(*path)))
        return tuple(layers)

    def _overlays(self) -> tuple[OverlayLayer, ...]:
        places = self.scope.places
        layers = []
        for index, spec in enumerate(self.spec.overlays):
            path = (*self.path, "overlays", index)
            values: dict[str, Layer] = {}
            for run, override in spec.runs.items():
                at = (*path, "runs", run)
                values[run] = self._checked(layer(override, at, places), at)
                if run not in self.spec.runs:
                    help = did_you_mean(run, self.spec.runs)
                    message = f"Fleet `{self.name}` has no run `{run}`."
                    self.diagnostics.append(Diagnostic(Code.UNKNOWN_REFERENCE, message, places.key(*at), help=help))
            layers.append(OverlayLayer(Clause.of(path, spec.match), values))
        return tuple(layers)

    def _checked(self, values: Layer, path: tuple[str | int, ...]) -> Layer:
        """The values, after a look at their references and its command."""
        declared = self.scope.declared
        for key, check in (("model", declared.check_model), ("recipe", declared.check_recipe)):
            if key in values:
                reference, place = values[key]
                if place is not None and (found := check(reference, place)):
                    self.diagnostics.append(found)
        self.diagnostics += check_command(values, path, self.scope.places)
        return values

    def _settings(self) -> dict[str, Setting]:
        """The values that all devices of the fleet share, with their places."""
        privacy = self.spec.privacy.model_dump(by_alias=True)
        values: dict[tuple[str, ...], Any] = {("region",): self.spec.region, ("targets",): self.spec.targets}
        values |= {("privacy", key): value for key, value in privacy.items()}
        places = self.scope.places
        settings = {}
        for inner, value in values.items():
            at = (*self.path, *inner)
            settings[".".join(inner)] = Setting(value, places.value(*at) if places.has(*at) else None)
        return settings


def _signatures(clauses: list[Clause], inventory: Inventory) -> dict[tuple[str, int], list[Device]]:
    """The devices by class and by which clauses match (as bits): all that their configuration depends on."""
    matcher = Matcher(clauses)
    found: dict[tuple[str, int], list[Device]] = defaultdict(list)
    for device in inventory.devices:
        found[device.device_class, matcher.clauses_of(device)].append(device)
    return found


def _same_artifact_names(fleets: list[Fleet]) -> list[Diagnostic]:
    """Report two pairs of model and recipe whose artifacts would be called the same (`a-1` + `b`, `a` + `1-b`)."""
    makers: dict[str, tuple[str, str]] = {}
    diagnostics = []
    for run in (run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs):
        maker = run.model.id, run.recipe.name
        first = makers.setdefault(run.artifact, maker)
        if first != maker:
            both = f"`{first[0]}` with `{first[1]}` and `{maker[0]}` with `{maker[1]}`"
            message = f"The artifacts of {both} would both be named `{run.artifact}`."
            diagnostics.append(Diagnostic(Code.BAD_VALUE, message, run.place, help="Rename one of the recipes."))
    return diagnostics
