"""`optimize`: onnxruntime's own graph optimization, saved instead of repeated at every start.

Size: a little less, where constants fold. Quality: unchanged up to the last bits of float32. Speed: a faster start.
Once loaded, the model runs as before: onnxruntime optimizes whatever it loads. `transformer` also fuses what that does
not fuse, which has to be measured: on the CPU where it was tried (one thread of x86 with AVX512-VNNI, an encoder of
MiniLM's shape, 128 tokens, onnxruntime 1.32) fused attention was slower, 19.6 ms against 16.7, and 9.0 against 7.2
after `int8-dynamic`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

VERSION = 2
REPRODUCIBLE = True
SUFFIX = ".onnx"

_KEPT_APART = ("AttentionFusion", "EmbedLayerNormFusion")
"""Optimizers that put weights where no later step looks for them. onnxruntime runs them when it loads the result."""


@dataclass(frozen=True, slots=True)
class Configuration:
    level: Literal["basic", "extended"] = "extended"
    transformer: Literal["bert", "gpt2", "bart", "vit", "t5"] | None = None


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Optimize at level `basic` or `extended`, after the fusions of a kind of transformer; an effect is any change of
    the nodes.

    Never `all`: that rewrites the layout for the processor it runs on. Weights stay on the disk until somebody looks at
    them. Raises Refused for a graph that is made for one processor, and for one that computes on 16-bit floats, into
    which onnxruntime would write casts where a processor has no such kernels.
    """
    from compiler.artifact.graph import graphs, outline
    from compiler.artifact.graph.operators import for_one_processor
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.inference import runtime

    before = graphs.load(source, weights=False)
    _check(before)
    fused: Mapping[str, int] = {}
    remarks: list[Remark] = []
    current = source
    if configuration.transformer:
        current = bench.scratch / "fused.onnx"
        fused, remarks = _fuse(source, current, configuration.transformer, bench)
    saved = bench.scratch / "optimized.onnx"
    runtime.save_optimized(current, saved, configuration.level, without=_KEPT_APART)
    with Source(saved) as weights:
        assert for_one_processor(weights.model) is None, "onnxruntime wrote an operator for this processor"
        outline.save(weights, weights.model, target)
    return Effect(*_change(before, graphs.load(target, weights=False), fused, remarks))


def _check(model: Any) -> None:
    from compiler.artifact.graph.operators import for_one_processor, half_node, named

    if (node := for_one_processor(model)) is not None:
        raise Refused(f"node {named(node)} (`{node.op_type}`) is made for the processor that optimized the graph.")
    if (node := half_node(model)) is not None:
        raise Refused(
            f"node {named(node)} (`{node.op_type}`) computes on 16-bit floats; onnxruntime would write casts into the "
            "graph that only some processors need. `optimize` goes before `quantize: fp16`."
        )


def _fuse(source: Path, fused: Path, kind: str, bench: Bench) -> tuple[Mapping[str, int], list[Remark]]:
    """The fusions look for constants, so the graph is folded first; constants that are alike stay apart, for them."""
    from compiler.artifact.graph import outline
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.inference import runtime
    from compiler.artifact.steps import fusions

    folded = bench.scratch / "folded.onnx"
    runtime.save_optimized(source, folded, "basic", without=("ConstantSharing",))
    with Source(folded) as weights:
        # The library reads a weight when it looks at it, from the folder it runs in.
        with contextlib.chdir(folded.parent):
            model, made, remarks = fusions.fuse(weights.model, kind, bench.model)
        outline.save(weights, model, fused)
    return made, remarks


def _change(
    before: Any, after: Any, fused: Mapping[str, int], remarks: list[Remark]
) -> tuple[bool, tuple[Remark, ...], dict[str, Any]]:
    """The fields of an Effect."""
    from compiler.artifact.graph import graphs

    was, now = graphs.operators(before), graphs.operators(after)
    made = {name: now[name] - was[name] for name in sorted(now) if now[name] > was[name]}
    report: dict[str, Any] = {"nodes": {"before": was.total(), "after": now.total()}, "made": made}
    return was != now, tuple(remarks), report | ({"fused": dict(fused)} if fused else {})
