"""The models that a build starts from: each looked at once, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compiler.artifact import layout, texts
from compiler.artifact.artifact import Shape
from compiler.artifact.process import Failed, run
from compiler.artifact.store import Label, Store
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.sources import ModelSource, SourceFile
from compiler.plan.actions import Action

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

    @property
    def weights(self) -> list[str]:
        """The files that a first step reads."""
        return [self.graph, *self.data]

    def carried(self, source: ModelSource) -> list[SourceFile]:
        """The files that go into every artifact as they are: what a device loads beside the graph."""
        weights = {self.graph, *self.data}
        return [f for f in source.files if f.name not in weights and f.name.lower() not in _READMES]

    def size(self, source: ModelSource) -> int:
        """Bytes of the model as a device would load it unoptimized."""
        graph = [file for file in source.files if file.name in {self.graph, *self.data}]
        return sum(file.size for file in [*graph, *self.carried(source)])


@dataclass(slots=True)
class Models:
    """What is known of the models of a plan. One for a compile, so that a model is inspected once."""

    workspace: Path
    store: Store
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
            label = replace(label_of(action), key=key)
            self.store.put_record(layout.ORIGINAL, label, found, None)
        return Source(folder, found["model"], tuple(found["data"]), Shape(**found["shape"]))


def label_of(action: Action) -> Label:
    return Label(action.key, action.name, action.model.id, action.recipe.name, action.source.digest)


def _unusable(action: Action, problem: Mapping[str, str]) -> Diagnostic:
    return Diagnostic(
        Code[problem["code"]],
        problem["message"],
        action.model.place,
        help=f"`source` is a folder that onnxruntime-genai loads. `{action.model.source}` is not one as it is.",
    )
