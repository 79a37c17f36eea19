"""Paths that blueprints name: they stay inside the workspace, and are files rather than URLs."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.base.workspace import OUTPUT
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.step_spec import step_paths
from compiler.fleet.packages import Package, is_package

_URL = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_GIT = ".git"
"""What slmc and Git write. Files behind links into `.git` are git-annex's, and do not change."""
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
"""Bytes. Linux file systems take no longer name, and no path of 4096, of which the workspace has a part."""


def normal(path: str) -> str:
    """One spelling for one path or package: `./models//a/` → `models/a`."""
    package = Package.of(path)
    return posixpath.normpath(path) if package is None else str(package)


def source_fault(workspace: Path, source: str, place: Span) -> Diagnostic | None:
    """What forbids `source` as the source of a model: a path inside the workspace, or a package."""
    if not is_package(source):
        return fault(workspace, source, place)
    package = Package.of(source)
    if package is None or _UNPRINTABLE.search(source) or _too_long(source.encode()):
        help = "It is written `pypi://NAME/VERSION/FOLDER`: a package, its version, and a folder in its wheel."
        return Diagnostic(Code.BAD_VALUE, f"`{source}` is no package with a version and a folder.", place, help=help)
    return None


def fault(workspace: Path, path: str, place: Span) -> Diagnostic | None:
    """What forbids `path` as a path inside the workspace, if anything. Whether it exists is not looked at."""
    if is_package(path):
        help = "Put the files into the workspace, and write their path."
        return Diagnostic(Code.BAD_VALUE, "Only a model's `source` can be a package.", place, help=help)
    if url := _URL.match(path):
        return Diagnostic(
            Code.BAD_VALUE,
            f"`{url[0]}` sources are not supported yet.",
            place,
            help="Put the files into the workspace, and write their path.",
        )
    if _UNPRINTABLE.search(path) or _too_long(path.encode()):
        return Diagnostic(Code.BAD_VALUE, "No file can have this name.", place)
    if path.startswith("/") or _DRIVE.match(path):
        return _outside(f"`{path}` is an absolute path.", place)
    if ".." in path.split("/"):
        return _outside(f"`{path}` goes up with `..`.", place)
    if normal(path) == ".":
        help = "Name a file or folder in it."
        return Diagnostic(Code.BAD_VALUE, f"`{path}` is the workspace itself.", place, help=help)
    parts = normal(path).split("/")
    if parts[0] == OUTPUT or _GIT in parts:
        message = f"`{path}` lies in `{_GIT if _GIT in parts else OUTPUT}`, where compiles look for no changes."
        return Diagnostic(Code.BAD_VALUE, message, place, help="Keep the files elsewhere in the workspace.")
    root = os.path.realpath(workspace)
    if os.path.commonpath([root, os.path.realpath(os.path.join(root, path))]) != root:
        return _outside(f"`{path}` leads out of the workspace through a symbolic link.", place)
    return None


def _too_long(path: bytes) -> bool:
    return len(path) > _LONGEST_PATH or max(map(len, path.split(b"/"))) > _LONGEST_NAME


def check_paths(workspace: Path, blueprint: Blueprint) -> list[Diagnostic]:
    """The faults of all paths of all declared models and recipes, used or not.

    Inventories check theirs when they are read.
    """
    named = (*_data_paths(blueprint), *((path, place) for _, path, place in recipe_paths(blueprint)))
    sources = (source_fault(workspace, path, place) for path, place in source_paths(blueprint))
    return [found for found in (*(fault(workspace, path, place) for path, place in named), *sources) if found]


def recipe_paths(blueprint: Blueprint) -> Iterator[tuple[str, str, Span]]:
    """The paths that the steps of all recipes name, each with the parameter that it stands in and its place."""
    for name, recipe in blueprint.recipes.items():
        for number, step in enumerate(recipe.steps):
            for keys, path in step_paths(step):
                yield keys[0], path, blueprint.places.value("recipes", name, "steps", number, *keys)


def source_paths(blueprint: Blueprint) -> Iterator[tuple[str, Span]]:
    """The sources of all models, each with its place."""
    for name, model in blueprint.models.items():
        for version, spec in model.versions.items():
            yield spec.source, blueprint.places.value("models", name, "versions", version, "source")


def _data_paths(blueprint: Blueprint) -> Iterator[tuple[str, Span]]:
    for name, model in blueprint.models.items():
        yield model.evaluate.data, blueprint.places.value("models", name, "evaluate", "data")


def _outside(message: str, place: Span) -> Diagnostic:
    return Diagnostic(
        Code.OUTSIDE_WORKSPACE,
        message,
        place,
        help="Paths are relative to the workspace and stay inside it; copy the files there.",
    )
