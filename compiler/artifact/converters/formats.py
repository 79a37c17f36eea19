"""Formats of other runtimes than onnxruntime, by the suffix of an artifact's main file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from compiler.artifact.evaluation.metrics import EMBEDDINGS

RUNTIMES = {".tflite": "litert", ".pte": "executorch", ".xml": "openvino"}
"""The converter whose environment has the format's runtime, too."""

WITHOUT_RUNTIME = (".gguf",)
"""llama.cpp, which runs them, is in no environment."""


def converted(names: Iterable[str]) -> str | None:
    """The file, of those with these names, that another runtime loads; None when onnxruntime runs the artifact."""
    suffixes = (*RUNTIMES, *WITHOUT_RUNTIME)
    return next((name for name in sorted(names) if PurePosixPath(name).suffix in suffixes), None)


def unevaluated(task: str, names: Iterable[str]) -> str | None:
    """The file of an artifact whose quality nothing here can measure: other runtimes than onnxruntime give embeddings
    only, and llama.cpp nothing. None where it can be measured."""
    found = converted(names)
    return None if found and task == EMBEDDINGS and PurePosixPath(found).suffix in RUNTIMES else found
