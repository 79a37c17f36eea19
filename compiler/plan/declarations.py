"""Models, recipes and their gates that change under one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.base.span import Span
from compiler.fleet.graph import Fleet, Model, Recipe
from compiler.plan.changes import Change, Kind, Subject, Value

_Facts = Mapping[str, tuple[Any, Span]]
"""Path in the blueprint → value and where it stands."""


@dataclass(slots=True)
class _Used:
    """What the runs of one state need, with the number of devices."""

    models: dict[str, Model] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    devices: Counter[tuple[str, str]] = field(default_factory=Counter)


def declaration_changes(old: Iterable[Fleet], new: Iterable[Fleet]) -> Iterator[Change]:
    """One change for each line of a model or recipe that runs need before and after, and that differs."""
    before, after = _used(old), _used(new)
    for id in sorted(before.models.keys() & after.models.keys()):
        was, now = _model(before.models[id]), _model(after.models[id])
        yield from _differing(f"models.{id}", was, now, after.devices["model", id])
    for name in sorted(before.recipes.keys() & after.recipes.keys()):
        was, now = _recipe(before.recipes[name]), _recipe(after.recipes[name])
        yield from _differing(f"recipes.{name}", was, now, after.devices["recipe", name])


def _used(fleets: Iterable[Fleet]) -> _Used:
    used = _Used()
    for cohort in (cohort for fleet in fleets for cohort in fleet.cohorts):
        models = {run.model.id: run.model for run in cohort.runs}
        recipes = {run.recipe.name: run.recipe for run in cohort.runs}
        used.models |= models
        used.recipes |= recipes
        for key in (*(("model", id) for id in models), *(("recipe", name) for name in recipes)):
            used.devices[key] += len(cohort.devices)
    return used


def _model(model: Model) -> _Facts:
    place, data = model.place, model.evaluation_place
    return {
        "source": (model.source, place),
        "task": (model.task, place),
        "license": (model.license, place),
        "evaluate.data": (model.evaluation_data, data),
        "evaluate.maxTokens": (model.evaluation_tokens, data),
        "evaluate.baseline": (model.baseline, data),
    }


def _recipe(recipe: Recipe) -> _Facts:
    facts: dict[str, tuple[Any, Span]] = {
        f"steps.{number}": ({"kind": step.kind, **step.parameters}, step.place)
        for number, step in enumerate(recipe.steps)
    }
    return facts | {f"gates.{gate.metric}.{gate.bound}": (gate.limit, gate.place) for gate in recipe.gates}


def _differing(name: str, old: _Facts, new: _Facts, devices: int) -> Iterator[Change]:
    for path in sorted(old.keys() | new.keys()):
        was, old_place = old.get(path, (None, None))
        now, place = new.get(path, (None, None))
        if was != now:
            value = Value(f"{name}.{path}", was, now, devices)
            gone = old_place if place is None else None
            yield Change(Kind.CHANGE, Subject.DECLARATION, name, None, devices, (value,), place=place, was=gone)
