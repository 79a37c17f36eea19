"""`slmc build`: artifacts alone, in parts, verified; and what a kill, an interrupt or bad options do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.store import cache, layout
from compiler.artifact.store.store import Store
from compiler.cli.main import run
from tests.tree import generated, tree

_NAMES = ["pydoc-1.0.0-int4-small", "pydoc-1.0.0-int8-fast"]


def _answer(capsys: pytest.CaptureFixture[str], *arguments: str, exit: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--format=json"]) == exit
    return json.loads(capsys.readouterr().out)


def test_writes_the_store_alone(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(hello)
    answer = _answer(capsys, "build", str(hello))
    assert (answer["exitCode"], answer["diagnostics"]) == (0, [])
    assert [artifact["name"] for artifact in answer["artifacts"]] == _NAMES
    assert list(answer["builds"]) == _NAMES
    assert [step["step"] for step in answer["builds"][_NAMES[0]]["steps"]] == ["optimize", "quantize/int4"]
    assert answer["builds"][_NAMES[0]]["reproducible"] is True
    assert tree(hello) == before
    compiled = _answer(capsys, "compile", str(hello))
    assert [artifact["built"] for artifact in compiled["artifacts"]] == [False, False]


def test_shards_together_are_the_plan(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [_answer(capsys, "build", str(hello), "--shard", f"{number}/3") for number in (1, 2, 3)]
    assert sorted(artifact["name"] for part in parts for artifact in part.get("artifacts", [])) == _NAMES
    empty = next(number for number, part in enumerate(parts, 1) if not part["actions"])
    assert run(["build", str(hello), "--shard", f"{empty}/3"]) == 0
    assert capsys.readouterr() == ("", "There is no artifact in this part.\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shard", "0/2"], "`0/2` is not I/N"),
        (["--shard", "3/2"], "the last part is 2/2"),
        (["--shard", "half"], "`half` is not I/N"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)
def test_bad_values_are_usage_errors(
    hello: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(hello), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["build", "compile"])
def test_bad_number_of_jobs_in_the_environment(
    hello: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_JOBS", "many")
    assert run([command, str(hello)]) == 2
    assert "SLMC_JOBS is `many` in the environment; it is a number of processes, 1 or more." in capsys.readouterr().err
    monkeypatch.setenv("SLMC_JOBS", "0")
    assert run([command, str(hello)]) == 2
    assert run([command, str(hello), "--jobs", "1"]) == 0
    monkeypatch.setenv("SLMC_JOBS", "1")
    assert run([command, str(hello)]) == 0


def test_errors_of_the_blueprint_come_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.slmc.yaml").write_text("apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\nmodel: {}\n")
    for options in ([], ["--verify"]):
        answer = _answer(capsys, "build", str(tmp_path), *options, exit=1)
        assert [found["code"] for found in answer["diagnostics"]] == ["SLM201"]


@pytest.mark.slow
def test_verify_compares_with_the_lock(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", str(hello), "--verify"]) == 1
    assert "SLM801" in capsys.readouterr().err
    assert run(["compile", str(hello)]) == 0
    before = generated(hello)
    answer = _answer(capsys, "build", str(hello), "--verify")
    assert [(one["artifact"], one["state"]) for one in answer["verdicts"]] == [(name, "reproduced") for name in _NAMES]
    lock = json.loads((hello / "slmc.lock").read_text())
    assert [one["digest"] for one in answer["verdicts"]] == [lock["artifacts"][name]["digest"] for name in _NAMES]
    assert generated(hello) == before
    lock["artifacts"][_NAMES[0]]["digest"] = "sha256:" + "0" * 64
    (hello / "slmc.lock").write_text(json.dumps(lock))
    assert run(["build", str(hello), "--verify"]) == 5
    said = capsys.readouterr()
    assert "SLM508 not-reproduced" in said.err
    assert [line.split()[-1] for line in said.out.splitlines()[1:]] == ["differs", "reproduced"]


# What an end in the middle leaves


def _contents(store: Path) -> dict[str, Any]:
    """Digests by kind and key, of what does not depend on the time of day."""
    entries = json.loads((store / "index.json").read_text())["manifests"]
    kinds = (layout.ARTIFACT, layout.REPORT, layout.INTERMEDIATE, layout.EVALUATION)
    return {
        f"{entry['artifactType']} {entry['annotations'][layout.KEY]}": entry["digest"]
        for entry in entries
        if entry["artifactType"] in kinds
    }


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, Any]:
    """What a store has after a build that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ignored = shutil.ignore_patterns("deploy", "slmc.lock")
    shutil.copytree(repository / "blueprints" / "hello", folder / "hello", ignore=ignored)
    _build(folder / "hello", folder / "store")
    return _contents(folder / "store")


def _build(workspace: Path, store: Path) -> None:
    command = [sys.executable, "-m", "compiler.cli", "build", str(workspace)]
    subprocess.run(command, env=os.environ | {"SLMC_STORE": str(store)}, check=True, capture_output=True)


_KILLED = """
import os, signal, sys, threading
left = int(sys.argv[1])
lock = threading.Lock()
def counted(function):
    def call(*arguments, **options):
        global left
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
os.replace, os.fsync, os.link = counted(os.replace), counted(os.fsync), counted(os.link)
from compiler.cli.main import run
sys.exit(run(["build", sys.argv[2]]))
"""
"""Ends itself with SIGKILL before the n-th fsync, rename or link."""


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 9, 14, 20, 27, 40])
def test_after_a_kill_at_a_write_the_next_build_finishes(
    hello: Path, tmp_path: Path, wanted: dict[str, Any], n: int
) -> None:
    store = tmp_path / "store"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(n), str(hello)],
        env=os.environ | {"SLMC_STORE": str(store)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert cache.verify(Store(store)) == ([], [])
    _build(hello, store)
    assert _contents(store) == wanted
    assert cache.verify(Store(store)) == ([], [])
    assert not list(store.glob(".slmc-tmp-*"))


def _children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _at_work(workspace: Path, store: Path, line: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A build whose step with this line runs, and its processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "compiler.cli", "build", str(workspace)],
        env=os.environ | {"SLMC_STORE": str(store)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr
    for said in process.stderr:
        if line in said:
            break
    deadline = time.monotonic() + 60
    while not (children := _children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return process, children


@pytest.mark.slow
@pytest.mark.parametrize("line", ["optimize (1/2)", "quantize int8-dynamic (2/2)"])
def test_after_a_kill_in_a_step_nothing_runs_on_and_the_next_build_finishes(
    hello: Path, tmp_path: Path, wanted: dict[str, Any], line: str
) -> None:
    process, children = _at_work(hello, tmp_path / "store", line)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children
    assert not any(map(_alive, children))
    _build(hello, tmp_path / "store")
    assert _contents(tmp_path / "store") == wanted
    assert not list((tmp_path / "store").glob(".slmc-tmp-*"))


@pytest.mark.slow
def test_an_interrupt_ends_the_steps_and_leaves_nothing_half_done(hello: Path, tmp_path: Path) -> None:
    process, children = _at_work(hello, tmp_path / "store", "quantize int8-dynamic (2/2)")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("slmc: interrupted; what was finished is kept\n")
    assert "Traceback" not in said
    assert not any(map(_alive, children))
    assert not list((tmp_path / "store").glob(".slmc-tmp-*"))
    assert cache.verify(Store(tmp_path / "store")) == ([], [])
