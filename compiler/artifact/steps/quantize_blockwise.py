"""`quantize` with scheme `int4` or `int8`: weights in blocks that share one scale, for onnxruntime's MatMulNBits.

Size: with blocks of 32 a float32 matrix shrinks 6.4 times (int4) or 3.5 times (int8). Speed: with `activations: int8`
on processors with 8-bit dot products (AVX2 and later, NEON dotprod) faster than float32, most of all where memory is
what one waits for: a token at a time. With `activations: float32` int8 has no fast kernel and is far slower than
float32. Quality: int8 cannot be told from the original; int4 loses a few hundredths of a nat, less with smaller
blocks. `k-quant` searches scales (about ten times the work of `rtn`); `hqq` searches zero points that are no whole
numbers, for which onnxruntime has no fast kernel: about 1.7 times as slow as `rtn` to run; `gptq` spreads the error
of each weight over those not yet rounded, by what the model does on the calibration texts. These have to be many and
unlike: on 159 short sentences an encoder kept a cosine of 0.989 for such sentences, and for long texts 0.933, less than
`rtn` (0.958); with 133 paragraphs beside them 0.987 and 0.980.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

if TYPE_CHECKING:
    from compiler.artifact.steps.quantization.blockwise.engine import Choose, Method
    from compiler.artifact.steps.quantization.matrices import Found

VERSION = 3
SUFFIX = ".onnx"

_BITS: Mapping[str, Literal[4, 8]] = {"int4": 4, "int8": 8}

_INT8_ACTIVATIONS = 4
"""MatMulNBits' `accuracy_level`: multiply with activations rounded to 8 bits. On the model of the
example it made int4 1.4 and int8 13 times as fast as float32 activations, for 0.0002 nats of KL."""


@dataclass(frozen=True, slots=True)
class Configuration:
    scheme: Literal["int4", "int8"]
    method: Literal["rtn", "k-quant", "hqq", "gptq"] = "rtn"
    block_size: int = 32
    symmetric: bool = False
    embeddings: Literal["keep", "int8", "int4"] = "int8"
    head: Literal["keep", "quantize"] = "quantize"
    activations: Literal["float32", "int8"] = "int8"
    calibrate: Any = None


def reproducible(configuration: Configuration) -> bool:
    """Not with `gptq`: sums over what the model computes come out otherwise on another processor."""
    return configuration.method != "gptq"


REPRODUCIBLE = reproducible
STREAMS = True
THREADED = True


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Quantize every product with constant weights, and the token embeddings, tensor by tensor.

    Memory: a few pieces of 8 MiB, however large the model; with `gptq` also the statistics of some products.
    """
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.steps.quantization.blockwise.engine import Engine
    from compiler.artifact.steps.quantization.matrices import find

    if configuration.symmetric and configuration.method in ("k-quant", "hqq"):
        raise Refused(f"`method: {configuration.method}` chooses zero points, which `symmetric: true` does without.")
    if configuration.method == "hqq" and configuration.scheme == "int8":
        raise Refused("onnxruntime's CPU provider takes the zero points of `method: hqq` with 4 bits only.")
    with Source(source) as weights:
        found = find(weights.model)
        choose = _choice(configuration)
        if not any(choose(one) for one in found.all()):
            raise Refused(found.none(weights.model))
        level = _INT8_ACTIVATIONS if configuration.activations == "int8" else 0
        engine = Engine(weights, found, level, _method(configuration, source, found, bench))
        made = engine.run(choose, target, bench.threads, bench.tell)
        return Effect(True, tuple(_remarks(configuration, found)), {"quantized": made})


def _choice(configuration: Configuration) -> Choose:
    from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
    from compiler.artifact.steps.quantization.matrices import Lookup

    size, symmetric = configuration.block_size, configuration.symmetric
    product = Scheme(_BITS[configuration.scheme], size, symmetric, configuration.method)
    lookup = Scheme(_BITS[configuration.embeddings], size, symmetric) if configuration.embeddings != "keep" else None

    def choose(found: Any) -> Scheme | None:
        if isinstance(found, Lookup):
            return lookup
        return None if found.head and configuration.head == "keep" else product

    return choose


def _method(configuration: Configuration, source: Path, found: Found, bench: Bench) -> Method:
    from compiler.artifact.steps.quantization.blockwise import hqq, k_quant, rounding
    from compiler.artifact.steps.quantization.blockwise.engine import Method

    if configuration.method == "gptq":
        from compiler.artifact.steps.quantization.blockwise import gptq

        return gptq.method(source, found, configuration.calibrate or {}, bench)
    modules = {"rtn": rounding, "k-quant": k_quant, "hqq": hqq}
    quantize = modules[configuration.method].quantize
    return Method(lambda matrix: quantize)


def _remarks(configuration: Configuration, found: Found) -> list[Remark]:
    from compiler.artifact.steps.quantization.matrices import left_as_they_are

    said = [left_as_they_are(found.left)] if found.left else []
    if configuration.embeddings != "keep" and not found.lookups:
        said.append("No embeddings were quantized: no Gather looks up `input_ids` in a constant float matrix.")
    if configuration.head == "keep" and not any(product.head for product in found.products):
        said.append("`head: keep` kept nothing: no product with constant weights gives an output `logits`.")
    twice = {id(one.matrix.tensor): one.matrix.tensor.name for one in found.lookups}
    for product in found.products:
        if name := twice.pop(id(product.matrix.tensor), None):
            if product.head and configuration.head == "keep":
                said.append(
                    f"`{name}` stays as it was beside its quantized form: the head, which is kept, reads it, too."
                )
            elif configuration.embeddings != "keep":
                said.append(f"`{name}` is stored twice: as embeddings and, turned, as weights of a product.")
    return [Remark(sentence) for sentence in said]
