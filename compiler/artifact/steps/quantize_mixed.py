"""`quantize` with scheme `mixed`: 4 bits for most matrices, 8 for those that 4 bits hurt most.

Measured as `quantize_dynamic` says. The example's decoder, in nats of KL divergence on other texts than it was
calibrated on: 4 bits for all 0.0115 (1.73 MB), aiming at 0.005 0.0055 (1.96 MB), at 0.001 0.0012 (2.49 MB), 8 bits for
all 0.0002 (2.84 MB). all-MiniLM-L6-v2: mean cosine 0.9904 in 23.1 MB and 0.9990 in 26.4 MB (float32: 90.9), 1.1 times
as fast as float32: products in blocks are slower than those of `int8-dynamic` for many tokens at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

if TYPE_CHECKING:
    from compiler.artifact.steps.quantization.likeness import Metric
    from compiler.artifact.steps.quantization.products import Product
    from compiler.artifact.steps.quantization.search import Candidate
    from compiler.artifact.weights import Source

VERSION = 1
REPRODUCIBLE = False
"""What is measured comes out of floating point sums, whose last bits depend on the kind of processor."""

SUFFIX = ".onnx"

_MOST_WORK = 20_000_000_000
"""Multiplications for each token up to which the model is run once for each matrix: minutes, not hours."""

_EMBEDDING_BITS = {"int8": 8, "int4": 4}


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
        "left": list(left),
    }
    if quality is not None:
        report[goal] = quality
    return Effect(True, tuple(Remark(sentence) for sentence in left), report)


@dataclass(frozen=True, slots=True)
class _Work:
    source: Path
    target: Path
    configuration: Configuration
    bench: Bench
    measured: dict[frozenset[str], float] = field(default_factory=dict)

    def candidates(self) -> tuple[dict[str, Candidate], tuple[str, ...]]:
        """The matrices, and what cannot be quantized."""
        from compiler.artifact.steps.quantization import embeddings, matrices, nbits, products
        from compiler.artifact.steps.quantization.search import Candidate
        from compiler.artifact.weights import Source

        size = self.configuration.block_size
        with Source(self.source) as opened:
            found = products.products(opened.model)
            chosen = found.or_refused(opened.model)
            tables = [node.input[0] for node in embeddings.tables(opened.model)]
            matrices.require_finite(opened, [*tables, *(product.weight for product in chosen)])
            measured = self._sensitivities(opened, chosen)
            candidates = {}
            for product in chosen:
                tensor = opened.tensors[product.weight]
                small, large = (
                    sum(new.bytes for new in nbits.tensors(tensor, product.transposed, bits, size)) for bits in (4, 8)
                )
                candidates[product.weight] = Candidate(measured[product.weight], small, large)
        return candidates, found.left

    def _sensitivities(self, opened: Source, chosen: Sequence[Product]) -> dict[str, float]:
        from compiler.artifact.steps.quantization import likeness, nbits, products, sensitivity
        from compiler.artifact.steps.quantization.calibration import Calibration

        few = {**self.configuration.calibrate}
        few["samples"] = min(few.get("samples", sensitivity.TEXTS), sensitivity.TEXTS)
        size = self.configuration.block_size
        weights = list(dict.fromkeys(product.weight for product in chosen))
        work = sum(math.prod(nbits.shape(opened.tensors[p.weight], p.transposed)) for p in chosen) * len(weights)
        if work > _MOST_WORK:
            runs = Calibration.of(self.source, list(products.by_input(chosen)), few, self.bench)
            return sensitivity.of_products(opened, chosen, runs, size)
        metric = likeness.metric_of(opened.model)
        runs = Calibration.of(self.source, [likeness.answer(opened.model, metric)], few, self.bench, weights)
        return sensitivity.of_answers(opened, chosen, runs, metric, size, self.bench.tell)

    def to_size(self, candidates: Mapping[str, Candidate], limit: int) -> set[str]:
        """Which matrices get 8 bits."""
        from compiler.artifact.steps.quantization import search

        everything = self.write(self.bench.scratch / "candidate.onnx", set(), lambda share: None)
        return search.to_size(candidates, everything, limit)

    def to_quality(self, candidates: Mapping[str, Candidate], metric: Metric, limit: float) -> tuple[set[str], float]:
        """Which matrices get 8 bits, and the quality then. Raises Refused if 8 bits for all do not reach it."""
        from compiler.artifact import graphs
        from compiler.artifact.steps.quantization import likeness, search
        from compiler.artifact.steps.quantization.calibration import Calibration

        name = likeness.answer(graphs.load(self.source, weights=False), metric)
        original = Calibration.of(self.source, [name], self.configuration.calibrate, self.bench)
        path = self.bench.scratch / "candidate.onnx"

        def reaches(large: frozenset[str]) -> bool:
            self.write(path, set(large), lambda share: None)
            other = Calibration.of(path, [name], self.configuration.calibrate, self.bench)
            found = self.measured[large] = likeness.likeness(metric, name, original, other)
            return found >= limit if metric == "cosine" else found <= limit

        large = search.to_quality(candidates, reaches)
        if large is None:
            best = self.measured[frozenset(candidates)]
            raise Refused(f"`target.{metric}` is {limit:g}; with 8 bits for every matrix it is {best:.3g}.")
        return large, self.measured[frozenset(large)]

    def write(self, path: Path, large: set[str], tell: Any) -> int:
        """Write the graph with 8 bits for these matrices, and give the bytes of its weights."""
        from compiler.artifact import graphs
        from compiler.artifact.steps.quantization import embeddings, nbits, products, rewrite
        from compiler.artifact.steps.quantization.assembly import Assembly
        from compiler.artifact.weights import Source

        bits = _EMBEDDING_BITS.get(self.configuration.embeddings)
        size = self.configuration.block_size
        with Source(self.source) as opened:
            chosen = products.products(opened.model).found
            assembly = Assembly(opened)
            form = nbits.Form(assembly, {p.weight: 8 if p.weight in large else 4 for p in chosen}, size)
            products.import_domain(opened.model, embeddings.DOMAIN)
            rewritten = assembly.finish(chosen, form.add, embeddings.Blocks(bits, size) if bits else None)
            rewrite.write(opened, path, rewritten, self.bench.threads, tell)
        return graphs.weight_bytes(graphs.load(path, weights=False))
