"""Which module does which step: the keys are spelt as `compiler.plan.planner.step_name` does."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.artifact.steps import optimize, quantize_blockwise, quantize_dynamic
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
    "quantize/int4": quantize_blockwise,
    "quantize/int8": quantize_blockwise,
}
