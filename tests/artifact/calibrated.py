"""`quantize` with `scheme: int8-static`, which runs the model on texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.artifact.stepping import chained

STATIC = "quantize/int8-static"


def make(source: Path, target: Path, data: Path, **parameters: Any) -> dict[str, Any]:
    target.mkdir(parents=True, exist_ok=True)
    parameters = {"scheme": "int8-static", "calibrate": {"samples": 16, "maxTokens": 20}, **parameters}
    step = {"name": STATIC, "parameters": parameters, "files": {"calibrate.data": str(data)}}
    return chained(source / "model.onnx", target / "model.onnx", [step])
