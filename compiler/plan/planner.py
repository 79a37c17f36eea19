"""Decide what to build: compare what the blueprint asks for with what the lock knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.base import digests
from compiler.fleet.graph import Fleet, Recipe, Run
from compiler.fleet.sources import ModelSource
from compiler.plan.actions import Action, Baseline, BuildKey, Locked, Plan, Reason, Verb


@dataclass(frozen=True, slots=True)
class Tools:
    """Versions that shape an artifact: of each kind of step, and of each library."""

    steps: Mapping[str, int]
    libraries: Mapping[str, str]


def plan(fleets: Iterable[Fleet], sources: Mapping[str, ModelSource], baseline: Baseline, tools: Tools) -> Plan:
    """One action for each distinct artifact that some run needs, in the order of their names.

    A model without an entry in `sources` could not be read; it was reported and is left out.
    """
    wanted = _wanted(fleets)
    actions = tuple(
        _action(name, run, sources[run.model.id], baseline, tools)
        for name, run in sorted(wanted.items())
        if run.model.id in sources
    )
    return Plan(actions, tuple(sorted(set(baseline.artifacts) - set(wanted))))


def step_name(kind: str, parameters: Mapping[str, Any]) -> str:
    """The name under which a step's version is kept: `optimize`, `quantize/int4`."""
    return f"{kind}/{parameters['scheme']}" if "scheme" in parameters else kind


def build_key(model: ModelSource, recipe: Recipe, tools: Tools) -> BuildKey:
    steps = tuple(
        {"kind": step.kind, "version": tools.steps[step_name(step.kind, step.parameters)], **step.parameters}
        for step in recipe.steps
    )
    return BuildKey(model.digest, steps, dict(tools.libraries))


def _wanted(fleets: Iterable[Fleet]) -> dict[str, Run]:
    return {run.artifact: run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}


def _action(name: str, run: Run, source: ModelSource, baseline: Baseline, tools: Tools) -> Action:
    inputs = build_key(source, run.recipe, tools)
    key = digests.of_value({"source": inputs.source, "steps": list(inputs.steps), "tools": dict(inputs.tools)})
    locked = baseline.artifacts.get(name)
    reason = _reason(locked, inputs, key, source)
    verb = Verb.KEEP if reason is Reason.UNCHANGED else Verb.BUILD
    return Action(verb, reason, name, run.model, run.recipe, source, inputs, key, locked)


def _reason(locked: Locked | None, inputs: BuildKey, key: str, source: ModelSource) -> Reason:
    """The first difference, in the order in which a reader would look for it."""
    if locked is None:
        return Reason.NEW
    if locked.source != inputs.source:
        return Reason.SOURCE
    if locked.steps != digests.of_value(list(inputs.steps)):
        return Reason.RECIPE
    if locked.evaluation != source.evaluation:
        return Reason.EVALUATION
    return Reason.UNCHANGED if locked.key == key else Reason.TOOLS
