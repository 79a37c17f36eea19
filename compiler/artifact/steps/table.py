"""Which module does which step: the keys are spelt as `compiler.plan.planner.step_name` does."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.artifact.steps import optimize, quantize_blockwise, quantize_dynamic, quantize_mixed, quantize_static
from compiler.artifact.steps.step import Step

STEPS: Mapping[str, Step] = {
    "optimize": optimize,
    "quantize/int8-dynamic": quantize_dynamic,
    "quantize/int8-static": quantize_static,
    "quantize/mixed": quantize_mixed,
    "quantize/int4": quantize_blockwise,
    "quantize/int8": quantize_blockwise,
}
