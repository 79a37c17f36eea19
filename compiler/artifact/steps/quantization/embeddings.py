"""The table of token embeddings in blocks of 8 or 4 bits, row by row, for onnxruntime's GatherBlockQuantized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from compiler.artifact.steps.quantization.matrices import as_they_are, finite, pieces
from compiler.artifact.steps.quantization.rewrite import New, Replacement, Write
from compiler.artifact.weights import Source

DOMAIN = "com.microsoft"


def tables(model: Any) -> tuple[Any, ...]:
    """The nodes that look up `input_ids` in a constant float32 matrix: other tables, such as of positions, do not bear
    few bits."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    tokens = {"input_ids"}
    found = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in tokens:
            tokens.add(node.output[0])
        tensor = constants.get(node.input[0]) if node.op_type == "Gather" and node.input[1] in tokens else None
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if tensor is not None and axis == 0 and len(tensor.dims) == 2 and tensor.data_type == TensorProto.FLOAT:
            found.append(node)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a table becomes blocks of unsigned integers that share a scale and a zero point; 0 stays exact."""

    bits: int
    size: int

    def names(self, table: str) -> tuple[str, str, str]:
        return f"{table}_Q{self.bits}", f"{table}_scales", f"{table}_zero_points"

    def replacement(self, tensor: Any, names: tuple[str, str, str]) -> Replacement:
        """Rows × columns as packed bytes, scales of rows × blocks, packed zero points.

        Filling raises Refused for weights that are not finite numbers.
        """
        rows, columns = tensor.dims
        blocks = -(-columns // self.size)
        made = (
            New(names[0], TensorProto.UINT8, (rows, self._packed(columns))),
            New(names[1], TensorProto.FLOAT, (rows, blocks)),
            New(names[2], TensorProto.UINT8, (rows, self._packed(blocks))),
        )
        return Replacement(made, self._fill)

    def lookup(self, node: Any, names: tuple[str, str, str]) -> Any:
        return helper.make_node(
            "GatherBlockQuantized",
            [names[0], node.input[1], names[1], names[2]],
            list(node.output),
            name=node.name,
            domain=DOMAIN,
            bits=self.bits,
            block_size=self.size,
            gather_axis=0,
            quantize_axis=1,
        )

    def _packed(self, count: int) -> int:
        return -(-count * self.bits // 8)

    def _fill(self, source: Source, tensor: Any, write: Write) -> None:
        for start, piece in pieces(source, tensor, as_they_are):
            finite(np.abs(piece).max(axis=1), tensor.name)
            for number, part in enumerate(self._rows(piece)):
                write(number, part, start * part.shape[1] * part.itemsize)

    def _rows(self, piece: Any) -> tuple[Any, Any, Any]:
        """Halves are rounded up: the same numbers whatever the platform's rounding mode."""
        top = 2**self.bits - 1
        rows, columns = piece.shape
        blocks = -(-columns // self.size)
        padded = np.pad(piece, ((0, 0), (0, blocks * self.size - columns))).reshape(rows, blocks, self.size)
        low, high = np.minimum(padded.min(axis=2), 0), np.maximum(padded.max(axis=2), 0)
        scales = ((high - low) / np.float32(top)).astype(np.float32)
        scales[scales == 0] = 1
        zeros = np.clip(np.floor(-low / scales + np.float32(0.5)), 0, top)
        made = np.floor(padded / scales[:, :, None] + np.float32(0.5)) + zeros[:, :, None]
        made = np.clip(made, 0, top).reshape(rows, -1)[:, :columns]
        return self._pack(made.astype(np.uint8)), scales, self._pack(zeros.astype(np.uint8))

    def _pack(self, values: Any) -> Any:
        """Two 4-bit numbers in a byte, the first one in its low half."""
        if self.bits == 8:
            return np.ascontiguousarray(values)
        even = np.pad(values, ((0, 0), (0, values.shape[1] % 2)))
        return even[:, 0::2] | even[:, 1::2] << 4
