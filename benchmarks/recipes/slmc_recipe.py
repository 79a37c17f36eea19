"""`python -m benchmarks.recipes.slmc_recipe REQUEST FOLDER`: what a compile does for a recipe.

Each step in a process of its own, then into a store below FOLDER: sha256 of every file, and a move. What is left in
FOLDER/kept are names of the store's files, to be looked at. REQUEST is JSON: `steps`, each with `name`, `parameters`
and perhaps `files`; `source`, the file to begin with; perhaps `converters`, the folder of their environments.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import Shape
from compiler.artifact.measuring import machine
from compiler.artifact.process import run
from compiler.artifact.store.store import Label, Store


def main() -> None:
    request, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    store, source = Store(folder / "store"), Path(request["source"])
    with store.scratch() as scratch:
        current, made = source, {}
        for number, step in enumerate(request["steps"]):
            current, made = _applied(number, step, current, request, scratch / str(number))
        shape = Shape(parameters=0, weight_bytes=made["weight_bytes"], kv_bytes_per_token=0, context_length=0)
        label = Label("key", "model", "model", "recipe", "source")
        stored = store.put(label, shape, {path.name: path for path in current.parent.iterdir()})
    store.lay_out(stored, folder / "kept")


def _applied(number: int, step: Any, current: Path, request: Any, folder: Path) -> tuple[Path, Any]:
    """The file that the step made, and what it says."""
    target, work = folder / "target", folder / "work"
    target.mkdir(parents=True)
    work.mkdir()
    bench = {
        "model": str(Path(request["source"]).parent),
        "scratch": str(work),
        "threads": machine.processors(),
        "files": step.get("files", {}),
        "before": number,
    }
    bench |= {"converters": request["converters"]} if "converters" in request else {}
    asked = {
        "name": step["name"],
        "parameters": step["parameters"],
        "source": str(current),
        "target": str(target),
        "bench": bench,
    }
    made = run("step", asked)
    if "refused" in made:
        sys.exit(f"{step['name']}: {made['reason']}")
    return target / made["graph"], made


if __name__ == "__main__":
    main()
