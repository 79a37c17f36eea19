"""The digests of what builds start from: model folders, evaluation data, files that recipe steps read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Fleet, Model, StepFile
from compiler.fleet.packages import source_folder
from compiler.fleet.sources import ModelSource, listed


@dataclass(frozen=True, slots=True)
class Inputs:
    """Models by id, and by path the digests of the files and folders that steps read beside a model."""

    models: Mapping[str, ModelSource]
    files: Mapping[str, str] = field(default_factory=dict)


def models_of(fleets: Iterable[Fleet]) -> list[Model]:
    """Every model version that some run uses, by id."""
    found = {run.model.id: run.model for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}
    return [found[id] for id in sorted(found)]


def fingerprint(
    workspace: Path, store: Path, fleets: Iterable[Fleet], known: Mapping[str, ModelSource]
) -> tuple[Inputs, list[Diagnostic]]:
    """Take the digests of every model in use, and of the files that recipes in use name.

    External data is part of the folder and therefore of the digest: weights that change
    under an unchanged `.onnx` file are seen. A folder that is absent (models need not be in
    Git, nor packages be fetched) counts as unchanged when `known` has its model.
    """
    sources: dict[str, ModelSource] = {}
    diagnostics: list[Diagnostic] = []
    for model in models_of(fleets):
        folder, data = source_folder(workspace, store, model.source), workspace / model.evaluation_data
        last = known.get(model.id)
        try:
            if last is not None and not folder.exists():
                files, digest = last.files, last.digest
            else:
                files = listed(folder)
                digest = digests.of_value([[file.name, file.digest] for file in files])
            evaluation = last.evaluation if last is not None and not data.exists() else _evaluation(model, data)
        except OSError as error:
            diagnostics.append(_unreadable(model, error))
            continue
        sources[model.id] = ModelSource(model.id, files, digest, evaluation)
    return Inputs(sources, _step_digests(workspace, fleets, diagnostics)), diagnostics


def _evaluation(model: Model, data: Path) -> str:
    return digests.of_value([digests.of_file(data), model.evaluation_tokens, model.baseline])


def _unreadable(model: Model, error: OSError) -> Diagnostic:
    in_data = str(error.filename or "").endswith(model.evaluation_data)
    name, place = (model.evaluation_data, model.evaluation_place) if in_data else (model.source, model.place)
    return Diagnostic(Code.CANNOT_READ, f"`{name}` cannot be read: {error.strerror}.", place)


def _step_digests(workspace: Path, fleets: Iterable[Fleet], diagnostics: list[Diagnostic]) -> dict[str, str]:
    found = {file.path: _digest(workspace, file, diagnostics) for file in _step_files(fleets)}
    return {path: digest for path, digest in found.items() if digest is not None}


def _step_files(fleets: Iterable[Fleet]) -> list[StepFile]:
    """What the steps of recipes in use name, each path once."""
    used = (run.recipe for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs)
    recipes = {recipe.name: recipe for one in used for recipe in one.candidates}
    named = [file for _, recipe in sorted(recipes.items()) for step in recipe.steps for file in step.files]
    return list({file.path: file for file in named}.values())


def _digest(workspace: Path, file: StepFile, diagnostics: list[Diagnostic]) -> str | None:
    path = workspace / file.path
    try:
        if path.is_dir():
            return digests.of_value([[inner.name, inner.digest] for inner in listed(path)])
        return digests.of_file(path)
    except OSError as error:
        message = f"`{file.path}` cannot be read: {error.strerror}."
        diagnostics.append(Diagnostic(Code.CANNOT_READ, message, file.place))
        return None
