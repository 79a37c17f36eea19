"""Which module does which step: the keys are spelt as `compiler.plan.planner.step_name` does."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.artifact.steps import (
    convert_opset,
    extract,
    fix_shapes,
    merge_adapter,
    optimize,
    ort_format,
    prune_heads,
    prune_magnitude,
    prune_neurons,
    prune_pattern,
    quantize_blockwise,
    quantize_dynamic,
    quantize_half,
    quantize_mixed,
    quantize_static,
    sparse_encode,
)
from compiler.artifact.steps.convert import executorch, gguf, litert, openvino
from compiler.artifact.steps.package import genai
from compiler.artifact.steps.step import Step

STEPS: Mapping[str, Step] = {
    "convert/executorch": executorch,
    "convert/gguf": gguf,
    "convert/litert": litert,
    "convert/openvino": openvino,
    "optimize": optimize,
    "package/genai": genai,
    "quantize/int8-dynamic": quantize_dynamic,
    "quantize/int8-static": quantize_static,
    "quantize/mixed": quantize_mixed,
    "quantize/int4": quantize_blockwise,
    "quantize/int8": quantize_blockwise,
    "fix-shapes": fix_shapes,
    "convert-opset": convert_opset,
    "extract": extract,
    "ort-format": ort_format,
    "prune/magnitude": prune_magnitude,
    "prune/n-of-m": prune_pattern,
    "prune/heads": prune_heads,
    "prune/neurons": prune_neurons,
    "sparse-encode": sparse_encode,
    "merge-adapter": merge_adapter,
    "quantize/fp16": quantize_half,
}

MAKE_ZEROS = frozenset({"prune/magnitude", "prune/n-of-m"})
"""Steps whose zeros later ones must keep."""
