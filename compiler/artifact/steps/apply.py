"""Apply one step of a recipe."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compiler.artifact.graph import graphs
from compiler.artifact.reason import reason
from compiler.artifact.steps.step import Bench, Refused, Remark
from compiler.artifact.steps.table import STEPS
from compiler.base import files
from compiler.base.spelling import snake

_LAST = {step.SUFFIX for step in STEPS.values()} - {".onnx"}
"""Suffixes of formats that no step reads."""


def apply_step(
    name: str,
    parameters: Mapping[str, Any],
    source: str,
    target: str,
    bench: Mapping[str, Any],
    tell: Callable[[float], None],
) -> dict[str, Any]:
    """Let the step `name` (a key of STEPS) make files in the folder `target` from the model file `source`.

    `bench` has the fields of Bench that are plain values, and `zeros` when an earlier step made zeros that this one is
    to keep. Gives the name of the `graph` made, whether anything `changed`, `remarks` as pairs of a Code's name and a
    sentence, the step's `report`, the fields of Shape that it changed as `shape`, and the `weight_bytes` of the result;
    or the name of a Code as `refused`, the `reason`, and perhaps the path of the `parameter` that does not suit.
    """
    step = STEPS[name]
    if Path(source).suffix in _LAST:
        return {
            "refused": "STEP_INAPPLICABLE",
            "reason": f"`{Path(source).name}` is the format of a runtime; the other steps go before that one.",
        }
    graph = Path(target) / f"{Path(source).stem}{step.SUFFIX}"
    work = _bench(bench, tell)
    configuration = step.Configuration(**{snake(key): value for key, value in parameters.items()})
    try:
        effect = step.apply(Path(source), graph, configuration, work)
        _carry(Path(source), graph, work.model)
        remarks = [*effect.remarks, *(_lost_zeros(Path(source), graph) if bench.get("zeros") else ())]
    except Refused as error:
        at = {"parameter": error.parameter} if error.parameter else {}
        return {"refused": error.code, "reason": str(error), **at}
    except OSError as error:
        return {"refused": "DISK_FULL" if error.errno == errno.ENOSPC else "STEP_FAILED", "reason": reason(error)}
    except Exception as error:
        return {"refused": "STEP_FAILED", "reason": reason(error)}
    return {
        "graph": graph.name,
        "changed": effect.changed,
        "remarks": [[remark.code, remark.message] for remark in remarks],
        "report": dict(effect.report),
        "shape": dict(effect.shape),
        "weight_bytes": _weight_bytes(graph),
    }


def _bench(plain: Mapping[str, Any], tell: Callable[[float], None]) -> Bench:
    return Bench(
        Path(plain["model"]),
        Path(plain["scratch"]),
        plain["threads"],
        tell,
        {key: Path(path) for key, path in plain["files"].items()},
        plain.get("before", 0),
        Path(plain["converters"]) if "converters" in plain else None,
    )


def _carry(source: Path, graph: Path, model: Path) -> None:
    """Take along what earlier steps left beside the graph; what lies in the model's own folder goes along anyway."""
    if source.is_relative_to(model):
        return
    old = {source, graphs.data_file(source)}
    for path in sorted(source.parent.rglob("*")):
        target = graph.parent / path.relative_to(source.parent)
        if path.is_file() and path not in old and not target.exists():
            files.link(path, target)


def _lost_zeros(source: Path, graph: Path) -> list[Remark]:
    """A remark when weights that were zero no longer are. Formats other than ONNX cannot be looked into."""
    from compiler.artifact.graph.sparsity import lost, zeros

    if {source.suffix, graph.suffix} != {".onnx"}:
        return []
    why = lost(zeros(source), zeros(graph))
    return [Remark(why, "LOST_SPARSITY")] if why else []


def _weight_bytes(graph: Path) -> int:
    """Of an ONNX file, what its initializers hold; of any other, its size with that of its weights beside it."""
    if graph.suffix != ".onnx":
        return sum(path.stat().st_size for path in graph.parent.glob(f"{graph.stem}.*"))
    return graphs.weight_bytes(graphs.load(graph, weights=False))
