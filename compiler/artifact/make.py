"""Make one artifact: its recipe's steps on its model, in a process of their own, then into the store."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact import exports, layout, machine, texts
from compiler.artifact.artifact import Shape
from compiler.artifact.checkpoint import WEIGHTS
from compiler.artifact.process import Failed, run
from compiler.artifact.store import Label, Remark, Store, Stored
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Recipe, Step
from compiler.fleet.packages import source_folder
from compiler.fleet.sources import SourceFile
from compiler.plan.actions import Action
from compiler.plan.planner import step_name

INSPECT_VERSION = 3
_READMES = ("readme", "readme.md", "readme.txt", "readme.rst")
"""Files for people stay behind, except licences and notices: most licences want them to go along."""


_FORMATS_FROM_ONNX = ("openvino",)

_ENCODERS = "a folder with `model.onnx` and `tokenizer.json`, or one as Hugging Face lays it out"
_FOLDERS = {
    "text-generation": "a folder that onnxruntime-genai loads",
    "embeddings": _ENCODERS,
    "text-classification": _ENCODERS,
}
"""What a source is, by task."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was inspected: its folder, its ONNX file, the files of its external data, its shape.

    Of a model that had to be exported, `folder` is the export, and `checkpoint` the folder that it was made from.
    """

    folder: Path
    files: tuple[SourceFile, ...]
    graph: str
    data: tuple[str, ...]
    shape: Shape
    checkpoint: Path | None = None

    def start(self, recipe: Recipe) -> Path:
        """The file that the recipe's first step gets; of a Hugging Face folder with shards, one that is not there."""
        if self.checkpoint and reads_checkpoint(recipe):
            return self.checkpoint / WEIGHTS
        return self.folder / self.graph

    def carried(self) -> list[SourceFile]:
        """The files that go into every artifact as they are: what a device loads beside the graph."""
        weights = {self.graph, *self.data}
        return [f for f in self.files if f.name not in weights and f.name.lower() not in _READMES]

    def size(self) -> int:
        """Bytes of the model as a device would load it unoptimized."""
        graph = [file for file in self.files if file.name in {self.graph, *self.data}]
        return sum(file.size for file in [*graph, *self.carried()])


@dataclass(slots=True)
class Maker:
    """Builds what the store does not have. One for a compile, so that a model is inspected once."""

    workspace: Path
    store: Store
    progress: Callable[[str], None]
    findings: list[Diagnostic] = field(default_factory=list)
    """Of the store, which do not make a model unusable."""
    _sources: dict[tuple[str, bool], Source | list[Diagnostic]] = field(default_factory=dict)

    def source(self, action: Action) -> tuple[Source | None, list[Diagnostic]]:
        """The action's model. What is wrong with it or its evaluation data is said once."""
        key = action.model.id, reads_checkpoint(action.recipe)
        known = self._sources.get(key)
        if known is None:
            known = self._sources[key] = self._inspect(action)
            return (None, known) if isinstance(known, list) else (known, [])
        return (None, []) if isinstance(known, list) else (known, [])

    def make(self, action: Action) -> tuple[Stored | None, list[Diagnostic]]:
        """Build the artifact and take it into the store. Raises Stop when the disk refuses."""
        source, diagnostics = self.source(action)
        if source is None:
            return None, diagnostics
        with self.store.scratch() as scratch:
            current, made, remarks = source.start(action.recipe), None, []
            model = current.parent if current.name == WEIGHTS else source.folder
            for number, step in enumerate(action.recipe.steps):
                target, work = scratch / f"step-{number}", scratch / f"work-{number}"
                target.mkdir()
                work.mkdir()
                request = self._request(step, current, target, work, model)
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
        """The model, inspected once and for all; exported when it is weights alone."""
        key = _inspection_key(action)
        known, damage = self.store.record(layout.ORIGINAL, key)
        self.findings += damage
        given = source_folder(self.workspace, self.store.root, action.model.source)
        found = known or _inspected(action, given)
        folder, files = given, action.source.files
        if "export" in found:
            export = self._export(action, given)
            if isinstance(export, list):
                found = {"problems": export}
            else:
                folder, files = export.folder, export.files
                found = known or found | _inspected(action, folder)
        problems = [_unusable(action, problem) for problem in found.get("problems", [])]
        if findings := problems + ([] if known else texts.check(self.workspace, action.model)):
            return findings
        if not known:
            label = Label(key, action.name, action.model.id, action.recipe.name, action.source.digest)
            self.store.put_record(layout.ORIGINAL, label, found, None)
        checkpoint = given if "export" in found or found["model"] == WEIGHTS else None
        return Source(folder, files, found["model"], tuple(found["data"]), Shape(**found["shape"]), checkpoint)

    def _export(self, action: Action, checkpoint: Path) -> exports.Export | list[dict[str, str]]:
        source, task = action.source.digest, action.model.task
        if kept := exports.find(self.store, source, task):
            return kept
        self.progress(f"{action.model.id}: building its graph from the weights")
        try:
            return exports.make(self.store, source, task, checkpoint)
        except Failed as error:
            self._refuse_full_disk(action)
            return [{"code": "UNSUPPORTED_MODEL", "message": f"No graph can be built from its weights: {error}."}]


def reads_checkpoint(recipe: Recipe) -> bool:
    """Whether the first step starts from a Hugging Face folder, where the model is one, and not from its graph."""
    first = recipe.steps[0]
    return first.kind == "package" or (
        first.kind == "convert" and first.parameters.get("format") not in _FORMATS_FROM_ONNX
    )


def _inspection_key(action: Action) -> str:
    """Everything that the facts of a model depend on."""
    model, source = action.model, action.source
    versions = [INSPECT_VERSION, exports.EXPORT_VERSION]
    asked = [model.task, reads_checkpoint(action.recipe)]
    return digests.of_value(["inspect", *versions, *asked, source.digest, source.evaluation])


def _inspected(action: Action, folder: Path) -> Any:
    asked = {"task": action.model.task, "from_checkpoint": reads_checkpoint(action.recipe)}
    try:
        return run("inspect", {"folder": str(folder), **asked})
    except Failed as error:
        return {"problems": [{"code": "NOT_ONNX", "message": f"The model cannot be read: {error}."}]}


def _label(action: Action) -> Label:
    return Label(action.key, action.name, action.model.id, action.recipe.name, action.source.digest)


def _files(action: Action, source: Source, graph: Path) -> Mapping[str, Path]:
    """The artifact's files: what the last step made, and what the model's folder has beside its old graph."""
    carried = {file.name: source.folder / file.name for file in source.carried()}
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
        help=f"`source` is {_FOLDERS[action.model.task]}. `{action.model.source}` is not one as it is.",
    )


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
