"""The same encoder for other runtimes: built by slmc's `convert`, run by the vendor's own runtime.

Needs the converters' environments: `slmc converters install litert`. One that is not installed has no rows. Its time
is not compared: it would be that of another runtime, in another process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fleet.measure import Case
from benchmarks.fleet.measure import run as run_once
from compiler.artifact.converters import environment, vectors
from compiler.artifact.evaluation.embeddings import neighbours
from compiler.artifact.inference.encoder import Encoder

if TYPE_CHECKING:
    from benchmarks.recipes.encoder import Line

ROOT = Path(__file__).parent.parent.parent

NAMES = {"litert": "LiteRT", "executorch": "ExecuTorch"}
GOALS = {"fp32": 0.999, "int8": 0.99}
"""Mean cosines, at least."""


def lines(checkpoint: Path, converters: Path, held_out: Path, model: Path, work: Path) -> list[Line]:
    """Rows for what is installed below `converters`; `model` is the exported folder, to compare with."""
    from benchmarks.recipes.encoder import Line

    installed = [name for name in NAMES if environment.python(converters, name)]
    texts = [json.loads(line)["text"] for line in held_out.read_text(encoding="utf-8").splitlines()]
    original = np.array(list(Encoder(model, threads=1).embeddings(texts))) if installed else None
    found = []
    for name in installed:
        for precision in GOALS:
            folder = work / f"{name}-{precision}"
            folder.mkdir()
            figure = run_once(
                Case(f"slmc {name} {precision}", _command(name, precision, checkpoint, converters, folder), ROOT)
            )
            if figure.failed:
                found.append(Line(precision, NAMES[name], figure))
                continue
            [artifact] = [path for path in (folder / "kept").iterdir() if path.suffix in vectors.CONVERTERS]
            with tempfile.TemporaryDirectory(dir=work) as scratch:
                made = np.array(list(vectors.embeddings(converters, artifact, checkpoint, texts, Path(scratch))))
            size = artifact.stat().st_size
            found.append(Line(precision, NAMES[name], figure, size, size, dict(_figures(original, made))))
    return found


def _command(name: str, precision: str, checkpoint: Path, converters: Path, folder: Path) -> list[str]:
    step = {"name": f"convert/{name}", "parameters": {"format": name, "precision": precision}}
    source = str(checkpoint / "model.safetensors")
    request = json.dumps({"steps": [step], "source": source, "converters": str(converters)})
    return [sys.executable, "-m", "benchmarks.recipes.slmc_recipe", request, str(folder)]


def _figures(original: Any, made: Any) -> Iterator[tuple[str, float]]:
    cosines = (original * made).sum(axis=1)
    yield "cosineMean", float(cosines.mean())
    yield "cosineMin", float(cosines.min())
    yield "neighbourAgreement", float((neighbours(original) == neighbours(made)).mean())
