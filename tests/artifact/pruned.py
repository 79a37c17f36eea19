"""Models with and without some of their units, for the tests of structured pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.artifact.encoder_layer import ATTENTION
from tests.artifact.stepping import chained

OUT = f"{ATTENTION}.output.dense.weight"
DOWN = "encoder.layer.0.output.dense.weight"
INT4 = {"name": "quantize/int4", "parameters": {"scheme": "int4", "blockSize": 16, "symmetric": False}}


def prune(method: str, share: float) -> dict[str, Any]:
    return {"name": f"prune/{method}", "parameters": {"method": method, "share": share}}


def run(folder: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    (folder.parent / "made").mkdir(exist_ok=True)
    return chained(folder / "model.onnx", folder.parent / "made" / "model.onnx", list(steps))


def write(folder: Path, model: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def output(model: Any, feeds: dict[str, Any]) -> Any:
    data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def arrays(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def without(model: Any, weight: str, rows: list[int], size: int = 1) -> Any:
    """The model with what units hand on set to zero: `size` rows each of the matrix that sums them up."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == weight)
    array = numpy_helper.to_array(tensor).copy()
    for row in rows:
        array[row * size : (row + 1) * size] = 0
    tensor.CopyFrom(numpy_helper.from_array(array, weight))
    return copy


def norms(array: Any, axis: int) -> Any:
    return np.linalg.norm(array.astype(np.float64), axis=axis)


def plain(nodes: list[Any], weights: dict[str, Any], *sides: tuple[str, list[Any]]) -> Any:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in sides]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    inputs = [value for value in values if not value.name.startswith("y")]
    outputs = [value for value in values if value.name.startswith("y")]
    body = helper.make_graph(nodes, "plain", inputs, outputs, constants)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=9)
