"""Do 8-bit products overflow on a cohort's processors.

onnxruntime multiplies unsigned 8-bit activations by signed 8-bit weights. x86 without VNNI does that with VPMADDUBSW,
which adds two products up in 16 bits and saturates: 255 × 127 × 2 does not fit, 255 × 64 × 2 does.
"""

from __future__ import annotations

from collections.abc import Iterable

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import DeviceClass, Fleet, Recipe, Step

_EXACT = frozenset({"avx-vnni", "avx512-vnni", "avx10", "amx-int8"})
"""Features with which x86 adds 8-bit products up in 32 bits."""


def saturating(fleets: Iterable[Fleet]) -> list[Diagnostic]:
    """A warning for each step that makes 8-bit weights for classes of device that they overflow on."""
    found: dict[tuple[str, int], tuple[Recipe, int, Step, set[str]]] = {}
    for fleet in fleets:
        for cohort in fleet.cohorts:
            if not _overflows(cohort.device_class):
                continue
            for run in cohort.runs:
                for number, step in enumerate(run.recipe.steps, 1):
                    if _full_range(step):
                        entry = found.setdefault((run.recipe.name, number), (run.recipe, number, step, set()))
                        entry[3].add(cohort.device_class.name)
    return [_warning(*entry) for entry in found.values()]


def _overflows(hardware: DeviceClass) -> bool:
    if hardware.arch != "amd64":
        return False
    return _EXACT.isdisjoint(feature.lower().replace("_", "-") for feature in hardware.isa)


def _full_range(step: Step) -> bool:
    """Whether the step's products are of 8 by 8 bits, with weights of the full range."""
    parameters = step.parameters
    if step.kind != "quantize" or parameters.get("reduceRange"):
        return False
    scheme = parameters.get("scheme")
    return scheme == "int8-dynamic" or (scheme == "int8-static" and parameters.get("activations") != "int16")


def _warning(recipe: Recipe, number: int, step: Step, classes: set[str]) -> Diagnostic:
    names = ", ".join(f"`{name}`" for name in sorted(classes))
    return Diagnostic(
        Code.SATURATING_INT8,
        f"Step {number} (`{step.kind}`) of recipe `{recipe.name}` makes 8-bit products, which overflow on x86 without "
        f"VNNI: `isa` of {names} has none.",
        step.place,
        help="Set `reduceRange: true`, which rounds weights to 7 bits; or, if the processor has it, name `avx-vnni` or "
        "`avx512-vnni` in the class's `isa`.",
    )
