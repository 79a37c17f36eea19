"""Apply the steps of a recipe one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.artifact import graphs
from compiler.artifact.reason import reason
from compiler.artifact.steps.table import STEPS


def apply_all(source: str, target: str, steps: list[dict[str, Any]], tell: Callable[[Any], None]) -> dict[str, Any]:
    """Make the ONNX file `target` from `source`.

    `steps` are objects with `name` (a key of STEPS) and `parameters`. Gives `idle`, the indexes of
    steps without effect, and `weight_bytes` of the result; or `failed`, the index of the step that
    raised, and `reason`. Tells the index of each step before it begins.
    """
    idle = []
    current = Path(source)
    for number, step in enumerate(steps):
        tell(number)
        folder = Path(target).with_name(f"step-{number}")
        folder.mkdir(parents=True)
        result = folder / Path(target).name
        try:
            if not STEPS[step["name"]].apply(current, result, step["parameters"]):
                idle.append(number)
        except Exception as error:
            return {"failed": number, "reason": reason(error)}
        current = result
    graphs.move(current, Path(target))
    return {"idle": idle, "weight_bytes": graphs.weight_bytes(graphs.load(Path(target), weights=False))}
