"""Recipes whose 8-bit products overflow on a class: a warning for each step, with every such class."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from compiler.base.codes import Code
from compiler.fit.check import check
from compiler.fit.saturation import saturating
from compiler.fleet.graph import Fleet, Recipe, Step
from tests.values import CLASS, COHORT, FLEET, INT4, OPTIMIZE, PLACE, RUN, artifacts_of, fleet_of

DYNAMIC = {"scheme": "int8-dynamic", "perChannel": True, "reduceRange": False}
STATIC = {"scheme": "int8-static", "activations": "int8", "reduceRange": False}
OLD = replace(CLASS, name="old-pc", arch="amd64", isa=("avx2",))


def recipe_of(parameters: dict[str, Any]) -> Recipe:
    return Recipe("fast", (OPTIMIZE, Step("quantize", parameters, PLACE)), (), PLACE)


def fleet(parameters: dict[str, Any], *isa: str, arch: str = "amd64") -> Fleet:
    hardware = replace(OLD, isa=isa, arch=arch)
    return fleet_of(replace(RUN, recipe=recipe_of(parameters)), hardware)


@pytest.mark.parametrize("parameters", [DYNAMIC, STATIC], ids=["dynamic", "static"])
@pytest.mark.parametrize("isa", [("avx2",), ("avx512f",), ()], ids=["avx2", "avx512", "unknown"])
def test_products_of_the_full_range_overflow_without_vnni(parameters: dict[str, Any], isa: tuple[str, ...]) -> None:
    [finding] = saturating([fleet(parameters, *isa)])
    assert (finding.code, finding.span) == (Code.SATURATING_INT8, PLACE)
    assert finding.message == (
        "Step 2 (`quantize`) of recipe `fast` makes 8-bit products, which overflow on x86 without VNNI: "
        "`isa` of `old-pc` has none."
    )


@pytest.mark.parametrize(
    "calm",
    [
        fleet({**DYNAMIC, "reduceRange": True}, "avx2"),
        fleet({**STATIC, "reduceRange": True}, "avx2"),
        fleet({**STATIC, "activations": "int16"}, "avx2"),
        fleet(dict(INT4.parameters), "avx2"),
        fleet(DYNAMIC, "avx2", "avx-vnni"),
        fleet(DYNAMIC, "AVX512_VNNI"),
        fleet(STATIC, "avx512-vnni"),
        fleet(DYNAMIC, "neon", arch="arm64"),
    ],
    ids=["7-bit", "7-bit-static", "int16", "int4", "avx-vnni", "as-in-cpuinfo", "avx512-vnni", "arm64"],
)
def test_nothing_else_is_warned_of(calm: Fleet) -> None:
    assert saturating([calm]) == []


def test_one_warning_names_all_classes() -> None:
    run = replace(RUN, recipe=recipe_of(DYNAMIC))
    classes = [OLD, replace(OLD, name="kiosk"), OLD, replace(OLD, name="new-pc", isa=("avx-vnni",))]
    cohorts = tuple(replace(COHORT, runs=(run,), device_class=one) for one in classes)
    [finding] = saturating([replace(FLEET, cohorts=cohorts), replace(FLEET, cohorts=cohorts)])
    assert "`isa` of `kiosk`, `old-pc` has none" in finding.message


def test_check_reports_it() -> None:
    assert [finding.code for finding in check([fleet(DYNAMIC, "avx2")], artifacts_of())[1]] == [Code.SATURATING_INT8]
