"""`python -m benchmarks.recipes.slmc_step SCHEME MODEL FOLDER`: what a compile does for one step of a recipe.

The step in a process of its own, then into a store below FOLDER: sha256 of every file, and a move. What is left in
FOLDER/kept are names of the store's files, to be looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

from compiler.artifact.artifact import Shape
from compiler.artifact.measuring import machine
from compiler.artifact.process import run
from compiler.artifact.store.store import Label, Store


def main() -> None:
    scheme, model, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    store = Store(folder / "store")
    with store.scratch() as scratch:
        target, work = scratch / "target", scratch / "work"
        target.mkdir()
        work.mkdir()
        bench = {"model": str(model.parent), "scratch": str(work), "threads": machine.processors(), "files": {}}
        request = {
            "name": f"quantize/{scheme}",
            "parameters": {"scheme": scheme},
            "source": str(model),
            "target": str(target),
            "bench": bench,
        }
        made = run("step", request)
        if "refused" in made:
            sys.exit(made["reason"])
        shape = Shape(parameters=0, weight_bytes=made["weight_bytes"], kv_bytes_per_token=0, context_length=0)
        label = Label("key", "decoder", "decoder", scheme, "source")
        stored = store.put(label, shape, {path.name: path for path in target.iterdir()})
    store.lay_out(stored, folder / "kept")


if __name__ == "__main__":
    main()
