"""A graph in new form: what stays is copied and what is new is made, each piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import helper

from compiler.artifact import graphs
from compiler.artifact.weights import Source, Target

_MOST_THREADS = 4
"""Each has pieces of its own in memory, and the disk keeps up with no more."""


@dataclass(frozen=True, slots=True)
class New:
    """A tensor to come."""

    name: str
    data_type: int
    dims: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return int(math.prod(self.dims) * helper.tensor_dtype_to_np_dtype(self.data_type).itemsize)


Write = Callable[[int, Any, int], None]
"""Puts an array into the new tensor of that number, so many bytes from its beginning."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Tensors that are computed from one of the source."""

    tensors: tuple[New, ...]
    fill: Callable[[Source, Any, Write], None]
    """Gets the source, its TensorProto, and how to write. Called in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The nodes of the graph to come, and its initializers beside those of the source that the nodes still read."""

    nodes: Sequence[Any]
    replacements: Mapping[str, Sequence[Replacement]]
    """By the name of the source's tensor."""
    small: Iterable[Any] = ()
    """TensorProtos."""


def write(source: Source, target: Path, rewrite: Rewrite, threads: int, tell: Callable[[float], None]) -> None:
    """Write the graph. The order of its tensors is that of the source's, so the bytes do not depend on `threads`."""
    model = source.model
    del model.graph.node[:]
    model.graph.node.extend(rewrite.nodes)
    graphs.drop_unused(model)
    read = {tensor.name for tensor in model.graph.initializer}
    out = Target(target)
    kept: list[Any] = []
    jobs: list[tuple[Any, Replacement, list[Any]]] = []
    for name, tensor in source.tensors.items():
        for replacement in rewrite.replacements.get(name, ()):
            reserved = [out.reserve(new.name, new.data_type, new.dims) for new in replacement.tensors]
            jobs.append((tensor, replacement, reserved))
            kept += reserved
        if name in read:
            kept.append(out.copy(source, tensor))
    del model.graph.initializer[:]
    total, done = sum(graphs.tensor_bytes(tensor) for tensor, _, _ in jobs), 0
    with ThreadPoolExecutor(min(threads, _MOST_THREADS)) as pool:
        for (tensor, _, _), _ in zip(jobs, pool.map(lambda job: _fill(source, out, *job), jobs), strict=True):
            done += graphs.tensor_bytes(tensor)
            tell(done / total)
    model.graph.initializer.extend(kept)
    model.graph.initializer.extend(rewrite.small)
    out.finish(model)


def _fill(source: Source, out: Target, tensor: Any, replacement: Replacement, reserved: list[Any]) -> None:
    replacement.fill(source, tensor, lambda number, data, at: out.write(reserved[number], data, at))
