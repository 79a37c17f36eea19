"""The same encoder for other runtimes: built by slmc's `convert`, run by the vendor's own runtime.

Needs the converters' environments: `slmc converters install litert`. One that is not installed has no rows. Its time
is not compared: it would be that of another runtime, in another process.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet.measure import Case, Figure
from benchmarks.fleet.measure import run as run_once
from compiler.artifact.converters import environment

ROOT = Path(__file__).parent.parent.parent

NAMES = {"litert": "LiteRT", "executorch": "ExecuTorch"}
GOALS = {"fp32": 0.999, "int8": 0.99}
"""Mean cosines, at least."""


@dataclass(frozen=True, slots=True)
class Converted:
    """`folder` has nothing but the artifact, if it did not fail."""

    runtime: str
    precision: str
    figure: Figure
    folder: Path


def convert(checkpoint: Path, converters: Path, work: Path) -> list[Converted]:
    """One for each runtime whose environment is below `converters`, and each precision."""
    found = []
    for name in NAMES:
        for precision in GOALS if environment.python(converters, name) else ():
            folder = work / f"{name}-{precision}"
            folder.mkdir()
            command = _command(name, precision, checkpoint, converters, folder)
            figure = run_once(Case(f"slmc {name} {precision}", command, ROOT))
            found.append(Converted(NAMES[name], precision, figure, folder / "kept"))
    return found


def _command(name: str, precision: str, checkpoint: Path, converters: Path, folder: Path) -> list[str]:
    step = {"name": f"convert/{name}", "parameters": {"format": name, "precision": precision}}
    source = str(checkpoint / "model.safetensors")
    request = json.dumps({"steps": [step], "source": source, "converters": str(converters)})
    return [sys.executable, "-m", "benchmarks.recipes.slmc_recipe", request, str(folder)]
