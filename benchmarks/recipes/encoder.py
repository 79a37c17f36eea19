"""all-MiniLM-L6-v2, real weights: made smaller by slmc and by its peers, then all measured on the same texts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fleet.measure import Case, Figure
from benchmarks.fleet.measure import run as run_once
from benchmarks.recipes import rebuild, runtimes
from benchmarks.recipes.encoder_rows import PEERS, RECIPES, Aim, Recipe
from compiler.artifact.evaluation.metrics import EMBEDDINGS
from compiler.artifact.model.export import export
from compiler.artifact.process import run as run_task

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = ROOT / "blueprints" / "search" / "data"
HELD_OUT, CALIBRATION = DATA / "sentences.jsonl", DATA / "calibration.jsonl"
OTHER = ROOT / "blueprints" / "hello" / "data" / "heldout.jsonl"
"""Long texts of another kind: what was fitted to sentences shows on them."""

_QUICK = ("int8-dynamic per channel", "int8 blocks of 128, symmetric")
_MOST_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class Extent:
    """`checkpoint` is the model's folder as it came, `converters` that of the converters' environments."""

    checkpoint: Path
    quick: bool = False
    peers: bool = True
    converters: Path | None = None

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(one for one in RECIPES if one.name in _QUICK) if self.quick else RECIPES


@dataclass(frozen=True, slots=True)
class Line:
    """Sizes are bytes. `figures` are by metric, `speed` is the share of fp32's time; None where it was not measured."""

    name: str
    tool: str
    figure: Figure = field(default_factory=Figure)
    weights: int = 0
    """Of graph and weights."""
    size: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    other: float | None = None
    """Mean cosine on the other kind of text."""
    speed: float | None = None
    milliseconds: float | None = None
    aim: Aim | None = None


@dataclass(frozen=True, slots=True)
class Found:
    lines: list[Line]
    texts: int
    same: rebuild.Same | None


@dataclass(frozen=True, slots=True)
class _Built:
    name: str
    tool: str
    figure: Figure
    folder: Path
    aim: Aim | None = None


def run(extent: Extent, work: Path) -> Found:
    """Measure all of the extent in the folder `work`, which needs 2 GB."""
    model = work / "model"
    model.mkdir()
    assert export(str(extent.checkpoint), EMBEDDINGS, str(model)) == {}, "slmc cannot build the model's graph"
    built = [_Built("fp32", "as it came", Figure(), model)]
    built += [_by_slmc(recipe, model, work / f"slmc-{number}") for number, recipe in enumerate(extent.recipes)]
    for number, peer in enumerate(PEERS if extent.peers else ()):
        folder = work / f"peer-{number}"
        command = [str(HERE / "peer.py"), peer.tool, str(peer.bits), str(model / "model.onnx")]
        figure = _measured(f"onnxruntime {peer.name}", [*command, str(folder / "model.onnx")], folder)
        built.append(_Built(peer.name, "onnxruntime", figure, _completed(folder, model)))
    lines, texts = _lines(built)
    if extent.converters:
        made = runtimes.convert(extent.checkpoint, extent.converters, work)
        lines += [_converted(one, model, extent.converters) for one in made]
    same = None if extent.quick else rebuild.twice(ROOT, extent.checkpoint, extent.recipes, CALIBRATION, work)
    return Found(lines, texts, same)


def _by_slmc(recipe: Recipe, model: Path, folder: Path) -> _Built:
    steps = recipe.built(str(CALIBRATION))
    request = json.dumps({"steps": steps, "source": str(model / "model.onnx")})
    command = ["-m", "benchmarks.recipes.slmc_recipe", request, str(folder)]
    figure = _measured(f"slmc {recipe.name}", command, folder)
    return _Built(recipe.name, "slmc", figure, _completed(folder / "kept", model), recipe.aim)


def _measured(name: str, command: list[str], folder: Path) -> Figure:
    folder.mkdir()
    return run_once(Case(name, [sys.executable, *command], ROOT))


def _completed(folder: Path, model: Path) -> Path:
    """With the tokenizer and what else a device loads."""
    for path in model.iterdir() if folder.is_dir() else ():
        if not path.name.startswith("model.onnx"):
            shutil.copyfile(path, folder / path.name)
    return folder


def _lines(built: list[_Built]) -> tuple[list[Line], int]:
    """A line for each, in their order, and on how many texts quality was measured."""
    made = [one for one in built if not one.figure.failed]
    folders = [str(one.folder) for one in made]
    answer, others = (_evaluated(folders[0], folders, data) for data in (HELD_OUT, OTHER))
    quality = dict(zip(folders, zip(answer["candidates"], others["candidates"], strict=True), strict=True))
    timed = [folder for folder in folders if not any("failed" in one for one in quality[folder])]
    command = [sys.executable, "-m", "benchmarks.recipes.speed", *timed]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    speeds = dict(zip(timed, json.loads(told), strict=True))
    return [_line(one, quality, speeds) for one in built], answer["samples"]["texts"]


def _evaluated(reference: str, folders: list[str], data: Path, converters: str = "") -> Any:
    request = {"task": EMBEDDINGS, "reference": reference, "candidates": folders, "data": str(data)}
    return run_task("evaluate", {**request, "max_tokens": _MOST_TOKENS, "threads": 1, "converters": converters})


def _converted(one: runtimes.Converted, model: Path, converters: Path) -> Line:
    """Only on the held-out sentences: the other text is longer than such an artifact's input."""
    if one.figure.failed:
        return Line(one.precision, one.runtime, one.figure)
    [answer] = _evaluated(str(model), [str(one.folder)], HELD_OUT, str(converters))["candidates"]
    if "failed" in answer:
        return Line(one.precision, one.runtime, Figure(failed=answer["failed"]))
    size = sum(path.stat().st_size for path in one.folder.iterdir())
    figures = {metric: value[0] for metric, value in answer["figures"].items()}
    return Line(one.precision, one.runtime, one.figure, size, size, figures)


def _line(one: _Built, quality: Mapping[str, Any], speeds: Mapping[str, list[float]]) -> Line:
    answers = quality.get(str(one.folder), [{"failed": one.figure.failed}])
    if why := next((answer["failed"] for answer in answers if "failed" in answer), ""):
        return Line(one.name, one.tool, Figure(failed=why))
    sizes = {path.name: path.stat().st_size for path in one.folder.iterdir()}
    weights = sum(size for name, size in sizes.items() if name.startswith("model.onnx"))
    figures, other = ({metric: value[0] for metric, value in answer["figures"].items()} for answer in answers)
    measured = (weights, sum(sizes.values()), figures, other["cosineMean"])
    return Line(one.name, one.tool, one.figure, *measured, *speeds[str(one.folder)], one.aim)
