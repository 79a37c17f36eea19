"""Work in a process of its own: whatever happens there comes back as one line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact import process
from compiler.artifact.process import Failed, run

_STAND_IN = """
import os, signal, sys
from compiler.artifact import child

def work(request, tell):
    {body}

child.TASKS["stand-in"] = work
sys.argv[1:] = ["stand-in"]
child.main()
"""


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `body` as a task in a real child process."""
    python = sys.executable

    def call(body: str, request: dict[str, Any], on_event: Any = None, **how: Any) -> Any:
        script = tmp_path / "child.py"
        script.write_text(_STAND_IN.format(body=body))
        launcher = tmp_path / "python"
        launcher.write_text(f"#!/bin/sh\nexec {python} -P {script}\n")
        launcher.chmod(0o755)
        monkeypatch.setattr(process.sys, "executable", str(launcher))
        return run("stand-in", request, on_event, **how)

    return call


def test_result_and_events_come_back(task: Any) -> None:
    events: list[Any] = []
    result = task("tell(1); tell('two'); print('noise'); return request", {"x": [1, None]}, events.append)
    assert (result, events) == ({"x": [1, None]}, [1, "two"])


def test_an_exception_is_one_line_without_folders(task: Any, tmp_path: Path) -> None:
    with pytest.raises(Failed) as failed:
        task(
            'raise ValueError(f\'{request["model"]} is bad, so is {request["model"][:-11]}\\nand more\')',
            {"model": f"{tmp_path}/deep/model.onnx"},
        )
    assert str(failed.value) == "ValueError: model.onnx is bad, so is deep"
    assert not failed.value.crashed


def test_only_messages_lose_the_folders(task: Any, tmp_path: Path) -> None:
    """A golden text, or a report, that has the name of a folder in it is the same wherever it was made."""
    body = """path = request["source"]
    return {"reason": f"{path} is bad.", "remarks": [["STEP_PARTIAL", f"`{path}` too"]],
        "problems": [{"code": "NOT_ONNX", "message": f"in {path}: bad"}],
        "candidates": [{"failed": f"no {path}"}, {"golden": {"answers": [{"input": path, "output": f"a{path}"}]}}],
        "report": {"message": path, "reason": path, path: 1}}"""
    path = f"{tmp_path}/model.onnx"
    assert task(body, {"source": path}) == {
        "reason": "model.onnx is bad.",
        "remarks": [["STEP_PARTIAL", "`model.onnx` too"]],
        "problems": [{"code": "NOT_ONNX", "message": "in model.onnx: bad"}],
        "candidates": [{"failed": "no model.onnx"}, {"golden": {"answers": [{"input": path, "output": f"a{path}"}]}}],
        "report": {"message": path, "reason": path, path: 1},
    }


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("`/w/shop/m` and /w/shop/m/a.onnx.", "`m` and a.onnx."),
        ("(/w/shop/m), in /w/shop: /w/shop.", "(m), in shop: shop."),
        ("/w/shop/m/b c/d", "b c/d"),
        ("/w/shopping/m and /w/shop/m.onnx", "/w/shopping/m and m.onnx"),
        ("/w/shop-2/m, /w/shop.old, /w/shop_2", "/w/shop-2/m, /w/shop.old, /w/shop_2"),
        ("/home/w/shop/m and ./w/shop/m and a/w/shop/m", "/home/w/shop/m and ./w/shop/m and a/w/shop/m"),
    ],
)
def test_a_folder_is_taken_out_between_the_ends_of_a_path(task: Any, said: str, left: str) -> None:
    with pytest.raises(Failed) as failed:
        task(f"raise ValueError({said!r})", {"source": "/w/shop/m"})
    assert str(failed.value) == f"ValueError: {left}"


def test_the_name_of_a_node_is_no_folder(task: Any) -> None:
    """Exporters name nodes as if they were paths; a step's parameters name nodes."""
    request = {"source": "/w/m/model.onnx", "parameters": {"leave": ["/model/layers.0/MatMul"]}}
    body = 'return {"reason": "`/model/layers.0/MatMul` is not in /w/m/model.onnx."}'
    assert task(body, request) == {"reason": "`/model/layers.0/MatMul` is not in model.onnx."}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the process crashed with SIGSEGV"),
        ("os.abort()", "the process crashed with SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the process was killed, perhaps for want of memory"),
        ("os._exit(3)", "the process ended with exit code 3 and no result"),
    ],
)
def test_a_crash_is_told(task: Any, body: str, why: str) -> None:
    with pytest.raises(Failed) as failed:
        task(body, {})
    assert (str(failed.value), failed.value.crashed) == (why, True)


def test_the_last_lines_of_one_that_died_are_told_without_folders(task: Any, tmp_path: Path) -> None:
    body = """print("first"); sys.stderr.write("\\n".join(["second", "", "/opt/x y.cc:3 (/usr/lib/libz.so) at 1/2",
        request["model"] + ": bad", "w" * 300, "last\\x07"])); os.abort()"""
    with pytest.raises(Failed) as failed:
        task(body, {"model": f"{tmp_path}/deep folder/model.onnx"}, log=tmp_path / "log")
    assert failed.value.log == ("second", "x y.cc:3 (libz.so) at 1/2", "model.onnx: bad", "w" * 200, "last\x07")


def test_what_a_child_prints_that_ends_well_goes_nowhere_else(
    task: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert task("print('chatter'); return 1", {}, log=tmp_path / "log") == 1
    assert task("print('chatter'); return 1", {}) == 1
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "log").read_text() == "chatter\n"


def test_a_leash_ends_those_that_run_and_those_to_come(task: Any) -> None:
    leash = process.Leash()
    for _ in range(2):
        with pytest.raises(Failed, match="was killed"):
            task("tell(1); import time; time.sleep(60)", {}, lambda event: leash.cut(), leash=leash)


def test_an_interrupt_ends_the_child(task: Any, tmp_path: Path) -> None:
    def interrupt(event: Any) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        task("tell(os.getpid()); import time; time.sleep(60)", {}, interrupt)
    assert time.monotonic() - start < 30


def test_the_child_s_surroundings_are_always_the_same(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "99")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    names = ["PYTHONHASHSEED", "ORT_DISABLE_TELEMETRY"]
    assert task("return [os.environ[name] for name in request['names']]", {"names": names}) == ["0", "1"]


def test_the_child_dies_with_the_compiler(tmp_path: Path) -> None:
    """The compiler is killed while a child works; nothing goes on building for nobody."""
    body = 'open(request["pid"], "w").write(str(os.getpid())); import time; time.sleep(120)'
    (tmp_path / "child.py").write_text(_STAND_IN.format(body=body))
    (tmp_path / "python").write_text(f"#!/bin/sh\nexec {sys.executable} -P {tmp_path / 'child.py'}\n")
    (tmp_path / "python").chmod(0o755)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from compiler.artifact.process import run\n"
            f"sys.executable = {str(tmp_path / 'python')!r}\n"
            f"run('stand-in', {{'pid': {str(tmp_path / 'pid')!r}}})",
        ],
        cwd=Path(__file__).parent.parent.parent,
    )
    deadline = time.monotonic() + 60
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    """Whether the process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_environment_keeps_the_user_s_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert process._environment()["PYTHONPATH"].split(os.pathsep)[1:] == ["/somewhere"]
