"""`prune` with method `heads`: whole attention heads go. Their matrices shrink, and a decoder's KV cache with them.

Size, memory and time: less on every processor; with a long context the cache is what counts. Quality: much is lost
where a model has few heads: the example's, which has two groups a layer, lost 0.67 nats (KL) with one of them. In
grouped-query attention a key and value head goes with all its query heads, since the operator wants groups of one
size. Michel et al. 2019, "Are Sixteen Heads Really Better than One?".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compiler.artifact.configuration import CONFIG, folder_with
from compiler.artifact.steps.step import Bench, Effect, Refused, Remark
from compiler.base import files

if TYPE_CHECKING:
    from compiler.artifact.graph.wiring import Wiring
    from compiler.artifact.steps.pruning.structure import Layer

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True

_LOOKED_FOR = (
    "a node GroupQueryAttention between products with constant float matrices, or MatMul, Reshape, Transpose, MatMul, "
    "Softmax, MatMul, Transpose, Reshape and MatMul as exporters of encoders write them. Attention that was fused, and "
    "quantized matrices, are not understood: prune first"
)


@dataclass(frozen=True, slots=True)
class Configuration:
    share: float
    method: Literal["heads"] = "heads"


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Prune each layer by the same share of its heads (of its groups, where they are grouped), rounded down.

    The heads with the smallest norm of value weights times that of output weights go. `genai_config.json` gets the new
    numbers.
    """
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.graph.wiring import Wiring
    from compiler.artifact.steps.pruning.structure import own, removed, shrink

    with Source(source) as weights:
        wiring = Wiring(weights.model)
        found, decoder = _layers(wiring)
        shared = {layer.name: name for layer in found if (name := own(wiring, layer))}
        remarks = [
            Remark(f"The heads at `{layer}` stay: another node reads `{name}` too.") for layer, name in shared.items()
        ]
        if decoder and shared:
            raise Refused(f"All layers of a decoder must lose heads, and another node reads `{min(shared.values())}`.")
        found = [layer for layer in found if layer.name not in shared]
        if not found:
            none = f"The graph has no attention to shrink, which would be {_LOOKED_FOR}."
            raise Refused(remarks[0].message if remarks else none)
        few = [layer for layer in found if not removed(layer, configuration.share)]
        shrunk = shrink(weights, target, found, configuration.share, bench)
    kind = "key and value heads" if decoder else "heads"
    remarks += (
        [Remark(f"{configuration.share:.0%} of the {few[0].units} {kind} at `{few[0].name}` is none.")] if few else []
    )
    shape = {"parameters": shrunk.parameters}
    if decoder and not few:
        groups = shrunk.layers[0]["after"]
        shape["kv_bytes_per_token"] = sum(one.cache_bytes(groups) for one in decoder)
        _configure(source, target, bench, groups, decoder[0].queries)
    report = {"layers": shrunk.layers, "units": kind, "shareAsked": configuration.share}
    return Effect(len(few) < len(found), tuple(remarks), report | {"shareReached": _reached(shrunk.layers)}, shape)


def _reached(layers: list[dict[str, Any]]) -> float:
    """Share of the units in these layers that went: whole ones go, so it may be less than what was asked for."""
    before, after = (sum(int(layer[when]) for layer in layers) for when in ("before", "after"))
    return round(1 - after / before, 4)


def _layers(wiring: Wiring) -> tuple[list[Layer], list[Any]]:
    """The attention of the graph; of a decoder with grouped heads also what is around each of its nodes."""
    from compiler.artifact.steps.pruning import grouped, plain

    nodes = [grouped.Grouped(wiring, node) for node in wiring.graph.node if node.op_type == grouped.OPERATOR]
    if not nodes:
        return list(plain.layers(wiring)), []
    if len({(one.groups, one.queries) for one in nodes}) > 1:
        raise Refused("The layers have different numbers of heads, which `genai_config.json` cannot say.")
    return [one.layer() for one in nodes], nodes


def _configure(source: Path, target: Path, bench: Bench, groups: int, queries: int) -> None:
    """Write the numbers of heads into the configuration, as the last step or the model has it."""
    path = folder_with(CONFIG, source, bench.model) / CONFIG
    if not path.exists():
        return
    config = json.loads(path.read_bytes())
    decoder = config["model"]["decoder"]
    decoder["num_key_value_heads"] = groups
    decoder["num_attention_heads"] = groups * queries
    files.write(target.parent / CONFIG, (json.dumps(config, indent=4, ensure_ascii=False) + "\n").encode())
