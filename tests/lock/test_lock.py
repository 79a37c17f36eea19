"""The lock: what goes in comes out, and what a locked compile takes from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import Answer, Artifacts, Figure, Golden, Quality, Refusal, Speed
from compiler.base.codes import Code
from compiler.fit.choose import Candidate, Decision
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Recipe
from compiler.lock.lock import Committed, Lock, Made, baseline, from_lock, locked_sources, make
from compiler.lock.text import dump, read
from compiler.plan.actions import Baseline, Plan, Reason, Verb
from compiler.plan.planner import Tools, plan
from tests.values import ARTIFACT, FLEET, MODEL, MODEL_SOURCE, ORIGINAL, PLACE, RUN, artifacts_of, digest, fleet_of

TOOLS = Tools({"optimize": 1, "quantize/int4": 1}, {"onnxruntime": "1.32.0"})
DECISION = Decision(
    "shops",
    "chat",
    "pi",
    "assistant@1.4.0",
    "size",
    "int4",
    (
        Candidate("int4", digest("c")),
        Candidate("int8", digest("d"), "`klDivergence` is too large"),
        Candidate("half", digest("e"), "the build did not hold `latency`", machine=True),
    ),
)
COMMITTED = Committed({"shops/pi/systemd": digest("9")}, {"shops/devices.csv": digest("8")})


def planned(last: Baseline | None = None) -> Plan:
    return plan([FLEET], Inputs({MODEL.id: MODEL_SOURCE}), last or Baseline(), TOOLS)


def lock() -> Lock:
    return make(Made(planned(), artifacts_of(held_gates={"tokensPerSecond.min": 20.0}), TOOLS, (DECISION,)), COMMITTED)


def test_lock_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "slmc.lock"
    path.write_bytes(dump(lock()))
    assert read(path) == (lock(), [])


def test_a_refusal_survives_and_gives_way_to_the_artifact(tmp_path: Path) -> None:
    """What a part of the workspace finds out takes the place of what the rest of the lock says."""
    (action,) = planned().actions
    choice = Recipe(
        "one of them", (), (), PLACE, (action.recipe, replace(action.recipe, name="other")), "size", (PLACE,) * 2
    )
    refusal = Refusal(action.key, 1, "There is no `batch`.")
    by_choice = Plan((replace(action, choices=(choice,)),), ())
    without = make(Made(by_choice, Artifacts({}, {}, {action.name: refusal}), TOOLS), COMMITTED, lock())
    (tmp_path / "slmc.lock").write_bytes(dump(without))
    assert read(tmp_path / "slmc.lock") == (without, [])
    assert (without.artifacts, without.refused[action.name].refusal) == ({}, refusal)
    assert plan([], Inputs({}), baseline(without), TOOLS).dropped == ()
    again = make(Made(planned(), artifacts_of(), TOOLS), COMMITTED, without)
    assert (set(again.artifacts), again.refused) == ({action.name}, {})
    (kept,) = planned(baseline(without)).actions
    assert (kept.verb, kept.reason) == (Verb.KEEP, Reason.UNCHANGED)
    _, (finding,) = from_lock(Plan((replace(kept, choices=(choice,)),), ()), without)
    assert (finding.code, finding.message) == (
        Code.CANDIDATE_DROPPED,
        "Recipe `int4` is dropped for `assistant@1.4.0`: step 2 (`quantize`) does not apply: There is no `batch`.",
    )
    _, (finding,) = from_lock(Plan((kept,), ()), without)
    assert finding.code is Code.STEP_INAPPLICABLE


def test_what_an_artifact_without_golden_answers_has_survives_too(tmp_path: Path) -> None:
    quality = Quality(
        {"texts": 12}, {"cosineMin": Figure(0.9512, None, None), "f1": Figure(1.0, 0.9, 1.0)}, digest("7")
    )
    answers = (Answer("a", "", (), (), (0.5, -0.25)), Answer("b", "", (), (), (1.0, 0.0)))
    golden = Golden("embeddings", 0.005, answers, (0.99,))
    for found in (None, golden):
        made = make(Made(planned(), artifacts_of(quality=quality, golden=found), TOOLS), COMMITTED)
        (tmp_path / "slmc.lock").write_bytes(dump(made))
        assert read(tmp_path / "slmc.lock") == (made, [])


def test_what_depends_on_the_machine_stays_out() -> None:
    speed = Speed(tokens_per_second=812.3, peak_memory=100, host="a processor")
    plain = make(Made(planned(), artifacts_of(), TOOLS), COMMITTED)
    measured = make(Made(planned(), artifacts_of(speed=speed, built=True), TOOLS), COMMITTED)
    assert dump(measured) == dump(plain)


def test_other_versions_of_the_tools_are_no_obstacle() -> None:
    action_by_other_tools = planned(baseline(lock()))
    assert [action.reason for action in action_by_other_tools.actions] == [Reason.TOOLS]
    artifacts, diagnostics = from_lock(action_by_other_tools, lock())
    assert diagnostics == []
    assert artifacts.artifacts == {ARTIFACT.name: replace(ARTIFACT, held_gates={"tokensPerSecond.min": 20.0})}
    assert artifacts.originals == {ORIGINAL.model: ORIGINAL}


def test_another_task_makes_the_lock_outdated() -> None:
    other = fleet_of(replace(RUN, model=replace(MODEL, task="embeddings")))
    changed = plan([other], Inputs({MODEL.id: MODEL_SOURCE}), baseline(lock()), TOOLS)
    _, (finding,) = from_lock(changed, lock())
    assert (finding.code, finding.message) == (
        Code.LOCK_OUTDATED,
        "Artifact `assistant-1.4.0-int4` has to be built: the model's task changed.",
    )


def test_a_lock_that_does_not_say_the_task_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slmc.lock"
    data = json.loads(dump(lock()))
    del data["artifacts"][ARTIFACT.name]["inputs"]["task"]
    path.write_text(json.dumps(data))
    found, diagnostics = read(path)
    assert (diagnostics, [entry.task for entry in found.artifacts.values()]) == ([], [""])
    assert [action.reason for action in planned(baseline(found)).actions] == [Reason.TOOLS]


def test_changed_source_makes_the_lock_outdated() -> None:
    changed = plan([FLEET], Inputs({MODEL.id: replace(MODEL_SOURCE, digest=digest("f"))}), baseline(lock()), TOOLS)
    _, (finding,) = from_lock(changed, lock())
    assert finding.code is Code.LOCK_OUTDATED
    assert finding.message == "Artifact `assistant-1.4.0-int4` has to be built: the model's files changed."


def test_lock_stands_in_for_absent_models() -> None:
    assert locked_sources(lock()) == {MODEL.id: MODEL_SOURCE}


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", "1:1", "Expecting value."),
        ("<<<<<<< HEAD\n{}", "1:1", "Expecting value."),
        ('{\n  "lockVersion": 2,\n', "3:1", "Expecting property name enclosed in double quotes."),
        ('{"lockVersion": 3}', "1:1", "it has version 3, and this slmc reads 2."),
        ('{"lockVersion": 2}', "1:1", "a key is missing, or its value has another type."),
        ("[]", "1:1", "a key is missing, or its value has another type."),
        ('{"lockVersion": 2, "tools": 3}', "1:1", "a key is missing, or its value has another type."),
    ],
)
def test_unreadable_lock_is_reported_at_its_place(tmp_path: Path, text: str, place: str, why: str) -> None:
    path = tmp_path / "slmc.lock"
    path.write_text(text)
    found, (finding,) = read(path)
    assert found == Lock()
    assert (finding.code, str(finding.span)) == (Code.LOCK_UNREADABLE, f"slmc.lock:{place}")
    assert finding.message == f"`slmc.lock` is not what slmc wrote: {why}"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_lock_that_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "slmc.lock")
    found, (finding,) = read(tmp_path / "slmc.lock")
    assert (found, finding.code, finding.message) == (Lock(), Code.LOCK_UNREADABLE, "`slmc.lock` is not a file.")


def test_missing_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "slmc.lock") == (Lock(), [])


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        ('"digest": "sha256:' + "c" * 64 + '"', '"digest": "../../x"'),
        ('"value": 12.5', '"value": null'),
        ('"value": 12.5', '"value": true'),
        ('"low": 12.0', '"least": 12.0'),
        ('"high": 13.0', '"high": "13.0"'),
        ('"topOneAgreement"', '"topTwoAgreement"'),
        ('"baseline": "source"', '"baseline": "deployed"'),
        ('"tokens": 4096', '"tokens": null'),
        ('"values": "-0.31 -1.9 -3.25"', '"values": "-0.31 nan -3.25"'),
        ('"values": "-0.31 -1.9 -3.25"', '"values": [-0.31, -1.9, -3.25]'),
        ('"tokens": "264 892"', '"tokens": "264 8.5"'),
        ('"input": "Once upon"', '"input": 1'),
        ('"task": "text-generation"', '"task": "translation"'),
        ('"size": 419430400', '"size": "big"'),
        ('"weightBytes": 104857600', '"weight": 104857600'),
        ('"onnxruntime": "1.32.0"', '"onnxruntime": 1.32'),
        ('"shops/devices.csv"', '"../../outside"'),
        ('"shops/pi/systemd"', '"/etc/slmc"'),
        ('"shops/pi/systemd"', '""'),  # the path of a file below it would begin with a slash
        ('"shops/pi/systemd"', '"shops//systemd"'),
        ('"shops/pi/systemd"', '"./."'),
        ('"shops/pi/systemd"', '"shops/pi\\u0000"'),
    ],
)
def test_lock_with_one_wrong_value_is_unreadable(tmp_path: Path, written: str, broken: str) -> None:
    text = dump(lock()).decode()
    assert written in text
    path = tmp_path / "slmc.lock"
    path.write_text(text.replace(written, broken))
    found, (finding,) = read(path)
    assert (found, finding.code) == (Lock(), Code.LOCK_UNREADABLE)
