"""Make one artifact: its recipe's steps on its model, in a process of their own, then into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact import machine
from compiler.artifact.configuration import CONFIG
from compiler.artifact.models import Models, Source, label_of, refuse_full_disk
from compiler.artifact.process import Failed, run
from compiler.artifact.steps.table import MAKE_ZEROS
from compiler.artifact.store import Remark, Store, Stored
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Step
from compiler.plan.actions import Action
from compiler.plan.planner import step_name


@dataclass(slots=True)
class Maker:
    """Builds what the store does not have."""

    workspace: Path
    store: Store
    progress: Callable[[str], None]
    models: Models = field(init=False)

    def __post_init__(self) -> None:
        self.models = Models(self.workspace, self.store, self.progress)

    def make(self, action: Action) -> tuple[Stored | None, list[Diagnostic]]:
        """Build the artifact and take it into the store. Raises Stop when the disk refuses."""
        source, diagnostics = self.models.source(action)
        if source is None:
            return None, diagnostics
        with self.store.scratch() as scratch:
            current, model = source.start(action.recipe)
            remarks, shape = [], source.shape
            for number, step in enumerate(action.recipe.steps):
                target, work = scratch / f"step-{number}", scratch / f"work-{number}"
                target.mkdir()
                work.mkdir()
                request = self._request(step, current, target, work, model)
                request["bench"]["zeros"] = any(_name(one) in MAKE_ZEROS for one in action.recipe.steps[:number])
                made = self._run(action, number, request)
                if "refused" in made:
                    refuse_full_disk(self.store, action)
                    return None, [_refused(action, number, made["refused"], made["reason"])]
                remarks += _remarks(number, made)
                current = target / made["graph"]
                shape = replace(shape, weight_bytes=made["weight_bytes"], **made["shape"])
            return self.store.put(label_of(action), shape, _files(action, source, current), tuple(remarks)), []

    def _request(self, step: Step, source: Path, target: Path, work: Path, model: Path) -> dict[str, Any]:
        """What `apply_step` gets."""
        return {
            "name": _name(step),
            "parameters": dict(step.parameters),
            "source": str(source),
            "target": str(target),
            "bench": {
                "model": str(model),
                "scratch": str(work),
                "threads": machine.processors(),
                "files": {file.key: str(self.workspace / file.path) for file in step.files},
            },
        }

    def _run(self, action: Action, number: int, request: dict[str, Any]) -> Any:
        """What `apply_step` gives, also when its process died."""
        self.progress(f"{action.name}: {request['name'].replace('/', ' ')} ({number + 1}/{len(action.recipe.steps)})")
        try:
            return run("step", request)
        except Failed as error:
            return {"refused": "STEP_FAILED", "reason": str(error)}


def _name(step: Step) -> str:
    return step_name(step.kind, step.parameters)


def _files(action: Action, source: Source, graph: Path) -> Mapping[str, Path]:
    """The artifact's files: what the last step made, and what the model's folder has beside its old graph."""
    carried = {file.name: source.folder / file.name for file in source.carried()}
    at = PurePosixPath(source.graph).parent
    made = {path.relative_to(graph.parent).as_posix(): path for path in graph.parent.rglob("*") if path.is_file()}
    # A configuration that a step wrote takes the place of the model's, wherever in the folder the graph lies.
    return carried | {name if name == CONFIG else (at / name).as_posix(): path for name, path in made.items()}


def _refused(action: Action, number: int, code: str, why: str) -> Diagnostic:
    step = action.recipe.steps[number]
    return Diagnostic(
        Code[code],
        f"Step {number + 1} (`{step.kind}`) of recipe `{action.recipe.name}` failed on `{action.model.id}`: {why}",
        step.place,
        help="The recipe does not suit this model. Nothing was written.",
    )


def _remarks(number: int, made: Mapping[str, Any]) -> list[Remark]:
    said = [Remark(number, code, message) for code, message in made["remarks"]]
    return said if made["changed"] else [*said, Remark(number, Code.STEP_IDLE.name, "")]


def remark(action: Action, remark: Remark) -> Diagnostic:
    """The warning for what a step had to say of itself."""
    step = action.recipe.steps[remark.step]
    what = f"Step {remark.step + 1} (`{step.kind}`) of recipe `{action.recipe.name}`"
    if remark.code == Code.STEP_IDLE.name:
        return Diagnostic(
            Code.STEP_IDLE,
            f"{what} changed nothing in `{action.model.id}`.",
            step.place,
            help="Leave the step out, or choose another.",
        )
    return Diagnostic(Code[remark.code], f"{what} on `{action.model.id}`: {remark.message}", step.place)
