"""Real artifacts, loaded by slmc's own runtime within the limits of a class."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from compiler.cli.main import run
from compiler.testing import limits
from tests.device_test.asked import ARTIFACT, MODEL, OURS, RUN, ask, edit, messages
from tests.tree import tree

_AMD64 = pytest.mark.skipif(OURS != "office-n100", reason="the expected values are those of an amd64 machine")


TRIED = [
    {
        "class": "counter-pi",
        "architecture": "arm64",
        "fleet": "shops",
        "cohort": "counter-pi-berlin-3",  # its overlay gives it fewer threads than the class's other cohort
        "run": "counter",
        "artifact": "pydoc-1.0.0-int4-small",
        "how": None,
        "status": "skipped",
        "memory": {"limit": 207_321_632, "peak": None},
        "cpus": 2,
        "limitsNotEnforced": None,
        "answers": None,
        "seconds": 0.0,
        "reason": "this machine is amd64, and `qemu-aarch64` is not installed",
        "code": None,
    },
    {
        "class": "office-n100",
        "architecture": "amd64",
        "fleet": "shops",
        "cohort": "office-n100",
        "run": "office",
        "artifact": "pydoc-1.0.0-int8-fast",
        "how": "native",
        "status": "passed",
        "memory": {"limit": 208_931_744},
        "cpus": 4,
        "limitsNotEnforced": None,
        "answers": {"passed": 4, "failed": 0},
        "reason": None,
        "code": None,
    },
]


@_AMD64
def test_each_class_is_tried_once_for_each_artifact(
    compiled: Path, holding: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, answer = ask(capsys, compiled)
    locked = json.loads((compiled / "slmc.lock").read_bytes())["artifacts"]
    for result in answer["results"]:
        assert result.pop("digest") == locked[result["artifact"]]["digest"]
    peak, seconds = answer["results"][1]["memory"].pop("peak"), answer["results"][1].pop("seconds")
    assert 20 * 2**20 < peak < 208_931_744
    assert seconds > 0
    assert (code, answer) == (
        0,
        {
            "exitCode": 0,
            "diagnostics": [],
            "results": TRIED,
        },
    )


@_AMD64
def test_a_table_for_people(
    compiled: Path, holding: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["test", str(compiled)]) == 0
    said = capsys.readouterr()
    text = re.sub(r"\d+\.\d MiB of", "63.9 MiB of", re.sub(r"\d\.\d  passed", "0.9  passed", said.out))
    assert text == (
        "class        run      artifact                how                    memory  golden answers  seconds  result\n"
        "counter-pi   counter  pydoc-1.0.0-int4-small  -                           -               -        -"
        "  skipped\n"
        "office-n100  office   pydoc-1.0.0-int8-fast   native  63.9 MiB of 199.3 MiB          4 of 4      0.9  passed\n"
        "skipped counter-pi, pydoc-1.0.0-int4-small: this machine is amd64, and `qemu-aarch64` is not installed.\n"
    )
    assert said.err == "office-n100: pydoc-1.0.0-int8-fast (native)\n1 passed, 1 skipped\n"


@_AMD64
def test_junit(
    shop: Path, holding: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    edit(shop / "slmc.lock", '"values": "-0', '"values": "-9')
    assert ask(capsys, shop, "--junit", str(tmp_path / "reports" / "junit.xml"))[0] == 4
    text = (tmp_path / "reports" / "junit.xml").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    text = re.sub(r"\d+\.\d MiB of", "63.9 MiB of", re.sub(r'time="[\d.]+"', 'time="0.900"', text))
    differs = "`pydoc-1.0.0-int8-fast` on `office-n100`: golden answer 1 is off by 8.999, and 0.19 is allowed."
    text = re.sub(r"off by [\d.]+, and [\d.]+ is", "off by 8.999, and 0.19 is", text)
    assert (
        text
        == f"""<?xml version='1.0' encoding='utf-8'?>
<testsuites name="slmc test" tests="2" failures="1" errors="0" skipped="1" time="0.900">
  <testsuite name="counter-pi" tests="1" failures="0" errors="0" skipped="1" time="0.900">
    <testcase classname="counter-pi" name="counter: pydoc-1.0.0-int4-small" time="0.900">
      <skipped message="this machine is amd64, and `qemu-aarch64` is not installed" />
    </testcase>
  </testsuite>
  <testsuite name="office-n100" tests="1" failures="1" errors="0" skipped="0" time="0.900">
    <testcase classname="office-n100" name="office: pydoc-1.0.0-int8-fast" time="0.900">
      <failure message="{differs}" type="SLM406 answers-differ">{differs}
