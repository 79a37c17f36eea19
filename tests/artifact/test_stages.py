"""Which steps run for which artifacts: recipes that begin alike share their beginning."""

from __future__ import annotations

from dataclasses import replace

from compiler.artifact.making.stages import Stage, keys, shared_keys, stages
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Recipe, Step
from compiler.plan.actions import Action, Baseline
from compiler.plan.planner import Tools, plan
from tests.values import MODEL_SOURCE, PLACE, RUN, fleet_of

_TOOLS = Tools({"optimize": 1, "quantize/int4": 1, "quantize/int8": 1, "prune/heads": 1}, {"onnx": "1"})
OPTIMIZE, PRUNE = Step("optimize", {"level": "extended"}, PLACE), Step("prune", {"method": "heads"}, PLACE)
INT4, INT8 = (Step("quantize", {"scheme": scheme}, PLACE) for scheme in ("int4", "int8"))


def _actions(**recipes: tuple[Step, ...]) -> tuple[Action, ...]:
    fleets = [fleet_of(replace(RUN, recipe=Recipe(name, steps, (), PLACE))) for name, steps in recipes.items()]
    return plan(fleets, Inputs({MODEL_SOURCE.model: MODEL_SOURCE}), Baseline(), _TOOLS).actions


def _shown(found: list[Stage]) -> list[tuple[str, int, str, bool, list[str]]]:
    """Recipe, number, step, shared, and the recipes that end there."""
    return [
        (stage.action.recipe.name, stage.number, stage.step_name, stage.shared, [a.recipe.name for a in stage.ends])
        for stage in found
    ]


def test_a_common_beginning_runs_once() -> None:
    actions = _actions(a=(OPTIMIZE, PRUNE, INT4), b=(OPTIMIZE, PRUNE, INT8), c=(OPTIMIZE, INT8), d=(INT8,))
    found = stages(actions, shared_keys(actions), lambda key: False)
    assert _shown(found) == [
        ("a", 0, "optimize", True, []),
        ("a", 1, "prune/heads", True, []),
        ("a", 2, "quantize/int4", False, ["a"]),
        ("b", 2, "quantize/int8", False, ["b"]),
        ("c", 1, "quantize/int8", False, ["c"]),
        ("d", 0, "quantize/int8", False, ["d"]),
    ]
    optimized, pruned = found[0].key, found[1].key
    assert [stage.before for stage in found] == [None, optimized, pruned, pruned, optimized, None]
    assert [stage.key for stage in found[:3]] == keys(actions[0])


def test_an_artifact_may_be_on_the_way_to_another() -> None:
    actions = _actions(whole=(OPTIMIZE, INT4), part=(OPTIMIZE,))
    found = stages(actions, shared_keys(actions), lambda key: False)
    assert _shown(found) == [("part", 0, "optimize", True, ["part"]), ("whole", 1, "quantize/int4", False, ["whole"])]


def test_recipes_with_the_same_steps_have_one_artifact_and_share_nothing_else() -> None:
    actions = _actions(one=(OPTIMIZE, INT4), two=(OPTIMIZE, INT4))
    assert shared_keys(actions) == frozenset()
    assert _shown(stages(actions, frozenset(), lambda key: False)) == [
        ("one", 0, "optimize", False, []),
        ("one", 1, "quantize/int4", False, ["one", "two"]),
    ]


def test_what_the_store_has_is_not_made_again() -> None:
    actions = _actions(a=(OPTIMIZE, PRUNE, INT4), b=(OPTIMIZE, PRUNE, INT8))
    shared = shared_keys(actions)
    pruned = keys(actions[0])[1]
    found = stages(actions, shared, lambda key: key == pruned)
    assert [(stage.before, stage.step_name) for stage in found] == [
        (pruned, "quantize/int4"),
        (pruned, "quantize/int8"),
    ]


def test_sharing_is_a_matter_of_the_whole_plan() -> None:
    actions = _actions(a=(OPTIMIZE, INT4), b=(OPTIMIZE, INT8))
    [first, _] = stages(actions[:1], shared_keys(actions), lambda key: False)
    assert first.shared
