"""Parts of a plan: together they are the plan, and none has what another has."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Recipe, Step
from compiler.plan.actions import Baseline, Plan
from compiler.plan.planner import Tools, plan
from compiler.plan.shards import Shard
from tests.values import MODEL_SOURCE, PLACE, RUN, fleet_of

_TOOLS = Tools({"quantize/int4": 1}, {"onnx": "1"})


def _plan(count: int) -> Plan:
    recipes = [
        Recipe(f"r{n}", (Step("quantize", {"scheme": "int4", "blockSize": n}, PLACE),), (), PLACE) for n in range(count)
    ]
    fleets = [fleet_of(replace(RUN, recipe=recipe)) for recipe in recipes]
    return plan(fleets, Inputs({MODEL_SOURCE.model: MODEL_SOURCE}), Baseline(), _TOOLS)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_shards_are_the_plan_and_disjoint(count: int) -> None:
    whole = _plan(40)
    parts = [Shard(number, count).of(whole).actions for number in range(1, count + 1)]
    together = [action for part in parts for action in part]
    assert len(together) == 40
    assert {action.name for action in together} == {action.name for action in whole.actions}
    assert all(list(part) == [action for action in whole.actions if action in part] for part in parts)


def test_a_shard_has_a_fair_part() -> None:
    whole = _plan(200)
    assert [30 < len(Shard(number, 4).of(whole).actions) < 70 for number in range(1, 5)] == [True] * 4


def test_an_artifact_stays_in_its_shard_whatever_else_is_in_the_plan() -> None:
    few, many = _plan(5), _plan(40)
    for action in few.actions:
        [number] = [n for n in range(1, 4) if action in Shard(n, 3).of(few).actions]
        assert action.key in {other.key for other in Shard(number, 3).of(many).actions}


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "a/3", "1/3/5", "-1/3", "1 / 3", "²/3", "01/3"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"`{re.escape(text)}`"):
        Shard.parse(text)


def test_parts_are_counted_from_one() -> None:
    assert (Shard.parse("1/1"), Shard.parse("12/12")) == (Shard(1, 1), Shard(12, 12))
