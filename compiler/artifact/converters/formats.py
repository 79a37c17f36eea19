"""Formats of other runtimes than onnxruntime, by the suffix of an artifact's main file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

RUNTIMES = {".tflite": "litert", ".pte": "executorch", ".xml": "openvino"}
"""The converter whose environment has the format's runtime, too."""

WITHOUT_RUNTIME = (".gguf",)
"""llama.cpp, which runs them, is in no environment."""


def converted(names: Iterable[str]) -> str | None:
    """The file, of those with these names, that another runtime loads; None when onnxruntime runs the artifact."""
    suffixes = (*RUNTIMES, *WITHOUT_RUNTIME)
    return next((name for name in sorted(names) if PurePosixPath(name).suffix in suffixes), None)
