"""Plans on the tiny model, and what `build` makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.artifact.making.build import build
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store.store import Store
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.graph import Model, Recipe, Step
from compiler.plan.actions import Baseline, Locked, Plan
from compiler.plan.planner import Tools, plan
from tests.artifact import tiny
from tests.values import MODEL, PLACE, RUN, fleet_of

INT4 = Step("quantize", {"scheme": "int4", "blockSize": 16, "symmetric": False}, PLACE)
OPTIMIZE = Step("optimize", {"level": "basic"}, PLACE)
INT8 = Step("quantize", {"scheme": "int8", "blockSize": 16, "symmetric": True}, PLACE)
SMALL, FAST = Recipe("small", (INT4,), (), PLACE), Recipe("fast", (INT8,), (), PLACE)
FOUR = Recipe("four", (OPTIMIZE, INT4), (), PLACE)
TOOLS = Tools(step_versions(), tool_versions())


def write_workspace(folder: Path) -> Path:
    """The model and data that `tests.values.MODEL` names."""
    tiny.write(folder / MODEL.source)
    (folder / MODEL.source / "README.md").write_text("For people.")
    (folder / MODEL.source / "LICENSE").write_text("Goes along.")
    tiny.write_texts(folder / MODEL.evaluation_data, tiny.some_texts())
    return folder


def planned(
    workspace: Path, *recipes: Recipe, locked: Mapping[str, Locked] | None = None, model: Model = MODEL
) -> Plan:
    fleets = [fleet_of(replace(RUN, recipe=recipe, model=model)) for recipe in recipes]
    sources, diagnostics = fingerprint(workspace, workspace / "no-store", fleets, {})
    assert diagnostics == []
    return plan(fleets, sources, Baseline(locked or {}), TOOLS)


def built(
    workspace: Path, store: Store, *recipes: Recipe, locked: Mapping[str, Locked] | None = None
) -> tuple[Artifacts, list[Diagnostic], list[str]]:
    said: list[str] = []
    wanted = planned(workspace, *recipes, locked=locked)
    artifacts, diagnostics = build(wanted, workspace, Store(store.root), said.append)
    return artifacts, diagnostics, said


def codes(diagnostics: list[Diagnostic]) -> list[Code]:
    return [diagnostic.code for diagnostic in diagnostics]


def facts(artifact: Artifact) -> Artifact:
    """What is the same on every run."""
    return replace(artifact, speed=None, built=False)


def lock_of(workspace: Path, artifact: Artifact, recipe: Recipe, **changes: Any) -> dict[str, Locked]:
    [action] = planned(workspace, recipe).actions
    steps = digests.of_value(list(action.inputs.steps))
    locked = Locked(
        action.key, action.source.digest, action.model.task, steps, action.source.evaluation, artifact.digest
    )
    return {action.name: replace(locked, **changes)}


def without_idle(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Without what is said of the tiny model: `optimize` finds nothing to do in it."""
    return [diagnostic for diagnostic in diagnostics if diagnostic.code is not Code.STEP_IDLE]


def begun(said: list[str]) -> list[str]:
    return [line for line in said if line.endswith(")")]


def kinds(store: Store) -> list[str]:
    return sorted(entry["artifactType"].split(".")[2] for entry in store.index()[0])
