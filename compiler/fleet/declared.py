"""Models, recipes and runtimes as the blueprint declares them: references to them become objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint, Places
from compiler.blueprint.fleet_spec import ChoiceSpec
from compiler.blueprint.recipe_spec import RecipeSpec
from compiler.blueprint.step_spec import StepSpec, step_paths
from compiler.fleet.graph import Gate, Model, Recipe, Runtime, Step, StepFile
from compiler.fleet.paths import normal
from compiler.fleet.places import part
from compiler.fleet.runtimes import runtimes_of

REFERENCES = ("model", "recipe", "serve.runtime")
"""The fields of a run that name something declared."""


@dataclass
class Declared:
    """Looks up models, recipes and runtimes by reference; each object is built once."""

    blueprint: Blueprint
    models: dict[str, Model] = field(init=False)
    recipes: dict[str, Recipe] = field(init=False)
    choices: dict[str, Recipe] = field(init=False)
    """By the text that each is written with; only those all of whose recipes are declared."""

    def __post_init__(self) -> None:
        self.models = {model.id: model for model in _models(self.blueprint)}
        self.recipes = {name: _recipe(name, spec, self.blueprint) for name, spec in self.blueprint.recipes.items()}
        self.choices = {}
        for path, choice in choices(self.blueprint):
            if all(name in self.recipes for name in choice.choose):
                names = dict.fromkeys(choice.choose)
                candidates = tuple(self.recipes[name] for name in names)
                value = self.blueprint.places.value
                places = tuple(value(*path, "choose", choice.choose.index(name)) for name in names)
                made = Recipe(choice.written, (), (), value(*path), candidates, choice.minimize, places)
                self.choices.setdefault(choice.written, made)

    @cached_property
    def runtimes(self) -> dict[str, Runtime]:
        """Read when the first run names one: slmc's own are a file of the catalogue."""
        return runtimes_of(self.blueprint)

    def of(self, field: str) -> Mapping[str, Any]:
        """What a field that is one of `REFERENCES` can name, but for choices."""
        if field == "serve.runtime":
            return self.runtimes
        return self.models if field == "model" else self.recipes

    def recipe(self, reference: str) -> Recipe | None:
        """The recipe of this name, or the choice that is written like this."""
        return self.recipes.get(reference) or self.choices.get(reference)

    def check_choices(self) -> list[Diagnostic]:
        """Every name that a choice of some fleet or overlay misspells or repeats."""
        found: list[Diagnostic] = []
        for path, choice in choices(self.blueprint):
            for number, name in enumerate(choice.choose):
                place = self.blueprint.places.value(*path, "choose", number)
                if name in choice.choose[:number]:
                    found.append(Diagnostic(Code.BAD_VALUE, f"`{name}` is listed twice.", place))
                elif wrong := self.check_recipe(name, place):
                    found.append(wrong)
        return found

    def check(self, field: str, reference: str, place: Span) -> Diagnostic | None:
        """What is wrong with what a field that is one of `REFERENCES` refers to, if anything."""
        if field == "serve.runtime":
            return self._undeclared("runtimes", reference, place)
        return self.check_model(reference, place) if field == "model" else self.check_recipe(reference, place)

    def check_model(self, reference: str, place: Span) -> Diagnostic | None:
        """What is wrong with `name@version`: the name or the version, underlined alone."""
        name, _, version = reference.partition("@")
        if reference in self.models:
            return None
        if name not in self.blueprint.models:
            return self._undeclared("models", name, part(place, reference, 0, len(name)))
        versions = self.blueprint.models[name].versions
        span = part(place, reference, len(name) + 1, len(version))
        message = f"Model `{name}` has no version `{version}`."
        return Diagnostic(Code.UNKNOWN_REFERENCE, message, span, help=did_you_mean(version, versions))

    def check_recipe(self, name: str, place: Span) -> Diagnostic | None:
        """What is wrong with a recipe's name. The names in a choice are looked at by `check_choices`."""
        return None if name in self.recipes or name.startswith("{") else self._undeclared("recipes", name, place)

    def _undeclared(self, section: str, name: str, place: Span) -> Diagnostic | None:
        """The diagnostic for an unknown name; None when it is declared with errors, or where nobody could read it."""
        valid = {"models": self.blueprint.models, "recipes": self.blueprint.recipes, "runtimes": self.runtimes}
        known = {*valid[section], *(other for kind, other in self.blueprint.broken if kind == section)}
        if name in known or not self.blueprint.complete:
            return None
        help = did_you_mean(name, known, None if known else f"Declare it under `{section}:`.")
        return Diagnostic(Code.UNKNOWN_REFERENCE, f"No {section[:-1]} is named `{name}`.", place, help=help)


def choices(blueprint: Blueprint) -> Iterator[tuple[tuple[str | int, ...], ChoiceSpec]]:
    """Every choice of recipes in a fleet or an overlay, with its path."""
    for name, fleet in blueprint.fleets.items():
        for run, spec in fleet.runs.items():
            if isinstance(spec.recipe, ChoiceSpec):
                yield ("fleets", name, "runs", run, "recipe"), spec.recipe
        for number, overlay in enumerate(fleet.overlays):
            for run, over in overlay.runs.items():
                if isinstance(over.recipe, ChoiceSpec):
                    yield ("fleets", name, "overlays", number, "runs", run, "recipe"), over.recipe


def _models(blueprint: Blueprint) -> Iterator[Model]:
    for name, spec in blueprint.models.items():
        for version, sources in spec.versions.items():
            yield Model(
                name,
                version,
                task=spec.task,
                license=spec.license,
                source=normal(sources.source),
                evaluation_data=normal(spec.evaluate.data),
                evaluation_tokens=spec.evaluate.max_tokens,
                place=blueprint.places.value("models", name, "versions", version, "source"),
                evaluation_place=blueprint.places.value("models", name, "evaluate", "data"),
                baseline=spec.evaluate.baseline,
            )


_FORMATS = {"tensorflow-lite": "litert", "pytorch-mobile": "executorch"}
"""Names that formats had before: recipes with either name are the same."""


def _parameters(step: StepSpec) -> dict[str, Any]:
    given = step.model_dump(by_alias=True, exclude={"kind"}, exclude_none=True)
    return given | {"format": _FORMATS.get(given["format"], given["format"])} if "format" in given else given


def _written(
    value: Any, at: tuple[str | int, ...], places: Places, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Span]]:
    """The paths and places of the parameters that stand in the document: defaults do not."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in parts:
        if places.has(*at, key):
            yield ".".join((*path, str(key))), places.value(*at, key)
            yield from _written(inner, (*at, key), places, (*path, str(key)))


def _recipe(name: str, spec: RecipeSpec, blueprint: Blueprint) -> Recipe:
    """Gates come in the order in which the format lists them, not in the order of writing."""
    places = blueprint.places
    steps = tuple(
        Step(
            step.kind,
            _parameters(step),
            places.value("recipes", name, "steps", index),
            tuple(
                StepFile(".".join(path), normal(value), places.value("recipes", name, "steps", index, *path))
                for path, value in step_paths(step)
            ),
            dict(_written(_parameters(step), ("recipes", name, "steps", index), places)),
        )
        for index, step in enumerate(spec.steps)
    )
    gates = tuple(
        Gate(metric, bound, float(limit), places.value("recipes", name, "gates", metric, bound))
        for metric, bounds in spec.gates.model_dump(by_alias=True, exclude_none=True).items()
        for bound, limit in bounds.items()
    )
    return Recipe(name, steps, gates, places.key("recipes", name))
