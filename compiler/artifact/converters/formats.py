"""Formats of other runtimes than onnxruntime, by the suffix of an artifact's main file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

RUNTIMES = {".tflite": "litert", ".pte": "executorch", ".xml": "openvino"}
"""The converter whose environment has the format's runtime, too."""

OTHER_WAYS = (".tflite", ".xml")
"""Formats whose runtime also computes in a plainer way, as on devices without this machine's instructions: LiteRT with
its own kernels instead of XNNPACK's, OpenVINO with activations in floats. ExecuTorch's kernels are in the file."""

WITHOUT_RUNTIME = (".gguf",)
"""llama.cpp, which runs them, is in no environment."""


def converted(names: Iterable[str]) -> str | None:
    """The file, of those with these names, that another runtime loads; None when onnxruntime runs the artifact."""
    suffixes = (*RUNTIMES, *WITHOUT_RUNTIME)
    return next((name for name in sorted(names) if PurePosixPath(name).suffix in suffixes), None)
