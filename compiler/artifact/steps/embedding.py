"""Embeddings as 8-bit blocks: onnxruntime's own quantizer leaves them in float32, or makes them 4 bits.

On the model of the example, 8 bits took a quarter off the int4 artifact and cost nothing that could be measured;
4 bits cost 7 % more KL divergence for another 6 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

_TOP = 255


def quantize_embeddings(model: Any, block_size: int) -> None:
    """Replace the Gather that looks up `input_ids` in a constant float32 matrix by GatherBlockQuantized.

    Other lookups stay: tables of rotary positions, for one, are small and do not bear 8 bits.
    The operator is onnxruntime's (domain com.microsoft, since 1.22 with `bits` = 8). The matrix stays among the
    initializers: another node may read it.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    tokens = _tokens(model.graph)
    made: set[str] = set()
    nodes = []
    for node in model.graph.node:
        weight = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if weight is None or node.input[1] not in tokens or not _is_matrix(node, weight):
            nodes.append(node)
            continue
        if weight.name not in made:
            made.add(weight.name)
            model.graph.initializer.extend(_blocks(numpy_helper.to_array(weight), weight.name, block_size))
        nodes.append(_gather(node, weight.name, block_size))
    if made:
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _tokens(graph: Any) -> set[str]:
    """The values that hold `input_ids`, of whatever integer type."""
    names = {"input_ids"}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in names:
            names.add(node.output[0])
    return names


def _is_matrix(node: Any, weight: Any) -> bool:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return bool(axis == 0 and len(weight.dims) == 2 and weight.data_type == TensorProto.FLOAT)


def _blocks(weight: Any, name: str, block_size: int) -> list[Any]:
    """Rows × columns of float32 as uint8, with scales and zero points of rows × blocks.

    Asymmetric: value = (quantized - zero point) × scale, and 0 is always representable. Halves are rounded up.
    """
    rows, columns = weight.shape
    blocks = -(-columns // block_size)
    padded = np.pad(weight, ((0, 0), (0, blocks * block_size - columns))).reshape(rows, blocks, block_size)
    low = np.minimum(padded.min(axis=2), 0)
    high = np.maximum(padded.max(axis=2), 0)
    scales = ((high - low) / np.float32(_TOP)).astype(np.float32)
    scales[scales == 0] = 1
    zero_points = np.clip(np.floor(-low / scales + np.float32(0.5)), 0, _TOP)
    quantized = np.floor(padded / scales[:, :, None] + np.float32(0.5)) + zero_points[:, :, None]
    quantized = np.clip(quantized, 0, _TOP).reshape(rows, -1)[:, :columns]
    return [
        numpy_helper.from_array(np.ascontiguousarray(quantized, np.uint8), f"{name}_Q8"),
        numpy_helper.from_array(scales, f"{name}_scales"),
        numpy_helper.from_array(zero_points.astype(np.uint8), f"{name}_zero_points"),
    ]


def _gather(node: Any, name: str, block_size: int) -> Any:
    return helper.make_node(
        "GatherBlockQuantized",
        [f"{name}_Q8", node.input[1], f"{name}_scales", f"{name}_zero_points"],
        list(node.output),
        name=node.name,
        domain="com.microsoft",
        bits=8,
        block_size=block_size,
        gather_axis=0,
        quantize_axis=1,
    )
