"""Steps one after the other, in this process, as a build takes them each in its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from compiler.artifact.steps.apply import apply_step
from compiler.artifact.steps.table import MAKE_ZEROS


def chained(source: Path, target: Path, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Make the file `target`, and what lies beside it, from the file `source` of a model's folder.

    Each step has a `name`, `parameters` and perhaps `files`. Gives `idle` (the numbers of steps without effect),
    `remarks` and `reports` of all steps, and the result's `weight_bytes`; or what the step that refused gives, with
    its number as `failed`.
    """
    work = target.parent / "work"
    current = source
    idle: list[int] = []
    remarks: list[Any] = []
    reports: list[Any] = []
    made: dict[str, Any] = {}
    for number, step in enumerate(steps):
        folder, scratch = work / f"step-{number}", work / f"scratch-{number}"
        folder.mkdir(parents=True)
        scratch.mkdir()
        bench: dict[str, Any] = {"model": str(source.parent), "scratch": str(scratch), "threads": 2}
        bench |= {"files": step.get("files", {}), "zeros": any(one["name"] in MAKE_ZEROS for one in steps[:number])}
        made = apply_step(step["name"], step["parameters"], str(current), str(folder), bench, lambda share: None)
        if "refused" in made:
            return {"failed": number, **made}
        idle += [] if made["changed"] else [number]
        remarks += made["remarks"]
        reports.append(made["report"])
        current = folder / made["graph"]
    for path in current.parent.iterdir():
        ours = path.name.startswith(current.name)
        path.replace(target.with_name(target.name + path.name.removeprefix(current.name) if ours else path.name))
    shutil.rmtree(work)
    shape = {"weight_bytes": made["weight_bytes"], **made["shape"]}
    return {"idle": idle, "remarks": remarks, "reports": reports, **shape}


def applied(name: str, parameters: dict[str, Any], source: Path, target: Path) -> dict[str, Any]:
    """What one step gives that makes files in the folder `target` from the graph `source`, in its model's folder."""
    target.mkdir(parents=True)
    scratch = target.with_name(f"{target.name}-scratch")
    scratch.mkdir()
    bench = {"model": str(source.parent), "scratch": str(scratch), "threads": 2, "files": {}}
    made = apply_step(name, parameters, str(source), str(target), bench, lambda share: None)
    shutil.rmtree(scratch)
    if made.get("shape") == {}:
        del made["shape"]
    return made
