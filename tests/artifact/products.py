"""Small graphs of products with constants, and what onnxruntime makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.steps.apply import apply_step

TOKENS = 24


def model(
    nodes: Sequence[Any], constants: Mapping[str, Any], output: str = "logits", kind: int = TensorProto.FLOAT
) -> Any:
    """From `input_ids` (1 × n) to `output`, of which only the type is declared."""
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"])]
    outputs = [helper.make_tensor_value_info(output, kind, None)]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "products", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], name=f"/{output}", **attributes)


def chain(*widths: int, kind: Any = np.float32, seed: int = 5) -> Any:
    """Tokens looked up in E and multiplied by W1, W2, …; the last gives the logits."""
    draw = np.random.default_rng(seed)
    constants = {"E": draw.standard_normal((TOKENS, widths[0])).astype(kind)}
    nodes = [node("Gather", ["E", "input_ids"], "h0")]
    for number, (depth, columns) in enumerate(itertools.pairwise(widths), 1):
        constants[f"W{number}"] = (draw.standard_normal((depth, columns)) / np.sqrt(depth)).astype(kind)
        last = "logits" if number == len(widths) - 1 else f"h{number}"
        nodes.append(node("MatMul", [f"h{number - 1}", f"W{number}"], last))
    return model(nodes, constants, kind=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def applied(made: Any, folder: Path, name: str, threads: int = 2, **parameters: Any) -> tuple[dict[str, Any], Any]:
    """What `apply_step` says, and the model that it made, or None. `parameters` as a recipe has them."""
    folder.mkdir(parents=True)
    (folder / "source").mkdir()
    onnx.save(made, folder / "source" / "model.onnx")
    target, scratch = folder / "target", folder / "scratch"
    target.mkdir()
    scratch.mkdir()
    bench = {"model": str(folder / "source"), "scratch": str(scratch), "threads": threads, "files": {}}
    said = apply_step(name, parameters, str(folder / "source" / "model.onnx"), str(target), bench, lambda share: None)
    return said, onnx.load(target / "model.onnx") if "graph" in said else None


def run(made: Any, ids: Sequence[int] = tuple(range(TOKENS))) -> Any:
    """The first output, for these tokens."""
    from compiler.artifact.inference import runtime

    session = runtime.open_graph(made, Path("/"), runtime.options("all", threads=1))
    return session.run(None, {"input_ids": np.array([ids])})[0]


def tensors(made: Any) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}


def by_output(made: Any) -> dict[str, Any]:
    return {entry.output[0]: entry for entry in made.graph.node}
