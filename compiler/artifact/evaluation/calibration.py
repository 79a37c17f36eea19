"""Calibration data, looked at before anything is built: only as far as a step reads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from compiler.artifact.evaluation import texts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint
from compiler.fleet.paths import fault

LEAST_TEXTS = 8
"""Ranges of fewer texts are those of chance. A recipe that asks for fewer samples gets by with what it asks for."""


def check_calibration(workspace: Path, blueprint: Blueprint) -> list[Diagnostic]:
    """What is wrong with the texts that the steps of all recipes name, used or not.

    A path that is not allowed or leads to no file is reported elsewhere. What the texts are to the model, only the step
    can say.
    """
    most: dict[str, tuple[int, Span]] = {}
    for path, samples, place in _named(blueprint):
        if samples > most.get(path, (0, place))[0]:
            most[path] = samples, place
    return [
        finding
        for path, (samples, place) in most.items()
        if fault(workspace, path, place) is None and (workspace / path).is_file()
        for finding in _findings(workspace, path, samples, place)
    ]


def _named(blueprint: Blueprint) -> Iterator[tuple[str, int, Span]]:
    """Path, how many texts are read at most, and place."""
    for name, recipe in blueprint.recipes.items():
        for number, step in enumerate(recipe.steps):
            if calibrate := getattr(step, "calibrate", None):
                place = blueprint.places.value("recipes", name, "steps", number, "calibrate", "data")
                yield calibrate.data, calibrate.samples, place


def _findings(workspace: Path, path: str, samples: int, place: Span) -> list[Diagnostic]:
    read = 0
    try:
        for _ in islice((text for _, text in texts.numbered(workspace / path) if text), samples):
            read += 1
    except texts.BadLine as error:
        return [error.at(path, Code.BAD_CALIBRATION_DATA, texts.HELP)]
    except OSError as error:
        return [Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", place)]
    if read < (least := min(samples, LEAST_TEXTS)):
        message = f"`{path}` has {read} texts; calibration takes at least {least}."
        return [Diagnostic(Code.BAD_CALIBRATION_DATA, message, place, help=texts.HELP)]
    return []
