"""A graph in new form: what stays is copied and what is new is made, each piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from compiler.artifact.graph import graphs
from compiler.artifact.graph.threads import Job, spread
from compiler.artifact.graph.weights import New, Source, Target
from compiler.artifact.steps.quantization.blockwise.rewrite import drop_idle_transposes, set_initializers
from compiler.artifact.steps.quantization.blockwise.stream import Stream

_MOST_THREADS = 4
"""Each has pieces of its own in memory, and the disk keeps up with no more."""

Reserve = Callable[[Stream], tuple[list[Any], list[Job]]]
"""Gives new tensors and the jobs that fill them."""

Write = Callable[[int, Any, int], None]
"""Puts an array into the new tensor of that number, so many bytes from its beginning."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Tensors that are computed from one of the source, all by one job."""

    tensor: Any
    new: tuple[New, ...]
    fill: Callable[[Source, Any, Write], None]
    """Gets the source, its TensorProto, and how to write."""

    def reserve(self, stream: Stream) -> tuple[list[Any], list[Job]]:
        made = [stream.target.reserve(new.name, new.data_type, new.dims) for new in self.new]

        def write(number: int, data: Any, at: int) -> None:
            stream.target.write(made[number], data, at)

        return made, [Job(graphs.tensor_bytes(self.tensor), partial(self.fill, stream.source, self.tensor, write))]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The nodes of the graph to come, and its initializers beside those of the source that the nodes still read."""

    nodes: Sequence[Any]
    reserves: Mapping[str, Sequence[Reserve]]
    """By the name of the source's tensor that others are made of."""
    small: Iterable[Any] = ()
    """TensorProtos."""


def write(source: Source, target: Path, rewrite: Rewrite, threads: int, tell: Callable[[float], None]) -> None:
    """Write the graph. The order of its tensors is that of the source's, so the bytes do not depend on `threads`."""
    model, threads = source.model, min(threads, _MOST_THREADS)
    del model.graph.node[:]
    model.graph.node.extend(rewrite.nodes)
    drop_idle_transposes(model)
    read = graphs.names_read(model.graph)
    stream = Stream(source, Target(target), threads)
    kept: list[Any] = []
    jobs: list[Job] = []
    for name, tensor in source.tensors.items():
        for reserve in rewrite.reserves.get(name, ()):
            _take(reserve(stream), kept, jobs)
        if name in read:
            same, copies = stream.target.keep(source, tensor)
            _take(([same], copies), kept, jobs)
    spread(jobs, threads, tell)
    set_initializers(model.graph, [*kept, *rewrite.small])
    stream.target.finish(model)


def _take(made: tuple[list[Any], list[Job]], tensors: list[Any], jobs: list[Job]) -> None:
    tensors += made[0]
    jobs += made[1]
