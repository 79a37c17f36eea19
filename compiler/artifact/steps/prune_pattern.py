"""`prune` with method `n-of-m`: N of every M weights in a row become zero, along the inputs of a product.

Size: as large as before, and smaller once compressed. Time and memory: as before on every CPU kernel of ONNX Runtime;
2 of 4 is what NVIDIA's sparse tensor cores (Ampere and later) need, through another runtime. Quality: worse than
`magnitude` at the same share, which chooses freely: the model of the example lost 0.67 nats (KL) at 2 of 4, against
0.39. Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from compiler.artifact.steps.step import Bench, Effect, Refused

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True


@dataclass(frozen=True, slots=True)
class Configuration:
    n: int = 2
    m: int = 4
    method: Literal["n-of-m"] = "n-of-m"


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Prune every matrix of MatMul and Gemm. Embeddings, norms and biases stay."""
    from compiler.artifact.graph import graphs
    from compiler.artifact.graph.wiring import Wiring, matrices
    from compiler.artifact.steps.pruning.zeroing import pattern, rests, zero

    n, m = configuration.n, configuration.m
    if n >= m:
        raise Refused(f"`n` is {n} and `m` is {m}: that leaves no weight in any matrix.")
    effect = zero(source, target, lambda weights, dense: pattern(weights, dense, n, m), bench)
    return replace(effect, remarks=tuple(rests(matrices(Wiring(graphs.load(target, weights=False))), m)))
