"""Which files of a model's folder go into its artifacts as they are: what a device loads beside the graph."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Set
from pathlib import PurePosixPath

from compiler.artifact.converters.formats import RUNTIMES, WITHOUT_RUNTIME
from compiler.fleet.sources import SourceFile

_READMES = ("readme", "readme.md", "readme.txt", "readme.rst")
"""Files for people stay behind, except licences and notices: most licences want them to go along."""

_FRAMEWORKS = (".safetensors", ".pth", ".pt", ".h5", ".msgpack", ".ckpt", ".ot")
_OF_OTHERS = (*_FRAMEWORKS, *RUNTIMES, *WITHOUT_RUNTIME)
"""Suffixes of the same weights once more. Those of other runtimes would be taken for the artifact's main file, too."""

_BINARY = ".bin"
_PYTORCH = re.compile(r"pytorch_model.*\.bin|training_args\.bin|openvino_model.*\.bin")
_INDEX = ".index.json"
_GRAPH = ".onnx"
_ONNX = re.compile(r".*\.onnx([._]data.*)?")
"""A graph, or external data of one under the names that exporters give."""


def carried(files: Iterable[SourceFile], graph: str, data: Collection[str]) -> list[SourceFile]:
    """Of the `files` of a model, those beside its `graph` and the `data` files of that, without weights of other
    frameworks.

    A `.bin` file stays when it may be external data of a second ONNX graph: when it lies in or below the folder of one.
    When `graph` is no ONNX file but weights alone, graphs that lie there are nothing that a device loads.
    """
    rest = [file for file in files if file.name != graph and file.name not in data]
    if not graph.endswith(_GRAPH):
        rest = [file for file in rest if not _ONNX.fullmatch(file.name.lower())]
    graphs = {PurePosixPath(file.name).parent for file in rest if file.name.endswith(_GRAPH)}
    return [file for file in rest if not _is_left(PurePosixPath(file.name), graphs)]


def _is_left(path: PurePosixPath, graphs: Set[PurePosixPath]) -> bool:
    """`graphs` are the folders of the other graphs."""
    name = path.name.lower()
    weights = name.removesuffix(_INDEX)
    if weights.endswith(_BINARY):
        return name != weights or _PYTORCH.fullmatch(name) is not None or graphs.isdisjoint(path.parents)
    return name in _READMES or weights.endswith(_OF_OTHERS)
