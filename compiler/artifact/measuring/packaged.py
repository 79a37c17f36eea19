"""A text generator that is weights alone, as onnxruntime runs it: built in float32 by the step that packages them."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.configuration import DEFAULT_GRAPH
from compiler.artifact.converters import environment
from compiler.artifact.measuring import machine
from compiler.artifact.model.checkpoint import WEIGHTS
from compiler.artifact.process import run
from compiler.artifact.steps.package import genai
from compiler.base import files

DATA = f"{DEFAULT_GRAPH}.data"
PACKAGER = "genai"
"""The converter whose environment has the packager."""

_STEP = f"package/{PACKAGER}"
_PRECISION = "fp32"


def packager() -> str:
    """What stands for the way in which `package` fills a folder: its version holds the packages of the environment."""
    return f"{_STEP} {_PRECISION} {genai.VERSION}"


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
        "name": _STEP,
        "parameters": {"format": PACKAGER, "precision": _PRECISION},
        "source": str(checkpoint / WEIGHTS),
        "target": str(target),
        "bench": bench,
    }
    made = run("step", request)
    files.remove_folder(scratch)
    if "refused" in made:
        reason = made["reason"]
        return [{"code": made["refused"], "message": f"{reason[:1].upper()}{reason[1:].removesuffix('.')}."}]
    return []
