"""`quantize` with scheme `mixed`: 4 bits for most matrices, 8 for those that 4 bits hurt most.

Measured as `quantize_dynamic` says. The example's decoder, in nats of KL divergence on other texts than it was
calibrated on: 4 bits for all 0.0115 (1.73 MB), aiming at 0.005 0.0055 (1.96 MB), at 0.001 0.0012 (2.49 MB), 8 bits for
all 0.0002 (2.84 MB). all-MiniLM-L6-v2: mean cosine 0.9904 in 23.1 MB and 0.9990 in 26.4 MB (float32: 90.9), 1.1 times
as fast as float32: products in blocks are slower than those of `int8-dynamic` for many tokens at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

if TYPE_CHECKING:
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
    from compiler.artifact.steps.quantization.likeness import Metric
    from compiler.artifact.steps.quantization.matrices import Matrix, Product
    from compiler.artifact.steps.quantization.search import Candidate

VERSION = 2
REPRODUCIBLE = False
"""What is measured comes out of floating point sums, whose last bits depend on the kind of processor."""

SUFFIX = ".onnx"

_MOST_WORK = 20_000_000_000
"""Multiplications for each token up to which the model is run once for each matrix: minutes, not hours."""

_EMBEDDING_BITS: Mapping[str, Literal[4, 8]] = {"int8": 8, "int4": 4}

_INT8_ACTIVATIONS = 4
"""As in `quantize_blockwise`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    calibrate: Mapping[str, Any]
    target: Mapping[str, Any]
    """One of `size`, `klDivergence`, `cosine`."""
    scheme: Literal["mixed"] = "mixed"
    block_size: int = 32
    embeddings: Literal["keep", "int8", "int4"] = "int8"


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Quantize every product with a constant matrix in blocks, and the embeddings.

    A matrix is measured by what 4 bits for it alone do to the model's answers; in models of more than some hundred
    million parameters to its own product, which says less. The most urgent matrices are those with most damage for each
    byte that 8 bits cost. With a size, as many of these get 8 bits as fit; with a quality, as few as it takes, which is
    measured on the whole model. Quality is that on calibration texts: a gate measures it on others.
    """
    from compiler.artifact.steps.quantization.matrices import left_as_they_are

    work = _Work(source, target, configuration, bench)
    [(goal, limit)] = configuration.target.items()
    candidates, left = work.candidates()
    quality: float | None = None
    if goal == "size":
        large = work.to_size(candidates, limit)
    else:
        large, quality = work.to_quality(candidates, cast("Metric", goal), limit)
    work.write(target, large, bench.tell)
    report: dict[str, Any] = {
        "tensors": {
            name: {"bits": 8 if name in large else 4, "sensitivity": candidate.sensitivity}
            for name, candidate in candidates.items()
        },
        "left": left,
    }
    if quality is not None:
        report[goal] = quality
    return Effect(True, (Remark(left_as_they_are(left)),) if left else (), report)


@dataclass(frozen=True, slots=True)
class _Work:
    source: Path
    target: Path
    configuration: Configuration
    bench: Bench
    weights: set[str] = field(default_factory=set)
    """Names of the initializers that are quantized."""
    measured: dict[frozenset[str], float] = field(default_factory=dict)

    def candidates(self) -> tuple[dict[str, Candidate], list[str]]:
        """The matrices, and what cannot be quantized."""
        from compiler.artifact.graph.weights import Source
        from compiler.artifact.steps.quantization import products, rows
        from compiler.artifact.steps.quantization.search import Candidate

        with Source(self.source) as opened:
            found = products.products(opened.model)
            rows.require_finite(opened, found.weights)
            self.weights.update(product.weight for product in found.chosen)
            measured = self._sensitivities(opened, found.chosen)
            forms: dict[str, dict[str, Matrix]] = {}
            for product in found.chosen:
                forms.setdefault(product.weight, {})[product.matrix.name] = product.matrix
            candidates = {
                weight: Candidate(measured[weight], self._bytes(matrices, 4), self._bytes(matrices, 8))
                for weight, matrices in forms.items()
            }
        return candidates, found.left

    def _bytes(self, matrices: Mapping[str, Matrix], bits: Literal[4, 8]) -> int:
        """Of the forms in which products read a matrix: as it is, turned."""
        from compiler.artifact.steps.quantization.blockwise import rounding
        from compiler.artifact.steps.quantization.blockwise.stream import Work

        works = [Work(matrix, self._scheme(bits), rounding.quantize) for matrix in matrices.values()]
        return sum(new.bytes for work in works for new in work.tensors)

    def _scheme(self, bits: Literal[4, 8]) -> Scheme:
        from compiler.artifact.steps.quantization.blockwise.scheme import Scheme

        return Scheme(bits, self.configuration.block_size, symmetric=False)

    def _sensitivities(self, opened: Source, chosen: Sequence[Product]) -> dict[str, float]:
        from compiler.artifact.steps.quantization import likeness, sensitivity
        from compiler.artifact.steps.quantization.calibration import Calibration
        from compiler.artifact.steps.quantization.matrices import by_input

        few = {**self.configuration.calibrate}
        few["samples"] = min(few.get("samples", sensitivity.TEXTS), sensitivity.TEXTS)
        weights = list(dict.fromkeys(product.weight for product in chosen))
        work = sum(product.matrix.depth * product.matrix.columns for product in chosen) * len(weights)
        if work > _MOST_WORK:
            runs = Calibration.of(self.source, list(by_input(chosen)), few, self.bench)
            return sensitivity.of_products(opened, chosen, runs, self._scheme(4))
        metric = likeness.metric_of(opened.model)
        runs = Calibration.of(self.source, [likeness.answer(opened.model, metric)], few, self.bench, weights)
        return sensitivity.of_answers(opened, chosen, runs, metric, self._scheme(4), self.bench.tell)

    def to_size(self, candidates: Mapping[str, Candidate], limit: int) -> set[str]:
        """Which matrices get 8 bits."""
        from compiler.artifact.steps.quantization import search

        everything = self.write(self.bench.scratch / "candidate.onnx", set(), lambda share: None)
        return search.to_size(candidates, everything, limit)

    def to_quality(self, candidates: Mapping[str, Candidate], metric: Metric, limit: float) -> tuple[set[str], float]:
        """Which matrices get 8 bits, and the quality then. Raises Refused if 8 bits for all do not reach it."""
        from compiler.artifact.graph import graphs
        from compiler.artifact.steps.quantization import likeness, search
        from compiler.artifact.steps.quantization.calibration import Calibration

        name = likeness.answer(graphs.load(self.source, weights=False), metric)
        original = Calibration.of(self.source, [name], self.configuration.calibrate, self.bench)
        path = self.bench.scratch / "candidate.onnx"

        def reaches(large: frozenset[str]) -> bool:
            self.write(path, set(large), lambda share: None)
            other = replace(original, source=path, beside=self.source)
            found = self.measured[large] = likeness.likeness(metric, name, original, other)
            return found >= limit if metric == "cosine" else found <= limit

        large = search.to_quality(candidates, reaches)
        if large is None:
            best = self.measured[frozenset(candidates)]
            raise Refused(f"`target.{metric}` is {limit:g}; with 8 bits for every matrix it is {best:.3g}.")
        return large, self.measured[frozenset(large)]

    def write(self, path: Path, large: set[str], tell: Any) -> int:
        """Write the graph with 8 bits for these matrices, and give the bytes of its weights."""
        from compiler.artifact.graph import graphs
        from compiler.artifact.graph.weights import Source
        from compiler.artifact.steps.quantization.blockwise import rounding
        from compiler.artifact.steps.quantization.blockwise.engine import Engine, Method
        from compiler.artifact.steps.quantization.matrices import Lookup, find

        embeddings = _EMBEDDING_BITS.get(self.configuration.embeddings)

        def choose(found: Any) -> Scheme | None:
            if isinstance(found, Lookup):
                return self._scheme(embeddings) if embeddings else None
            return self._scheme(8 if found.weight in large else 4) if found.weight in self.weights else None

        with Source(self.source) as opened:
            engine = Engine(opened, find(opened.model), _INT8_ACTIVATIONS, Method(lambda matrix: rounding.quantize))
            engine.run(choose, path, self.bench.threads, tell)
        return graphs.weight_bytes(graphs.load(path, weights=False))
