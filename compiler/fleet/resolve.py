"""Blueprint + inventories → Fleets: every reference followed, every device placed in a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.blueprint.blueprint import Blueprint
from compiler.fleet.catalogue import Catalogue
from compiler.fleet.claims import claimed_twice
from compiler.fleet.classes import resolve_classes
from compiler.fleet.declared import Declared
from compiler.fleet.graph import Fleet, artifact_name
from compiler.fleet.inventories import Inventories
from compiler.fleet.link import Linker, Scope
from compiler.fleet.paths import check_paths
from compiler.fleet.runtimes import check_runtimes
from compiler.fleet.step_rules import check_steps


def resolve(
    workspace: Path, blueprint: Blueprint, catalogue: Catalogue, rows: Mapping[str, str] | None = None
) -> tuple[tuple[Fleet, ...], list[Diagnostic]]:
    """Link every fleet, by name, to what it runs and where. With `rows`, for a part of the devices: see Inventories.

    A name that resolves to nothing is reported where it stands and left out, so one typo
    costs one error and the rest is still checked. What refers to an entry that the
    blueprint stage refused, or that a file nobody could read may hold, is left out without a word.
    """
    classes, diagnostics = resolve_classes(blueprint, catalogue)
    diagnostics = check_paths(workspace, blueprint) + diagnostics
    declared = Declared(blueprint)
    diagnostics += declared.check_choices() + check_steps(blueprint) + check_runtimes(blueprint)
    inventories = Inventories(workspace, blueprint.places, classes, declared, rows)
    scope = Scope(blueprint.places, classes, declared, inventories)
    fleets = []
    for name, spec in sorted(blueprint.fleets.items()):
        fleet, found = Linker(scope, name, spec).link()
        fleets.append(fleet)
        diagnostics += found
    diagnostics += claimed_twice(fleets)
    diagnostics += _same_artifact_names(fleets)
    return tuple(fleets), list(dict.fromkeys(diagnostics))


def _same_artifact_names(fleets: list[Fleet]) -> list[Diagnostic]:
    """Report two pairs of model and recipe whose artifacts would be called the same (`a-1` + `b`, `a` + `1-b`)."""
    makers: dict[str, tuple[str, str]] = {}
    diagnostics = []
    runs = (run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs)
    for run, recipe in ((one, recipe) for one in runs for recipe in one.recipe.candidates):
        maker, name = (run.model.id, recipe.name), artifact_name(run.model, recipe)
        first = makers.setdefault(name, maker)
        if first != maker:
            both = f"`{first[0]}` with `{first[1]}` and `{maker[0]}` with `{maker[1]}`"
            message = f"The artifacts of {both} would both be named `{name}`."
            diagnostics.append(Diagnostic(Code.BAD_VALUE, message, run.place, help="Rename one of the recipes."))
    return diagnostics
