"""Tensors as the indices and values of what is not zero (onnx.SparseTensorProto, COO with one index for each value)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import SparseTensorProto, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.skeleton import EMBEDDED
from compiler.artifact.graph.weights import Source, Target
from compiler.artifact.graph.wiring import FLOATS
from compiler.artifact.steps.pruning.zeroing import bits_of
from compiler.artifact.steps.step import Bench, Effect, Remark

MANY = 0.1
"""Share of zeros from which a tensor is looked at."""

GAIN = 0.9
"""A sparse tensor takes at most this of the dense one. Builds of zlib differ by a few percent: close calls, which would
differ from machine to machine, stay dense."""

LARGEST = 2**30
"""Bytes of sparse tensors in one graph: they lie in the graph itself, which protobuf limits to 2 GiB."""

_INDEX, _LEVEL = 8, 6

_SAMPLE = 256 * 1024
"""Bytes of each piece that are compressed where the outcome is known, for the report alone: zlib is slow."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a tensor, as it is and compressed with zlib."""

    name: str
    dense: tuple[int, int]
    sparse: tuple[int, int]

    @property
    def smaller(self) -> bool:
        return all(sparse <= GAIN * dense for sparse, dense in zip(self.sparse, self.dense, strict=True))


def encode(source: Path, target: Path, bench: Bench) -> Effect:
    """Write the model with the tensors sparse that are smaller so."""
    with Source(source) as weights:
        model, made = weights.model, Target(target)
        encoded: list[Sizes] = []
        left: list[Sizes] = []
        dense, taken, listed = [], 0, list(model.graph.initializer)
        for number, tensor in enumerate(listed):
            found = _weighed(weights, tensor) if tensor.data_type in FLOATS else None
            if found and found.smaller and taken + found.sparse[0] <= LARGEST:
                encoded.append(found)
                taken += found.sparse[0]
                model.graph.sparse_initializer.append(_sparse(weights, tensor))
            else:
                left += [found] if found else []
                dense.append(made.copy(weights, tensor))
            bench.tell((number + 1) / len(listed))
        del model.graph.initializer[:]
        model.graph.initializer.extend(dense)
        made.finish(model)
    return Effect(bool(encoded), _remarks(encoded, left), {"sparse": _rows(encoded), "dense": _rows(left)})


def _weighed(source: Source, tensor: Any) -> Sizes | None:
    """None for a tensor that is small or has few zeros."""
    size, width = graphs.tensor_bytes(tensor), bits_of(tensor).itemsize
    if size <= EMBEDDED:
        return None
    count = sum(int(np.count_nonzero(np.frombuffer(piece, bits_of(tensor)))) for piece in source.pieces(tensor))
    if count > (1 - MANY) * size / width:
        return None
    sparse = count * (_INDEX + width)
    packed = _packed(source, tensor, _SAMPLE if sparse > GAIN * size else None)
    return Sizes(tensor.name, (size, packed[0]), (sparse, packed[1]))


def _packed(source: Source, tensor: Any, sample: int | None) -> tuple[int, int]:
    """Bytes of a tensor compressed, dense and sparse, from the first `sample` bytes of each piece, or all."""
    packers = [zlib.compressobj(_LEVEL) for _ in range(3)]
    packed, at, seen = [0, 0, 0], 0, 0
    for piece in source.pieces(tensor):
        part = memoryview(piece)[:sample]
        bits = np.frombuffer(part, bits_of(tensor))
        places = np.flatnonzero(bits)
        parts: tuple[Any, ...] = (part, (places + at).astype(np.int64), bits[places])
        for number, data in enumerate(parts):
            packed[number] += len(packers[number].compress(data))
        at += len(piece) // bits.itemsize
        seen += len(part)
    whole = [so_far + len(packer.flush()) for so_far, packer in zip(packed, packers, strict=True)]
    share = graphs.tensor_bytes(tensor) / seen
    return round(whole[0] * share), round((whole[1] + whole[2]) * share)


def _sparse(source: Source, tensor: Any) -> Any:
    indices, values, at = [], [], 0
    for piece in source.pieces(tensor):
        bits = np.frombuffer(piece, bits_of(tensor))
        places = np.flatnonzero(bits)
        indices.append(places.astype(np.int64) + at)
        values.append(bits[places])
        at += len(bits)
    kind = np.float16 if bits_of(tensor).itemsize == 2 else np.float32
    return SparseTensorProto(
        values=numpy_helper.from_array(np.concatenate(values).view(kind), tensor.name),
        indices=numpy_helper.from_array(np.concatenate(indices), f"{tensor.name}_indices"),
        dims=tensor.dims,
    )


def _rows(found: Iterable[Sizes]) -> list[dict[str, Any]]:
    return [{"name": one.name, "dense": list(one.dense), "sparse": list(one.sparse)} for one in found]


def _remarks(encoded: list[Sizes], left: list[Sizes]) -> tuple[Remark, ...]:
    if not left:
        return () if encoded else (Remark(f"No float tensor of the graph has {MANY:.0%} of zeros or more."),)
    first = f"Tensor `{left[0].name}`" + (f" and {len(left) - 1} others" if len(left) > 1 else "")
    stay = "stay" if len(left) > 1 else "stays"
    numbers = [sum(side[1] for side in sides) for sides in ([s.dense for s in left], [s.sparse for s in left])]
    return (
        Remark(
            f"{first} {stay} dense: about {numbers[0]:,} bytes compressed, and {numbers[1]:,} if sparse"
            f" ({sum(s.dense[0] for s in left):,} and {sum(s.sparse[0] for s in left):,} uncompressed)."
        ),
    )
