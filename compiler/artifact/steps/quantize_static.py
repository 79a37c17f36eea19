"""`quantize` with scheme `int8-static`: 8-bit weights, and activations whose scales are found by calibration.

Measured as `quantize_dynamic` says. all-MiniLM-L6-v2: 90.9 to 24.1 MB, 2.1 times as fast as float32, which is no more
than dynamic scales give there; mean cosine

    minmax 0.9930   percentile 99.99 0.9928   entropy 0.9105   per tensor 0.9609
    smooth_quant 0.5: 0.9883   0.8: 0.9984   int16 activations: 0.9994, but 1.1 times as fast as float32

The example's decoder, whose activations have few outliers, in nats of KL divergence:

    minmax 0.0050   percentile 99.99 0.0036   entropy 0.54   smooth_quant 0.5: 0.016   0.8: 0.047   int16 0.0002

What all-MiniLM-L6-v2 still loses is lost in the products behind GELU. With these left to `quantize` with scheme `int8`
in blocks of 128, smoothing of 0.7 gives 0.9994, in half of float32's time on AVX512-VNNI (`benchmarks/recipes`).

So smoothing helps one model and harms another, and entropy clips values that transformers need: gate on quality. For
16-bit activations onnxruntime's CPU provider has no kernel of its own; it multiplies in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compiler.artifact.steps.step import Bench, Effect, Remark

if TYPE_CHECKING:
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.steps.quantization.matrices import Product
    from compiler.artifact.steps.quantization.static import Activations

VERSION = 2
REPRODUCIBLE = False
"""Scales come out of floating point sums, whose last bits depend on the kind of processor."""

SUFFIX = ".onnx"

_OPSET = 13
"""The first one whose DequantizeLinear has a scale for each channel."""

_EMBEDDING_BLOCK = 128
_LEVELS = {"int8": 128, "int16": 32768}
"""Of magnitudes."""


@dataclass(frozen=True, slots=True)
class Configuration:
    calibrate: Mapping[str, Any]
    scheme: Literal["int8-static"] = "int8-static"
    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    percentile: float = 99.99
    smooth_quant: float | None = None
    activations: Literal["int8", "int16"] = "int8"
    per_channel: bool = True
    reduce_range: bool = False
    embeddings: Literal["keep", "int8"] = "int8"
    leave: Sequence[str] = ()


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Quantize every product with a constant matrix but those to `leave`, and the embeddings in blocks. Nothing else:
    onnxruntime's default operators quantize what follows attention and norms too, which wrecks transformers.
    """
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.steps.quantization import products, rewrite, rows, static
    from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
    from compiler.artifact.steps.quantization.integers import Integers
    from compiler.artifact.steps.quantization.matrices import left_as_they_are

    with Source(source) as opened:
        found = products.products(opened.model)
        found = replace(found, chosen=products.without(found.chosen, configuration.leave))
        products.require_opset(opened.model, _OPSET, found.chosen[0])
        rows.require_finite(opened, found.weights)
        activations = _activations(opened, source, found.chosen, configuration, bench)
        integers = Integers(configuration.per_channel, configuration.reduce_range)
        embeddings = Scheme(8, _EMBEDDING_BLOCK, symmetric=False) if configuration.embeddings == "int8" else None
        rewritten, folded = static.quantized(opened, found, integers, activations, embeddings)
        rewrite.write(opened, target, rewritten, bench.threads, bench.tell)
    report = {
        "matrices": len({product.weight for product in found.chosen}),
        "ranges": {name: [one.low, one.high] for name, one in activations.ranges.items()},
        "smoothed": len(activations.factors),
        "smoothedInNorms": folded,
        "left": found.left,
    }
    return Effect(True, (Remark(left_as_they_are(found.left)),) if found.left else (), report)


def _activations(
    opened: Source, source: Path, chosen: tuple[Product, ...], configuration: Configuration, bench: Bench
) -> Activations:
    """What calibration says. The session that it takes is gone when weights are written."""
    from compiler.artifact.steps.quantization import ranges, smoothing
    from compiler.artifact.steps.quantization.calibration import Calibration
    from compiler.artifact.steps.quantization.matrices import by_input
    from compiler.artifact.steps.quantization.static import Activations

    groups = by_input(chosen)
    runs = Calibration.of(source, list(groups), configuration.calibrate, bench)
    seen = ranges.extremes(runs)
    factors: dict[str, Any] = {}
    if configuration.smooth_quant is not None:
        factors = smoothing.factors(opened, groups, seen, configuration.smooth_quant)
    smooth = {name: one.divided(factors.get(name, 1)) for name, one in seen.items()}
    divided = ({name: value / factors.get(name, 1) for name, value in run.items()} for run in runs)
    found = ranges.ranges(
        divided, smooth, configuration.method, configuration.percentile, _LEVELS[configuration.activations]
    )
    return Activations(configuration.activations, found, factors)
