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
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.step_spec import step_paths

_URL = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
"""Bytes. Linux file systems take no longer name, and no path of 4096, of which the workspace has a part."""


def normal(path: str) -> str:
    """One spelling for one path: `./models//a/` → `models/a`."""
    return posixpath.normpath(path)


def fault(workspace: Path, path: str, place: Span) -> Diagnostic | None:
    """What forbids `path` as a path inside the workspace, if anything. Whether it exists is not looked at."""
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
    named = (*_model_paths(blueprint), *recipe_paths(blueprint))
    return [found for path, place in named if (found := fault(workspace, path, place))]


def recipe_paths(blueprint: Blueprint) -> Iterator[tuple[str, Span]]:
    """The paths that the steps of all recipes name."""
    for name, recipe in blueprint.recipes.items():
        for number, step in enumerate(recipe.steps):
            for keys, path in step_paths(step):
                yield path, blueprint.places.value("recipes", name, "steps", number, *keys)


def _model_paths(blueprint: Blueprint) -> Iterator[tuple[str, Span]]:
    places = blueprint.places
    for name, model in blueprint.models.items():
        yield model.evaluate.data, places.value("models", name, "evaluate", "data")
        for version, spec in model.versions.items():
            yield spec.source, places.value("models", name, "versions", version, "source")


def _outside(message: str, place: Span) -> Diagnostic:
    return Diagnostic(
        Code.OUTSIDE_WORKSPACE,
        message,
        place,
        help="Paths are relative to the workspace and stay inside it; copy the files there.",
    )
