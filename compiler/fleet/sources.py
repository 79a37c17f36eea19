"""The digests of what builds start from: model folders and evaluation data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint
from compiler.fleet.graph import Fleet, Model
from compiler.fleet.paths import fault


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a model's source folder; `name` is relative to the folder, with `/`."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a model version is made from. `digest` covers names and contents of all files."""

    model: str
    files: tuple[SourceFile, ...]
    digest: str
    evaluation: str
    """Digest of the evaluation data and of how much of it is read."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def models_of(fleets: Iterable[Fleet]) -> list[Model]:
    """Every model version that some run uses, by id."""
    found = {run.model.id: run.model for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}
    return [found[id] for id in sorted(found)]


def check_sources(workspace: Path, blueprint: Blueprint) -> list[Diagnostic]:
    """Report every declared source and evaluation file that is not there or cannot be one, used or not.

    A path that is not allowed at all was reported by `check_paths`.
    """
    diagnostics: list[Diagnostic] = []
    for name, model in blueprint.models.items():
        for version, spec in model.versions.items():
            place = blueprint.places.value("models", name, "versions", version, "source")
            if fault(workspace, spec.source, place) is None:
                diagnostics += _source_findings(workspace, spec.source, place)
        place = blueprint.places.value("models", name, "evaluate", "data")
        if fault(workspace, model.evaluate.data, place) is None:
            diagnostics += _file_findings(workspace, model.evaluate.data, place)
    return diagnostics


def _source_findings(workspace: Path, source: str, place: Span) -> list[Diagnostic]:
    folder = workspace / source
    if not folder.exists():
        return [_missing(f"`{source}` does not exist.", place)]
    if not folder.is_dir():
        help = "A source is a folder that onnxruntime-genai loads: name the folder."
        return [Diagnostic(Code.BAD_VALUE, f"`{source}` is not a folder.", place, help=help)]
    names = [f"{source}/{path.relative_to(folder).as_posix()}" for path in _walk(folder)]
    return [finding for name in names for finding in _file_findings(workspace, name, place)]


def _file_findings(workspace: Path, name: str, place: Span) -> list[Diagnostic]:
    """What is wrong with a file that a build would read. A pipe, say, would be waited for without end."""
    if found := fault(workspace, name, place):
        return [found]
    path = workspace / name
    if not path.exists():
        what = "is a symbolic link to nothing" if path.is_symlink() else "does not exist"
        return [_missing(f"`{name}` {what}.", place)]
    if not path.is_file():
        return [Diagnostic(Code.CANNOT_READ, f"`{name}` is not a regular file.", place)]
    return []


def _missing(message: str, place: Span) -> Diagnostic:
    help = "Paths are relative to the workspace, the folder that slmc is pointed at."
    return Diagnostic(Code.MISSING_FILE, message, place, help=help)


def fingerprint(
    workspace: Path, fleets: Iterable[Fleet], known: Mapping[str, ModelSource]
) -> tuple[dict[str, ModelSource], list[Diagnostic]]:
    """Take the digests of every model in use, by model id.

    External data is part of the folder and therefore of the digest: weights that change
    under an unchanged `.onnx` file are seen. A folder that is absent (models need not be in
    Git) counts as unchanged when `known` has its model.
    """
    sources: dict[str, ModelSource] = {}
    diagnostics: list[Diagnostic] = []
    for model in models_of(fleets):
        folder, data = workspace / model.source, workspace / model.evaluation_data
        last = known.get(model.id)
        try:
            if last is not None and not folder.exists():
                files, digest = last.files, last.digest
            else:
                files = _files(folder)
                digest = digests.of_value([[file.name, file.digest] for file in files])
            evaluation = last.evaluation if last is not None and not data.exists() else _evaluation(model, data)
        except OSError as error:
            diagnostics.append(_unreadable(model, error))
            continue
        sources[model.id] = ModelSource(model.id, files, digest, evaluation)
    return sources, diagnostics


def _evaluation(model: Model, data: Path) -> str:
    return digests.of_value([digests.of_file(data), model.evaluation_tokens])


def _unreadable(model: Model, error: OSError) -> Diagnostic:
    in_data = str(error.filename or "").endswith(model.evaluation_data)
    name, place = (model.evaluation_data, model.evaluation_place) if in_data else (model.source, model.place)
    return Diagnostic(Code.CANNOT_READ, f"`{name}` cannot be read: {error.strerror}.", place)


def _files(folder: Path) -> tuple[SourceFile, ...]:
    found = [
        SourceFile(path.relative_to(folder).as_posix(), path.stat().st_size, digests.of_file(path))
        for path in _walk(folder)
    ]
    return tuple(sorted(found, key=lambda file: file.name))


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a source folder but hidden ones, in no order."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))
