"""`prune` with method `neurons`: whole neurons of the feed-forward layers go, and their matrices shrink.

Size, memory and time: less on every processor, in proportion to the share of the model that these layers are.
Quality: worse than zeros of the same number, since a neuron's large weights go too; without fine-tuning the model of
the example lost 0.11 nats (KL) at 10 % and 0.91 at 25 %. Block-wise quantization wants what is left to be a multiple
of its block, or pads. Li et al. 2017, "Pruning Filters for Efficient ConvNets", for the choice by norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True

_LOOKED_FOR = (
    "two products with constant float matrices (MatMul or Gemm) and between them nothing but an activation such as "
    "Relu, Gelu or a gate, and additions of constant vectors"
)


@dataclass(frozen=True, slots=True)
class Configuration:
    share: float
    method: Literal["neurons"] = "neurons"


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Prune each layer by the same share, rounded down; the neurons with the smallest norms of weights go."""
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.graph.wiring import Wiring
    from compiler.artifact.steps.pruning.neurons import layers
    from compiler.artifact.steps.pruning.structure import own, removed, shrink

    with Source(source) as weights:
        wiring = Wiring(weights.model)
        remarks, found = [], []
        for layer in layers(wiring):
            if shared := own(wiring, layer):
                remarks.append(Remark(f"The neurons before `{layer.name}` stay: another node reads `{shared}` too."))
            else:
                found.append(layer)
        if not found:
            none = f"The graph has no feed-forward layer to shrink, which would be {_LOOKED_FOR}."
            raise Refused(remarks[0].message if remarks else none)
        shrunk = shrink(weights, target, found, configuration.share, bench)
    few = [layer for layer in found if not removed(layer, configuration.share)]
    if few:
        remarks.append(
            Remark(f"{configuration.share:.0%} of the {few[0].units} neurons before `{few[0].name}` is none.")
        )
    return Effect(
        len(few) < len(found), tuple(remarks), {"layers": shrunk.layers}, shape={"parameters": shrunk.parameters}
    )
