"""Which module does which step: the keys are spelt as `compiler.plan.planner.step_name` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from compiler.artifact.steps import optimize, quantize_blockwise, quantize_dynamic


class Step(Protocol):
    """A module of this package. `VERSION` is raised whenever the step's output changes."""

    VERSION: int

    def apply(self, source: Path, target: Path, parameters: Mapping[str, Any]) -> bool:
        """Make the ONNX file `target` from `source`; say whether that had an effect.

        Raises any exception when it cannot.
        """


STEPS: Mapping[str, Step] = {
    "optimize": optimize,
    "quantize/int8-dynamic": quantize_dynamic,
    "quantize/int4": quantize_blockwise,
    "quantize/int8": quantize_blockwise,
}
