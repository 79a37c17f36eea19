"""Decide what to build: compare what the blueprint asks for with what the lock knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
        _action(name, model, recipe, inputs, baseline, tools)
        for name, (model, recipe) in sorted(wanted.items(), key=lambda item: item[0])
        if model.id in inputs.models
    )
    return Plan(actions, tuple(sorted(set(baseline.artifacts) - set(wanted))))


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


def _wanted(fleets: Iterable[Fleet]) -> dict[str, tuple[Model, Recipe]]:
    runs = (run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs)
    return {artifact_name(run.model, recipe): (run.model, recipe) for run in runs for recipe in run.recipe.candidates}


def _action(name: str, model: Model, recipe: Recipe, inputs: Inputs, baseline: Baseline, tools: Tools) -> Action:
    source = inputs.models[model.id]
    key = build_key(model, recipe, inputs, tools)
    locked = baseline.artifacts.get(name)
    reason = _reason(locked, key, source)
    verb = Verb.KEEP if reason is Reason.UNCHANGED else Verb.BUILD
    return Action(verb, reason, name, model, recipe, source, key, locked)


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
