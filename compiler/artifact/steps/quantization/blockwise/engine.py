"""Quantize what a plan says of a model's matrices, and copy the rest: the work of a step, whatever chose the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.artifact.graph import graphs
from compiler.artifact.graph.threads import Job, spread
from compiler.artifact.graph.weights import Source, Target
from compiler.artifact.steps.quantization.blockwise import rewrite, rounding
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.blockwise.stream import Quantize, Stream, Work
from compiler.artifact.steps.quantization.matrices import Found, Lookup, Matrix, Product

Choose = Callable[[Product | Lookup], Scheme | None]
"""How a product or lookup is quantized; None keeps it."""


@dataclass(frozen=True, slots=True)
class Method:
    """What quantizes blocks. `whole`: it needs all of a column at once."""

    of: Callable[[Matrix], Quantize]
    whole: bool = False


@dataclass(slots=True)
class Engine:
    """Takes a model that was looked through (`found`) from its source to a target file."""

    source: Source
    found: Found
    accuracy_level: int
    method: Method
    _stream: Stream = field(init=False)
    _made: dict[tuple[str, bool, Scheme], list[Any]] = field(init=False, default_factory=dict)
    _taken: set[str] = field(init=False)
    _added: dict[int, list[Any]] = field(init=False, default_factory=dict)
    """New tensors by the id of their graph."""
    _jobs: list[Job] = field(init=False, default_factory=list)

    def run(self, choose: Choose, target: Path, threads: int, tell: Callable[[float], None]) -> list[dict[str, Any]]:
        """Write the model; gives what was quantized, as plain values for the step's report.

        Raises Refused for weights that are not finite and for a disk that is too small.
        """
        into = Target(target)
        self._taken = {
            name for graph in graphs.all_graphs(self.source.model.graph) for name in graphs.value_names(graph)
        }
        self._stream = Stream(self.source, into, threads)
        chosen = [(found, scheme) for found in self.found.all() if (scheme := choose(found))]
        quantized = [(found, scheme, self._tensors(found, scheme)) for found, scheme in chosen]
        for found, scheme, tensors in quantized:
            if isinstance(found, Product):
                rewrite.replace_product(found, tensors, scheme, self.accuracy_level)
            else:
                rewrite.replace_lookup(found, tensors, scheme)
        graphs.import_domain(self.source.model, rewrite.DOMAIN)
        rewrite.drop_idle_transposes(self.source.model)
        kept = self._keep_others(into)
        spread(self._jobs, threads, tell)
        for graph, tensors in kept:
            rewrite.set_initializers(graph, tensors)
        into.finish(self.source.model)
        return [_line(found, scheme) for found, scheme in chosen]

    def _tensors(self, found: Product | Lookup, scheme: Scheme) -> list[Any]:
        """The tensors that take the place of a matrix: one set for all that read it."""
        lookup = isinstance(found, Lookup)
        key = found.matrix.name, lookup, scheme
        if key not in self._made:
            method = self.method if scheme.method != "rtn" else Method(lambda matrix: rounding.quantize)
            work = Work(found.matrix, scheme, method.of(found.matrix), lookup, method.whole)
            self._made[key], jobs = self._stream.reserve(work.named(self._taken))
            self._jobs += jobs
            self._added.setdefault(id(found.matrix.graph), []).extend(self._made[key])
        return self._made[key]

    def _keep_others(self, target: Target) -> list[tuple[Any, list[Any]]]:
        """For each graph the initializers that it will have: the old ones that are still read, and the new."""
        read = graphs.names_read(self.source.model.graph)
        initializers = []
        for graph in graphs.all_graphs(self.source.model.graph):
            tensors = []
            for tensor in graph.initializer:
                if tensor.name in read:
                    same, jobs = target.keep(self.source, tensor)
                    tensors.append(same)
                    self._jobs += jobs
            initializers.append((graph, [*tensors, *self._added.get(id(graph), [])]))
        return initializers


def _line(found: Product | Lookup, scheme: Scheme) -> dict[str, Any]:
    return {"tensor": found.matrix.tensor.name, "bits": scheme.bits, "blockSize": scheme.block_size}
