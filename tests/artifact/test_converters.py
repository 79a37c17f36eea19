"""Environments of converters, with a converter of one small package."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import Failed, Missing, call
from compiler.cli.main import run


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirements of a converter `small`: one package, from a wheel on this machine."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    wheel = _wheel(tmp_path / "wheels")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "small.txt").write_text(f"smallest==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(environment, "requirements", lambda: folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return folder / "small.txt"


@pytest.fixture
def fake(pinned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with folders instead of virtual environments, which take seconds."""

    def make(made: Path, requirements: Path, tell: Any) -> None:
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "python").write_text("#!/bin/sh\n")
        (made / "bin" / "python").chmod(0o755)

    monkeypatch.setattr(environment, "_make", make)
    return pinned


def _wheel(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "smallest-1.0-py3-none-any.whl"
    files = {
        "smallest.py": "size = 1\n",
        "smallest-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: smallest\nVersion: 1.0\n",
        "smallest-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr("smallest-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    return path


def test_an_environment_is_made_once_used_and_removed(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    root = tmp_path / "store" / "converters"
    assert run(["converters", "install", "small"]) == 0
    said = capsys.readouterr().err
    assert "1/1 smallest" in said
    assert f"small is installed in {environment.folder(root, 'small')}" in said
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(
        "compiler.artifact.converters.call._BOOT",
        "import json, os, smallest, sys; request = json.load(sys.stdin)\n"
        "print(json.dumps({'result': [smallest.size, request['x'], os.environ.get('HF_HUB_OFFLINE'), "
        "'PYTHONPATH' in os.environ]}))",
    )
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert call(root, "small", "task", {"x": 7}, tmp_path / "scratch", lambda share: None) == [1, 7, "1", False]
    assert run(["converters", "install", "small"]) == 0
    assert "smallest" not in capsys.readouterr().err
    assert run(["converters", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["small", "installed"]
    assert run(["converters", "remove", "small"]) == 0
    assert environment.listed(root) == []


def test_a_package_with_another_hash_is_refused(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    pinned.write_text(f"smallest==1.0 --hash=sha256:{'0' * 64}\n")
    assert run(["converters", "install", "small"]) == 5
    said = capsys.readouterr().err
    assert "SLM515" in said
    assert "pip ended with exit code 1" in said
    assert "DO NOT MATCH THE HASHES" in said
    assert environment.listed(tmp_path / "store" / "converters") == []


def test_what_a_killed_run_left_is_made_anew(fake: Path, tmp_path: Path) -> None:
    left = environment.folder(tmp_path / "e", "small")
    (left / "bin").mkdir(parents=True)
    (left / "bin" / "python").write_text("half")
    assert environment.python(tmp_path / "e", "small") is None
    assert [(one.name, one.ready) for one in environment.listed(tmp_path / "e")] == [("small", False)]
    assert environment.install(tmp_path / "e", "small", lambda line: None) == left
    assert environment.python(tmp_path / "e", "small") == left / "bin" / "python"
    assert (left / "bin" / "python").read_text() == "#!/bin/sh\n"


def test_one_that_fails_leaves_nothing(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(made: Path, requirements: Path, tell: Any) -> None:
        made.mkdir(parents=True)
        raise environment.Failed("pip ended with exit code 1", ("no such package",))

    monkeypatch.setattr(environment, "_make", fail)
    with pytest.raises(environment.Failed):
        environment.install(tmp_path / "e", "small", lambda line: None)
    assert environment.listed(tmp_path / "e") == []


def test_other_requirements_are_another_environment(fake: Path, tmp_path: Path) -> None:
    first = environment.install(tmp_path / "e", "small", lambda line: None)
    fake.write_text("smallest==2.0\n")
    assert environment.python(tmp_path / "e", "small") is None
    second = environment.install(tmp_path / "e", "small", lambda line: None)
    found = {one.folder: one.current for one in environment.listed(tmp_path / "e")}
    assert found == {first: False, second: True}
    assert set(environment.remove(tmp_path / "e", "small")) == {first, second}
    assert environment.listed(tmp_path / "e") == []


def test_two_at_once_make_it_once(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is held in the middle until the second waits for it."""
    waits = threading.Event()
    made: list[Path] = []
    make = environment._make

    def slowly(folder: Path, requirements: Path, tell: Any) -> None:
        made.append(folder)
        assert waits.wait(30)
        make(folder, requirements, tell)

    monkeypatch.setattr(environment, "_make", slowly)
    first = threading.Thread(target=environment.install, args=(tmp_path / "e", "small", lambda line: None))
    first.start()
    while not made:
        first.join(0.01)
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        waits.set()

    environment.install(tmp_path / "e", "small", hear)
    first.join()
    assert len(made) == 1
    assert said == ["small: waiting for another slmc that works with this environment"]


_INSTALLING = """
import sys
from pathlib import Path
from compiler.artifact.converters import environment
with environment._held(Path(sys.argv[1]), "small", print):
    pip = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    environment._run([sys.executable, "-c", pip], "pip", lambda line: print(line, end="", flush=True))
"""


def test_pip_goes_on_alone_when_slmc_is_killed_and_others_wait_for_it(fake: Path, tmp_path: Path) -> None:
    slmc = subprocess.Popen([sys.executable, "-c", _INSTALLING, str(tmp_path / "e")], stdout=subprocess.PIPE)
    assert slmc.stdout
    pip = int(slmc.stdout.readline())
    slmc.kill()
    slmc.wait()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        os.kill(pip, signal.SIGKILL)

    environment.install(tmp_path / "e", "small", hear)
    slmc.stdout.close()
    assert said[0] == "small: waiting for another slmc that works with this environment"
    assert environment.python(tmp_path / "e", "small") is not None


def test_it_is_not_removed_while_it_is_used(fake: Path, tmp_path: Path) -> None:
    environment.install(tmp_path / "e", "small", lambda line: None)
    with environment.in_use(tmp_path / "e", "small"):
        removing = threading.Thread(target=environment.remove, args=(tmp_path / "e", "small"))
        removing.start()
        removing.join(0.2)
        assert environment.python(tmp_path / "e", "small") is not None
    removing.join()
    assert environment.python(tmp_path / "e", "small") is None


@pytest.mark.parametrize(
    ("script", "why", "refused"),
    [
        ('echo \'{"refused": "it is no model"}\'', "it is no model", True),
        ("echo '{\"failed\": \"OSError: '$0'\"}'", "OSError: python", False),
        ("echo first >&2; echo last words >&2; exit 3", "the converter ended with exit code 3: last words", False),
        ("kill -SEGV $$", "the converter crashed with SIGSEGV", False),
        ("kill -KILL $$", "the converter was killed, perhaps for want of memory", False),
    ],
    ids=["refuses", "fails", "ends", "crashes", "is-killed"],
)
def test_how_a_script_fails_is_said(fake: Path, tmp_path: Path, script: str, why: str, refused: bool) -> None:
    folder = environment.install(tmp_path / "e", "small", lambda line: None)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "scratch").mkdir()
    request = {"file": str(folder / "bin" / "python")}
    with pytest.raises(Failed) as failed:
        call(tmp_path / "e", "small", "convert", request, tmp_path / "scratch", lambda share: None)
    assert (str(failed.value), failed.value.refused) == (why, refused)


def test_a_script_tells_how_far_it_is(fake: Path, tmp_path: Path) -> None:
    folder = environment.install(tmp_path / "e", "small", lambda line: None)
    replies = "\n".join(json.dumps(message) for message in ({"event": 0.5}, {"event": 1}, {"result": [1]}))
    (folder / "bin" / "python").write_text(f"#!/bin/sh\ncat <<'END'\n{replies}\nEND\n")
    (tmp_path / "scratch").mkdir()
    told: list[float] = []
    assert call(tmp_path / "e", "small", "convert", {}, tmp_path / "scratch", told.append) == [1]
    assert told == [0.5, 1]


def test_without_an_environment_nothing_is_called(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        call(tmp_path / "e", "small", "convert", {}, tmp_path, lambda share: None)
    assert not (tmp_path / "e").exists()
