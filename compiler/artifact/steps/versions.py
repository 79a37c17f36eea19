"""The versions that shape an artifact: of the steps, of the libraries they use, of its own format."""

from __future__ import annotations

from importlib.metadata import version

from compiler.artifact import layout
from compiler.artifact.steps.table import STEPS

LIBRARIES = ("numpy", "onnx", "onnx-ir", "onnxruntime")


def step_versions() -> dict[str, int | str]:
    return {name: step.VERSION for name, step in STEPS.items()}


def tool_versions() -> dict[str, str]:
    """Distribution → version, read from the installed metadata: no library is imported."""
    return {name: version(name) for name in LIBRARIES} | {"slmc-artifact": str(layout.FORMAT)}
