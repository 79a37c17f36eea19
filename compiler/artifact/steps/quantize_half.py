"""`quantize` with scheme `fp16`: weights and activations in 16-bit floating point.

Size: half. Speed: onnxruntime's CPU provider has few float16 kernels and casts around all the rest, so on processors
without half-precision arithmetic (x86 before AVX512-FP16, most ARM boards before v8.2) it is as fast as float32 or
slower; what gains are GPUs and NPUs. Quality: cosine 1.000 on a sentence encoder; values beyond 65,504 are cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compiler.artifact.refused import not_finite
from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

if TYPE_CHECKING:
    from compiler.artifact.graph.threads import Job
    from compiler.artifact.graph.weights import Source, Target
    from compiler.artifact.steps.half.narrow import Narrowed

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True
THREADED = True

_LARGEST = 65504.0
"""The largest number that float16 has."""


@dataclass(frozen=True, slots=True)
class Configuration:
    scheme: Literal["fp16"] = "fp16"
    keep_io: bool = True


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Every float32 value that may be float16 becomes so; with `keep_io` inputs and outputs are cast.

    Memory: a piece of 4 MiB for each thread.
    """
    from compiler.artifact.graph.threads import spread
    from compiler.artifact.graph.weights import Source, Target
    from compiler.artifact.steps.half.narrow import narrow

    with Source(source) as weights:
        floats = sum(tensor.data_type == 1 for tensor in weights.model.graph.initializer)
        if not floats:
            raise Refused("There is nothing to make smaller: no initializer is float32.")
        factors = {node.input[1] for node in weights.model.graph.node if node.op_type in ("MatMul", "Gemm")}
        narrowed = narrow(weights.model, configuration.keep_io)
        work = _Work(weights, Target(target), narrowed, factors)
        kept = work.initializers()
        spread(work.jobs, bench.threads, bench.tell)
        work.finish(kept)
    return Effect(True, tuple(work.remarks()), {"float32": narrowed.kept, "cut": work.cut})


@dataclass(slots=True)
class _Work:
    source: Source
    target: Target
    narrowed: Narrowed
    factors: set[str]
    """Tensors that products multiply with, where an infinity is a defect and no mask."""
    jobs: list[Job] = field(default_factory=list)
    found_beyond: list[tuple[str, int]] = field(default_factory=list)
    """Tensor and how many values of a piece of it were beyond the largest."""

    @property
    def cut(self) -> dict[str, int]:
        """Tensor → how many of its values were cut."""
        sums: dict[str, int] = {}
        for name, count in sorted(self.found_beyond):
            sums[name] = sums.get(name, 0) + count
        return sums

    def initializers(self) -> list[Any]:
        """The new initializers, reserved, with a job for each piece of them."""
        from onnx import TensorProto

        made: list[Any] = []
        for tensor in self.source.model.graph.initializer:
            wanted = self.narrowed.wanted.get(tensor.name, set())
            if tensor.data_type != TensorProto.FLOAT or not wanted:
                made += self._kept(tensor) if tensor.data_type != TensorProto.FLOAT else []
                continue
            if TensorProto.FLOAT in wanted:
                made += self._reserved(tensor, tensor.name, TensorProto.FLOAT, self._single)
            if TensorProto.FLOAT16 in wanted:
                made += self._reserved(tensor, _name(tensor, wanted), TensorProto.FLOAT16, self._half)
        return made

    def finish(self, initializers: list[Any]) -> None:
        from compiler.artifact.steps.half.narrow import initializer_names

        names, graph = initializer_names(self.narrowed.wanted), self.source.model.graph
        for node in self.narrowed.nodes:
            for number, name in enumerate(node.input):
                if name in names:
                    node.input[number] = names[name]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.narrowed.nodes)
        graph.initializer.extend(initializers)
        self.target.finish(self.source.model)

    def remarks(self) -> list[Remark]:
        said = []
        if self.cut:
            worst = list(self.cut)
            more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
            said.append(f"Values beyond 65,504 were cut to it in {', '.join(f'`{name}`' for name in worst[:3])}{more}.")
        if self.narrowed.kept:
            said.append(f"These operators have no float16 and stay float32: {', '.join(self.narrowed.kept)}.")
        return [Remark(sentence) for sentence in said]

    def _kept(self, tensor: Any) -> list[Any]:
        kept, jobs = self.target.keep(self.source, tensor)
        self.jobs += jobs
        return [kept]

    def _reserved(self, tensor: Any, name: str, kind: int, convert: Callable[[Any, Any], Any]) -> list[Any]:
        from compiler.artifact.graph.threads import Job
        from compiler.artifact.graph.weights import PIECE

        made = self.target.reserve(name, kind, tensor.dims)
        count, step = math.prod(tensor.dims), PIECE // 4
        for start in range(0, count, step):
            size = min(step, count - start)
            self.jobs.append(Job(size, partial(self._convert, tensor, made, start, size, convert)))
        return [made]

    def _convert(self, tensor: Any, made: Any, start: int, size: int, convert: Callable[[Any, Any], Any]) -> None:
        import numpy as np

        values = np.empty(size, np.float32)
        self.source.read(tensor, 4 * start, values)
        converted = convert(tensor, values)
        self.target.write(made, converted, start * converted.itemsize)

    def _half(self, tensor: Any, values: Any) -> Any:
        import numpy as np

        if np.isnan(values).any() or (tensor.name in self.factors and np.isinf(values).any()):
            raise not_finite(tensor.name)
        beyond = (np.abs(values) > _LARGEST) & np.isfinite(values)
        if count := int(beyond.sum()):
            self.found_beyond.append((tensor.name, count))
            values = np.where(beyond, np.copysign(np.float32(_LARGEST), values), values)
        return values.astype(np.float16)

    def _single(self, tensor: Any, values: Any) -> Any:
        """As it is, but that what masks are made of stays finite when it is cast to float16 later."""
        import numpy as np

        low = values < -_LARGEST
        if tensor.name in self.narrowed.masks and (count := int((low & np.isfinite(values)).sum())):
            self.found_beyond.append((tensor.name, count))
            return np.where(low, np.float32(-_LARGEST), values)
        return values


def _name(tensor: Any, wanted: set[int]) -> str:
    from compiler.artifact.steps.half.narrow import half_name

    return half_name(tensor.name) if len(wanted) > 1 else str(tensor.name)
