"""The command itself: exit codes, streams, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compiler
from compiler.cli import main
from compiler.cli.main import run
from tests.tree import tree


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"slmc {compiler.__version__}\n"


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compiel"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "No such command 'compiel'" in said.err


def test_two_workspaces_are_a_usage_error() -> None:
    assert run(["validate", "-C", "a", "b"]) == 2


def test_check_and_locked_exclude_each_other() -> None:
    assert run(["compile", "--check", "--locked"]) == 2


def test_defect_of_slmc_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(workspace: Path, store: Path) -> None:
        raise KeyError("x")

    monkeypatch.setattr("compiler.pipeline.validate", broken)
    assert run(["validate"]) == 5
    said = capsys.readouterr().err
    assert said.startswith("error SLM999 internal-error: Internal error of slmc\n  KeyError in `test_cli.py:")
    assert "Traceback" not in said


def test_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m compiler.cli explain | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert [name for name in main._COMMANDS if f"\n  {name} " not in said] == []


def test_explain_knows_numbers_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "SLM203"]) == 0
    by_number = capsys.readouterr().out
    assert run(["explain", "unknown-reference"]) == 0
    assert capsys.readouterr().out == by_number
    assert run(["explain", "SLM2O3"]) == 2
    assert "`SLM203` has a similar name" in capsys.readouterr().err


def test_init_writes_a_workspace_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "shop"]) == 0
    first = tree(tmp_path / "shop")
    assert {".gitattributes", ".github/workflows/slmc.yaml", "hello.slmc.yaml"} <= first.keys()
    assert not [name for name in first if name.startswith("deploy/") or name == "slmc.lock"]
    assert run(["validate", "shop"]) == 0
    assert run(["init", "shop"]) == 0
    (tmp_path / "shop" / "hello.slmc.yaml").write_text("mine")
    capsys.readouterr()
    assert run(["init", "shop"]) == 1
    assert "shop/hello.slmc.yaml: error SLM804 occupied-path" in capsys.readouterr().err
    assert tree(tmp_path / "shop") == first | {"hello.slmc.yaml": b"mine"}


def test_init_writes_the_pipeline_alone_beside_a_blueprint(tmp_path: Path, repository: Path) -> None:
    assert run(["init", str(tmp_path / "new"), "--ci", "gitlab"]) == 0
    first = tree(tmp_path / "new")
    assert ".gitlab-ci.yml" in first
    assert not [name for name in first if name.startswith(".github/")]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.slmc.yaml").write_text("mine")
    assert run(["init", str(tmp_path / "mine"), "--ci", "github"]) == 0
    assert tree(tmp_path / "mine") == {"mine.slmc.yaml": b"mine", **tree(repository / "pipelines" / "github")}


def test_validate_json_has_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.slmc.yaml").write_text("apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\nmodel: {}\n")
    assert run(["validate", str(tmp_path), "--format=json"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "exitCode": 1,
        "fleets": [],
        "diagnostics": [
            {
                "code": "SLM201",
                "slug": "unknown-key",
                "severity": "error",
                "summary": "Unknown key",
                "message": "`model` is not a key of the file.",
                "help": "`models` has a similar name.",
                "place": {"file": "a.slmc.yaml", "line": 3, "column": 1, "length": 5},
            }
        ],
    }


def test_output_survives_a_terminal_without_unicode(repository: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "compiler.cli", "explain", "SLM101"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_prune_keeps_what_a_workspace_s_lock_names(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    assert run(["cache", "prune", "--keep", str(hello)]) == 0
    capsys.readouterr()
    assert run(["cache", "list", "--format=json"]) == 0
    kept = {entry["label"]["name"] for entry in json.loads(capsys.readouterr().out)["artifacts"]}
    assert {"pydoc-1.0.0-int4-small", "pydoc-1.0.0-int8-fast"} <= kept
    assert run(["cache", "prune", "--keep", str(hello / "data")]) == 2
    assert "has no slmc.lock" in capsys.readouterr().err
    assert run(["cache", "verify"]) == 0


@pytest.mark.slow
def test_prune_all_empties_the_store(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("recipe: int8-fast", "recipe: int4-small"))
    assert run(["compile", str(hello)]) == 0
    capsys.readouterr()
    assert run(["cache", "prune", "--all"]) == 0
    assert capsys.readouterr().out.startswith("dropped pydoc-1.0.0-int4-small\n")
    assert run(["cache", "list"]) == 0
    assert capsys.readouterr().out == ""
    assert list((tmp_path / "store" / "blobs" / "sha256").glob("*")) == []
