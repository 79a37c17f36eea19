"""The models that a build starts from: each looked at once, in a process of its own, and exported when it is weights
alone."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import Shape
from compiler.artifact.configuration import DEFAULT_GRAPH
from compiler.artifact.evaluation import texts
from compiler.artifact.making.carried import carried
from compiler.artifact.making.faults import install
from compiler.artifact.measuring.packaged import DATA, PACKAGER, package, packager
from compiler.artifact.model.checkpoint import WEIGHTS
from compiler.artifact.process import Failed, run
from compiler.artifact.store import exports, layout
from compiler.artifact.store.store import Label, Store
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Recipe
from compiler.fleet.packages import source_folder
from compiler.fleet.sources import SourceFile
from compiler.plan.actions import Action

INSPECT_VERSION = 3
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
    made: str = ""
    """What made the graph, with its version; empty for a model that came with one, and for weights alone."""

    def start(self, recipe: Recipe) -> tuple[Path, Path]:
        """What the recipe's first step gets: the file, and the model's folder. Of a Hugging Face folder with shards the
        file is not there."""
        if self.checkpoint and reads_checkpoint(recipe):
            return self.checkpoint / WEIGHTS, self.checkpoint
        return self.folder / self.graph, self.folder

    @property
    def weights(self) -> list[str]:
        """The files that hold graph and weights."""
        return [file.name for file in self.files if file.name in {self.graph, *self.data}]

    def carried(self) -> list[SourceFile]:
        """The files that go into every artifact as they are: what a device loads beside the graph."""
        return carried(self.files, self.graph, self.data)

    def size(self) -> int:
        """Bytes of the model as a device would load it unoptimized."""
        graph = [file for file in self.files if file.name in self.weights]
        return sum(file.size for file in [*graph, *self.carried()])


@dataclass(slots=True)
class Models:
    """What is known of the models of a plan. One for a compile, so that a model is inspected once."""

    workspace: Path
    store: Store
    progress: Callable[[str], None]
    fetched: Path | None = None
    """The root of the store that packages were fetched into, where that is another."""
    findings: list[Diagnostic] = field(default_factory=list)
    """Of the store, which do not make a model unusable."""
    _sources: dict[tuple[str, bool], Source | list[Diagnostic]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The root of the store that packages and converters are in."""
        return self.fetched or self.store.root

    def source(self, action: Action) -> tuple[Source | None, list[Diagnostic]]:
        """The action's model. What is wrong with it or its evaluation data is said once."""
        key = action.model.id, reads_checkpoint(action.recipe)
        known = self._sources.get(key)
        if known is None:
            known = self._sources[key] = self._inspect(action)
            return (None, known) if isinstance(known, list) else (known, [])
        return (None, []) if isinstance(known, list) else (known, [])

    def original(self, action: Action) -> tuple[Source | None, list[Diagnostic]]:
        """The action's model as onnxruntime runs it: what its artifacts are measured beside.

        Of a text generator that is weights alone, it is what the step that packages weights makes of them in float32.
        """
        source, findings = self.source(action)
        if source is None or source.graph != WEIGHTS:
            return source, findings
        checkpoint = source.folder
        made = packager()
        export = self._export(action, made, lambda target: package(checkpoint, target, self.home))
        if isinstance(export, list):
            return None, [*findings, *(_unusable(action, problem) for problem in export)]
        found = replace(source, folder=export.folder, files=export.files, made=made)
        return replace(found, graph=DEFAULT_GRAPH, data=(DATA,)), findings

    def _inspect(self, action: Action) -> Source | list[Diagnostic]:
        """The model, inspected once and for all; exported when it is weights alone."""
        key = _inspection_key(action)
        known, damage = self.store.record(layout.ORIGINAL, key)
        self.findings += damage
        given = source_folder(self.workspace, self.home, action.model.source)
        found = known or _inspected(action, given)
        folder, files = given, action.source.files
        if "export" in found:
            task = action.model.task
            request = {"folder": str(given), "task": task}
            export = self._export(
                action, task, lambda made: run("export", {**request, "target": str(made)}).get("problems") or []
            )
            if isinstance(export, list):
                found = {"problems": export}
            else:
                folder, files = export.folder, export.files
                found = known or found | _inspected(action, folder)
        problems = [_unusable(action, problem) for problem in found.get("problems", [])]
        if findings := problems + ([] if known else texts.check(self.workspace, action.model)):
            return findings
        if not known:
            self.store.put_record(layout.ORIGINAL, replace(label_of(action), key=key), found, None)
        checkpoint = given if "export" in found or found["model"] == WEIGHTS else None
        made = f"export {exports.EXPORT_VERSION}" if "export" in found else ""
        return Source(folder, files, found["model"], tuple(found["data"]), Shape(**found["shape"]), checkpoint, made)

    def _export(self, action: Action, what: str, build: exports.Build) -> exports.Export | list[dict[str, str]]:
        source = action.source.digest
        if kept := exports.find(self.store, source, what):
            return kept
        self.progress(f"{action.model.id}: building its graph from the weights")
        try:
            return exports.make(self.store, source, what, build)
        except Failed as error:
            refuse_full_disk(self.store, action)
            why = str(error).removesuffix(".")
            return [{"code": "UNSUPPORTED_MODEL", "message": f"No graph can be built from its weights: {why}."}]


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


def label_of(action: Action) -> Label:
    return Label(action.key, action.name, action.model.id, action.recipe.name, action.source.digest)


def refuse_full_disk(store: Store, action: Action) -> None:
    """Raise Stop when work on a model may have failed for want of space, which libraries do not say."""
    if shutil.disk_usage(store.root).free < action.source.size:
        with files.refusals(store.root):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _unusable(action: Action, problem: Mapping[str, str]) -> Diagnostic:
    folder = f"`source` is {_FOLDERS[action.model.task]}. `{action.model.source}` is not one as it is."
    help = install(PACKAGER) if problem["code"] == Code.CONVERTER_MISSING.name else problem.get("help", folder)
    return Diagnostic(Code[problem["code"]], problem["message"], action.model.place, help=help)
