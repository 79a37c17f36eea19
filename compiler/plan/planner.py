"""Decide what to build: compare what the blueprint asks for with what the lock knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.base import digests
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Fleet, Model, Recipe, Step, artifact_name
from compiler.fleet.sources import ModelSource
from compiler.plan.actions import Action, Baseline, BuildKey, Locked, Plan, Reason, Verb


@dataclass(frozen=True, slots=True)
class Tools:
    """Versions that shape an artifact: of each kind of step, and of each library."""

    steps: Mapping[str, int | str]
    libraries: Mapping[str, str]


def plan(fleets: Iterable[Fleet], inputs: Inputs, baseline: Baseline, tools: Tools) -> Plan:
    """One action for each distinct artifact that some run needs, in the order of their names.

    A model without an entry in `inputs` could not be read; it was reported and is left out.
    """
    wanted = _wanted(fleets)
    actions = tuple(
        _action(name, wanted[name], inputs, baseline, tools)
        for name in sorted(wanted)
        if wanted[name].model.id in inputs.models
    )
    there = {name for name, locked in baseline.artifacts.items() if locked.digest}
    return Plan(actions, tuple(sorted(there - wanted.keys())))


def step_name(kind: str, parameters: Mapping[str, Any]) -> str:
    """The name under which a step's version is kept: `optimize`, `quantize/int4`, `prune/heads`, `convert/litert`."""
    variant = next((parameters[key] for key in ("scheme", "format", "method") if key in parameters), None)
    return f"{kind}/{variant}" if variant else kind


def build_key(model: Model, recipe: Recipe, inputs: Inputs, tools: Tools) -> BuildKey:
    """`inputs` has to have the model."""
    steps = tuple(_step_key(step, inputs.files, tools) for step in recipe.steps)
    return BuildKey(inputs.models[model.id].digest, model.task, steps, dict(tools.libraries))


def _step_key(step: Step, files: Mapping[str, str], tools: Tools) -> Mapping[str, Any]:
    version = tools.steps[step_name(step.kind, step.parameters)]
    read = {file.key: files[file.path] for file in step.files}
    return {"kind": step.kind, "version": version, **step.parameters, **({"files": read} if read else {})}


@dataclass(slots=True)
class _Wanted:
    """What an artifact is made from, and the choices that ask for it, by the texts that they are written with."""

    model: Model
    recipe: Recipe
    choices: dict[str, Recipe] = field(default_factory=dict)
    by_itself: bool = False


def _wanted(fleets: Iterable[Fleet]) -> dict[str, _Wanted]:
    found: dict[str, _Wanted] = {}
    for run in (run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs):
        for recipe in run.recipe.candidates:
            name = artifact_name(run.model, recipe)
            if (wanted := found.get(name)) is None:
                wanted = found[name] = _Wanted(run.model, recipe)
            if run.recipe.choice:
                wanted.choices[run.recipe.name] = run.recipe
            else:
                wanted.by_itself = True
    return found


def _action(name: str, wanted: _Wanted, inputs: Inputs, baseline: Baseline, tools: Tools) -> Action:
    source = inputs.models[wanted.model.id]
    key = build_key(wanted.model, wanted.recipe, inputs, tools)
    locked = baseline.artifacts.get(name)
    reason = _reason(locked, key, source)
    verb = Verb.KEEP if reason is Reason.UNCHANGED else Verb.BUILD
    choices = () if wanted.by_itself else tuple(wanted.choices[text] for text in sorted(wanted.choices))
    return Action(verb, reason, name, wanted.model, wanted.recipe, source, key, locked, choices)


def _reason(locked: Locked | None, inputs: BuildKey, source: ModelSource) -> Reason:
    """The first difference, in the order in which a reader would look for it."""
    if locked is None:
        return Reason.NEW
    if locked.source != inputs.source:
        return Reason.SOURCE
    if locked.task and locked.task != inputs.task:
        return Reason.TASK
    if locked.steps != digests.of_value(list(inputs.steps)):
        return Reason.RECIPE
    if locked.evaluation != source.evaluation:
        return Reason.EVALUATION
    return Reason.UNCHANGED if locked.key == inputs.digest else Reason.TOOLS
