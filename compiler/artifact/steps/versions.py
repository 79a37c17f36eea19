"""What is known of steps without running them: the versions that shape an artifact (of the steps, of the libraries they
use, of its own format), whether they give the same bytes again, what they need."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from compiler.artifact.steps.table import STEPS
from compiler.artifact.store import layout
from compiler.artifact.store.exports import EXPORT_VERSION
from compiler.base.spelling import snake

LIBRARIES = ("numpy", "onnx", "onnx-ir", "onnxruntime")

_PROCESS = 200 * 2**20
"""Bytes of a process that has loaded onnx and onnxruntime and goes through a model tensor by tensor."""

_WHOLE_MODEL = 4
"""Memory of a step that loads the whole model, as a multiple of its source: measured were 1.2 to 3."""


def step_versions() -> dict[str, int | str]:
    return {name: step.VERSION for name, step in STEPS.items()}


def tool_versions() -> dict[str, str]:
    """Distribution → version, read from the installed metadata: no library is imported."""
    ours = {"slmc-artifact": str(layout.FORMAT), "slmc-export": str(EXPORT_VERSION)}
    return {name: version(name) for name in LIBRARIES} | ours


def reproducible(name: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the step gives the same bytes on every machine; where its REPRODUCIBLE is a function, with these
    parameters."""
    promise: Any = STEPS[name].REPRODUCIBLE
    if callable(promise):
        promise = promise(STEPS[name].Configuration(**{snake(key): value for key, value in parameters.items()}))
    return bool(promise)


def memory(name: str, source: int) -> int:
    """Estimated bytes that the step takes for a source of that many bytes."""
    return _PROCESS if getattr(STEPS[name], "STREAMS", False) else _PROCESS + _WHOLE_MODEL * source


def uses_all_processors(name: str) -> bool:
    return bool(getattr(STEPS[name], "THREADED", False))
