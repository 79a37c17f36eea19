"""Which module does which step: the keys are spelt as `compiler.plan.planner.step_name` does."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.artifact.steps import (
    convert_opset,
    extract,
    fix_shapes,
    optimize,
    ort_format,
    quantize_blockwise,
    quantize_dynamic,
)
from compiler.artifact.steps.step import Step

STEPS: Mapping[str, Step] = {
    "optimize": optimize,
    "quantize/int8-dynamic": quantize_dynamic,
    "quantize/int4": quantize_blockwise,
    "quantize/int8": quantize_blockwise,
    "fix-shapes": fix_shapes,
    "convert-opset": convert_opset,
    "extract": extract,
    "ort-format": ort_format,
}
