"""Apply one step of a recipe."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compiler.artifact import graphs
from compiler.artifact.reason import reason
from compiler.artifact.steps.step import Bench, Refused
from compiler.artifact.steps.table import STEPS
from compiler.base.spelling import snake


def apply_step(
    name: str,
    parameters: Mapping[str, Any],
    source: str,
    target: str,
    bench: Mapping[str, Any],
    tell: Callable[[float], None],
) -> dict[str, Any]:
    """Let the step `name` (a key of STEPS) make files in the folder `target` from the model file `source`.

    `bench` has the fields of Bench that are plain values. Gives the name of the `graph` made, whether anything
    `changed`, `remarks` as pairs of a Code's name and a sentence, the step's `report` and the `weight_bytes` of the
    result; or the name of a Code as `refused`, and the `reason`.
    """
    step = STEPS[name]
    graph = Path(target) / f"{Path(source).stem}{step.SUFFIX}"
    work = Bench(
        Path(bench["model"]),
        Path(bench["scratch"]),
        bench["threads"],
        tell,
        {key: Path(path) for key, path in bench["files"].items()},
        bench.get("before", 0),
        Path(bench["converters"]) if "converters" in bench else None,
    )
    if work.before and Path(source).suffix != ".onnx":
        made = Path(source).name
        return {"refused": "STEP_INAPPLICABLE", "reason": f"it needs an ONNX graph; the step before it made `{made}`."}
    configuration = step.Configuration(**{snake(key): value for key, value in parameters.items()})
    try:
        effect = step.apply(Path(source), graph, configuration, work)
    except Refused as error:
        return {"refused": error.code, "reason": str(error)}
    except OSError as error:
        return {"refused": "DISK_FULL" if error.errno == errno.ENOSPC else "STEP_FAILED", "reason": reason(error)}
    except Exception as error:
        return {"refused": "STEP_FAILED", "reason": reason(error)}
    return {
        "graph": graph.name,
        "changed": effect.changed,
        "remarks": [[remark.code, remark.message] for remark in effect.remarks],
        "report": dict(effect.report),
        "weight_bytes": _weight_bytes(graph),
    }


def _weight_bytes(graph: Path) -> int:
    """Of an ONNX file, what its initializers hold; of any other, its size with what lies beside it."""
    if graph.suffix != ".onnx":
        return sum(path.stat().st_size for path in graph.parent.rglob("*") if path.is_file())
    return graphs.weight_bytes(graphs.load(graph, weights=False))
