"""What is built, and why: whole plans for small fleets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.fleet.fingerprint import Inputs
from compiler.plan.actions import Action, Baseline, Locked, Plan, Reason, Verb
from compiler.plan.planner import Tools, plan
from tests.values import FLEET, MODEL, MODEL_SOURCE, RECIPE, RUN, digest, fleet_of

TOOLS = Tools({"optimize": 1, "quantize/int4": 2}, {"onnxruntime": "1.32.0"})
STEPS = (
    {"kind": "optimize", "version": 1, "level": "extended"},
    {"kind": "quantize", "version": 2, "scheme": "int4", "blockSize": 32, "symmetric": False},
)


def planned(tools: Tools = TOOLS, baseline: Baseline | None = None) -> Action:
    (action,) = plan([FLEET], Inputs({MODEL.id: MODEL_SOURCE}), baseline or Baseline(), tools).actions
    return action


def locked(action: Action, **changes: str) -> Baseline:
    """The lock that a compile of `action` would have left, with some digests changed."""
    from compiler.base import digests

    steps = digests.of_value(list(STEPS))
    entry = Locked(action.key, MODEL_SOURCE.digest, MODEL.task, steps, MODEL_SOURCE.evaluation, digest("c"))
    return Baseline({action.name: replace(entry, **changes)})


def test_new_artifact_has_everything_in_its_key() -> None:
    action = planned()
    assert (action.verb, action.reason, action.name) == (Verb.BUILD, Reason.NEW, "assistant-1.4.0-int4")
    assert action.inputs.source == MODEL_SOURCE.digest
    assert action.inputs.task == MODEL.task
    assert action.inputs.steps == STEPS
    assert action.inputs.tools == {"onnxruntime": "1.32.0"}


def test_unchanged_artifact_is_kept() -> None:
    before = planned()
    action = planned(baseline=locked(before))
    assert action == replace(before, verb=Verb.KEEP, reason=Reason.UNCHANGED, locked=action.locked)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": digest("0")}, Reason.SOURCE),
        ({"task": "embeddings"}, Reason.TASK),
        ({"task": "embeddings", "steps": digest("0")}, Reason.TASK),
        ({"task": "", "key": digest("0")}, Reason.TOOLS),
        ({"steps": digest("0")}, Reason.RECIPE),
        ({"evaluation": digest("0")}, Reason.EVALUATION),
        ({"key": digest("0")}, Reason.TOOLS),
        ({"key": digest("0"), "steps": digest("0"), "source": digest("0")}, Reason.SOURCE),
    ],
)
def test_reason_is_the_first_difference(changes: dict[str, str], reason: Reason) -> None:
    action = planned(baseline=locked(planned(), **changes))
    assert (action.verb, action.reason) == (Verb.BUILD, reason)


def test_step_version_is_part_of_the_key() -> None:
    assert planned().key != planned(replace(TOOLS, steps={"optimize": 1, "quantize/int4": 3})).key


def test_library_version_is_part_of_the_key() -> None:
    assert planned().key != planned(replace(TOOLS, libraries={"onnxruntime": "1.33.0"})).key


def test_runs_with_one_model_and_recipe_share_an_artifact() -> None:
    fleets = [FLEET, replace(fleet_of(replace(RUN, name="other", threads=1)), name="second")]
    assert [action.name for action in plan(fleets, Inputs({MODEL.id: MODEL_SOURCE}), Baseline(), TOOLS).actions] == [
        "assistant-1.4.0-int4"
    ]


def test_what_no_run_needs_is_dropped() -> None:
    entry = locked(planned()).artifacts["assistant-1.4.0-int4"]
    fleet = fleet_of(replace(RUN, recipe=replace(RECIPE, name="int8")))
    result = plan([fleet], Inputs({MODEL.id: MODEL_SOURCE}), Baseline({"assistant-1.4.0-int4": entry}), TOOLS)
    assert result == Plan(result.actions, ("assistant-1.4.0-int4",))


def test_model_that_could_not_be_read_is_left_out() -> None:
    assert plan([FLEET], Inputs({}), Baseline(), TOOLS) == Plan((), ())
