"""Parameters of recipe steps that do not go together, found before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.quantize_spec import QuantizeBlockwiseStep


def check_steps(blueprint: Blueprint) -> list[Diagnostic]:
    """Every clash of every declared recipe, used or not, at the value that is one too many."""
    places = blueprint.places
    found = []
    for name, recipe in blueprint.recipes.items():
        for number, step in enumerate(recipe.steps):
            at = ("recipes", name, "steps", number)
            for key, message, help in _clashes(step):
                place = places.value(*at, key) if places.has(*at, key) else places.value(*at)
                found.append(Diagnostic(Code.BAD_VALUE, message, place, help=help))
    return found


def _clashes(step: Any) -> Iterator[tuple[str, str, str]]:
    """Key, message and help of what does not go together."""
    if not isinstance(step, QuantizeBlockwiseStep):
        return
    if step.method == "gptq" and step.calibrate is None:
        yield "method", "`gptq` chooses values by data, and `calibrate` is missing.", "Add `calibrate: {data: …}`."
    if step.method != "gptq" and step.calibrate is not None:
        yield "calibrate", f"`{step.method}` looks at no data.", "Leave it out, or choose `method: gptq`."
    if step.method == "hqq" and step.scheme != "int4":
        yield "method", "`hqq` is for `scheme: int4` alone.", "Choose another method: 8 bits need none."
    if step.method in ("hqq", "k-quant") and step.symmetric:
        yield "symmetric", f"`{step.method}` is never symmetric.", "Leave it out, or choose `rtn` or `gptq`."