A device would refuse this artifact. Compare the versions of the runtime with those of `slmc.lock`.</failure>
      <system-out>how: native
memory: 63.9 MiB of 199.3 MiB
golden answers: 2 of 4</system-out>
    </testcase>
  </testsuite>
</testsuites>
"""
    )


def test_an_answer_that_is_another_fails_with_its_number(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "slmc.lock", '"values": "-0', '"values": "-9')
    code, answer = ask(capsys, shop, "--class", OURS)
    (result,) = answer["results"]
    assert (code, result["status"], result["code"]) == (4, "failed", "SLM406")
    assert result["answers"]["failed"] > 0
    assert re.fullmatch(
        rf"`{ARTIFACT}` on `{OURS}`: golden answer \d is off by [89][.\d]*, and [.\d]+ is allowed\.", result["reason"]
    )
    assert [one["message"] for one in answer["diagnostics"]] == [result["reason"]]


def test_memory_that_does_not_do(shop: Path, holding: None, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "hello.slmc.yaml", MODEL, f"{MODEL}        memoryLimit: 30MiB\n")
    code, answer = ask(capsys, shop, "--class", OURS)
    (result,) = answer["results"]
    assert (code, result["status"], result["answers"]) == (4, "failed", None)
    assert [(code, message) for code, message, _ in messages(answer)] == [
        ("SLM604", f"`{ARTIFACT}` on `{OURS}`: killed at 30.0 MiB of 30.0 MiB.")
    ]


def test_limits_that_do_not_hold_are_said(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(limits, "parents", lambda mounts, groups: [])
    code, answer = ask(capsys, compiled, "--class", OURS)
    why = "memory and processor time: this user may make no control group here"
    assert (code, [one["limitsNotEnforced"] for one in answer["results"]]) == (0, [why])
    assert run(["test", str(compiled), "--class", OURS]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"limits not enforced, {OURS}, {ARTIFACT}: {why}."


def test_what_the_store_lacks(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "empty"))
    code, answer = ask(capsys, compiled, "--class", OURS)
    digest = answer["results"][0]["digest"]
    assert code == 1
    assert messages(answer) == [
        (
            "SLM808",
            f"`{ARTIFACT}` on `{OURS}`: the store does not have {digest[:19]}….",
            f"`slmc compile {compiled}` makes it; `slmc pull` fetches it from where it was pushed to.",
        )
    ]
    assert answer["results"][0]["status"] == "failed"


def test_names_that_nothing_has(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = ask(capsys, compiled, "--class", "counter-pie")
    assert (code, messages(answer), answer["results"]) == (
        1,
        [("SLM203", "No device has `class=counter-pie`.", "`counter-pi` has a similar name.")],
        [],
    )
    assert messages(ask(capsys, compiled, "--run", "offic")[1]) == [
        ("SLM203", "No run is named `offic`.", "`office` has a similar name.")
    ]
    assert messages(ask(capsys, compiled, "--fleet", "shop")[1]) == [
        ("SLM203", "No fleet is named `shop`.", "`shops` has a similar name.")
    ]


def test_a_lock_that_is_of_another_blueprint(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "hello.slmc.yaml", "blockSize: 32", "blockSize: 64")
    assert [code for code, *_ in messages(ask(capsys, shop)[1])] == ["SLM801"]
    (shop / "slmc.lock").unlink()
    assert [code for code, *_ in messages(ask(capsys, shop)[1])] == ["SLM807"]


def test_what_another_runtime_serves_is_tried_with_slmcs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "hello.slmc.yaml", "runtime: builtin/onnxruntime", "command: [/usr/bin/other, --model, here]")
    code, answer = ask(capsys, shop, "--run", RUN)
    assert (code, [(one["status"], one["answers"]) for one in answer["results"]]) == (
        0,
        [("passed", {"passed": 4, "failed": 0})],
    )


def test_the_classes_of_a_matrix_are_all_that_there_is(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline takes its classes from `slmc ls cohorts`."""
    assert run(["ls", "cohorts", "-C", str(compiled), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["cohorts"]
    classes = sorted({row["class"] for row in rows if row["runs"]})
    parts = [result for name in classes for result in ask(capsys, compiled, "--class", name)[1]["results"]]
    assert [(part["class"], part["artifact"]) for part in parts] == [
        ("counter-pi", "pydoc-1.0.0-int4-small"),
        ("office-n100", "pydoc-1.0.0-int8-fast"),
    ]


def test_nothing_is_left_behind(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = tree(compiled)
    assert run(["test", str(compiled)]) == 0
    assert tree(compiled) == before
    assert not list((tmp_path_factory.getbasetemp() / "store").glob(".slmc-tmp-*"))
