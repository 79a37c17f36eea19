"""Make one artifact: its recipe's steps on its model, in a process of their own, then into the store."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact import layout, machine, texts
from compiler.artifact.artifact import Shape
from compiler.artifact.converters import environment
from compiler.artifact.process import Failed, run
from compiler.artifact.store import Label, Remark, Store, Stored
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Step
from compiler.fleet.sources import ModelSource, SourceFile
from compiler.plan.actions import Action
from compiler.plan.planner import step_name

INSPECT_VERSION = 2
_READMES = ("readme", "readme.md", "readme.txt", "readme.rst")
"""Files for people stay behind, except licences and notices: most licences want them to go along."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was inspected: its folder, its ONNX file, the files of its external data, its shape."""

    folder: Path
    graph: str
    data: tuple[str, ...]
    shape: Shape

    def carried(self, source: ModelSource) -> list[SourceFile]:
        """The files that go into every artifact as they are: what a device loads beside the graph."""
        weights = {self.graph, *self.data}
        return [f for f in source.files if f.name not in weights and f.name.lower() not in _READMES]

    def size(self, source: ModelSource) -> int:
        """Bytes of the model as a device would load it unoptimized."""
        graph = [file for file in source.files if file.name in {self.graph, *self.data}]
        return sum(file.size for file in [*graph, *self.carried(source)])


@dataclass(slots=True)
class Maker:
    """Builds what the store does not have. One for a compile, so that a model is inspected once."""

    workspace: Path
    store: Store
    progress: Callable[[str], None]
    findings: list[Diagnostic] = field(default_factory=list)
    """Of the store, which do not make a model unusable."""
    _sources: dict[str, Source | list[Diagnostic]] = field(default_factory=dict)

    def source(self, action: Action) -> tuple[Source | None, list[Diagnostic]]:
        """The action's model. What is wrong with it or its evaluation data is said once."""
        known = self._sources.get(action.model.id)
        if known is None:
            known = self._sources[action.model.id] = self._inspect(action)
            return (None, known) if isinstance(known, list) else (known, [])
        return (None, []) if isinstance(known, list) else (known, [])

    def make(self, action: Action) -> tuple[Stored | None, list[Diagnostic]]:
        """Build the artifact and take it into the store. Raises Stop when the disk refuses."""
        source, diagnostics = self.source(action)
        if source is None:
            return None, diagnostics
        with self.store.scratch() as scratch:
            current, made, remarks = source.folder / source.graph, None, []
            for number, step in enumerate(action.recipe.steps):
                target, work = scratch / f"step-{number}", scratch / f"work-{number}"
                target.mkdir()
                work.mkdir()
                request = self._request(step, current, target, work, source.folder)
                request["bench"]["before"] = number
                made = self._run(action, number, request)
                if "refused" in made:
                    self._refuse_full_disk(action)
                    return None, [_refused(action, number, made["refused"], made["reason"])]
                remarks += _remarks(number, made)
                current = target / made["graph"]
            shape = replace(source.shape, weight_bytes=made["weight_bytes"]) if made else source.shape
            return self.store.put(_label(action), shape, _files(action, source, current), tuple(remarks)), []

    def _request(self, step: Step, source: Path, target: Path, work: Path, model: Path) -> dict[str, Any]:
        """What `apply_step` gets."""
        return {
            "name": step_name(step.kind, step.parameters),
            "parameters": dict(step.parameters),
            "source": str(source),
            "target": str(target),
            "bench": {
                "model": str(model),
                "scratch": str(work),
                "threads": machine.processors(),
                "files": {file.key: str(self.workspace / file.path) for file in step.files},
                "converters": str(self.store.root / environment.FOLDER),
            },
        }

    def _run(self, action: Action, number: int, request: dict[str, Any]) -> Any:
        """What `apply_step` gives, also when its process died."""
        self.progress(f"{action.name}: {request['name'].replace('/', ' ')} ({number + 1}/{len(action.recipe.steps)})")
        try:
            return run("step", request)
        except Failed as error:
            return {"refused": "STEP_FAILED", "reason": str(error)}

    def _refuse_full_disk(self, action: Action) -> None:
        """Raise Stop when a step may have failed for want of space, which libraries do not say."""
        if shutil.disk_usage(self.store.root).free < action.source.size:
            with files.refusals(self.store.root):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _inspect(self, action: Action) -> Source | list[Diagnostic]:
        folder = self.workspace / action.model.source
        key = digests.of_value(["inspect", INSPECT_VERSION, action.source.digest, action.source.evaluation])
        found, damage = self.store.record(layout.ORIGINAL, key)
        self.findings += damage
        if found is None:
            try:
                found = run("inspect", {"folder": str(folder)})
            except Failed as error:
                found = {"problems": [{"code": "NOT_ONNX", "message": f"The model cannot be read: {error}."}]}
            problems = [_unusable(action, problem) for problem in found.get("problems", [])]
            if findings := problems + texts.check(self.workspace, action.model):
                return findings
            label = Label(key, action.name, action.model.id, action.recipe.name, action.source.digest)
            self.store.put_record(layout.ORIGINAL, label, found, None)
        return Source(folder, found["model"], tuple(found["data"]), Shape(**found["shape"]))


def _label(action: Action) -> Label:
    return Label(action.key, action.name, action.model.id, action.recipe.name, action.source.digest)


def _files(action: Action, source: Source, graph: Path) -> Mapping[str, Path]:
    """The artifact's files: what the last step made, and what the model's folder has beside its old graph."""
    carried = {file.name: source.folder / file.name for file in source.carried(action.source)}
    at = PurePosixPath(source.graph).parent
    made = {
        (at / path.relative_to(graph.parent)).as_posix(): path for path in graph.parent.rglob("*") if path.is_file()
    }
    return carried | made


def _unusable(action: Action, problem: Mapping[str, str]) -> Diagnostic:
    return Diagnostic(
        Code[problem["code"]],
        problem["message"],
        action.model.place,
        help=f"`source` is a folder that onnxruntime-genai loads. `{action.model.source}` is not one as it is.",
    )


def _refused(action: Action, number: int, code: str, why: str) -> Diagnostic:
    step = action.recipe.steps[number]
    return Diagnostic(
        Code[code],
        f"Step {number + 1} (`{step.kind}`) of recipe `{action.recipe.name}` failed on `{action.model.id}`: {why}",
        step.place,
        help=_install(step) if code == Code.CONVERTER_MISSING.name else _UNSUITABLE,
    )


_UNSUITABLE = "The recipe does not suit this model. Nothing was written."


def _install(step: Step) -> str:
    return f"`slmc converters install {step.parameters['format']}` makes it, once for all workspaces of this store."


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
