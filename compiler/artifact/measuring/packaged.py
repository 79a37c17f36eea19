"""A text generator that is weights alone, as onnxruntime runs it: built in float32 by the step that packages them."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.configuration import DEFAULT_GRAPH
from compiler.artifact.converters import environment
from compiler.artifact.measuring import machine
from compiler.artifact.model.checkpoint import WEIGHTS
from compiler.artifact.process import run
from compiler.base import files

DATA = f"{DEFAULT_GRAPH}.data"


def package(checkpoint: Path, target: Path, home: Path) -> list[dict[str, str]]:
    """Fill the empty folder `target` from the folder `checkpoint`; or say what is wrong, as `inspect` does.

    `home` is the root of the store that has the converters' environments. Raises Failed.
    """
    scratch = target.with_name("work")
    scratch.mkdir()
    bench = {
        "model": str(checkpoint),
        "scratch": str(scratch),
        "threads": machine.processors(),
        "files": {},
        "converters": str(home / environment.FOLDER),
    }
    request = {
        "name": "package/genai",
        "parameters": {"format": "genai", "precision": "fp32"},
        "source": str(checkpoint / WEIGHTS),
        "target": str(target),
        "bench": bench,
    }
    made = run("step", request)
    files.remove_folder(scratch)
    if "refused" in made:
        return [{"code": made["refused"], "message": f"{made['reason']}."}]
    return []
