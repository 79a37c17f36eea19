"""Every code has a page, and its examples do what the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compiler.base.codes import Code
from compiler.cli.main import run
from compiler.testing.limits import limited
from tests.archive import Archive
from tests.tools import absent

PAGES = Path(__file__).parent.parent / "docs" / "explain"
_BLOCK = re.compile(r"^## (Wrong|Right)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```(case|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example(code: Code, heading: str) -> tuple[str, str]:
    """The kind (`case`, `sh`) and text of the example under `heading`."""
    text = (PAGES / f"{code.id}.md").read_text(encoding="utf-8")
    section = next(body for name, body in _BLOCK.findall(text) if name == heading)
    found = _FENCE.search(section)
    assert found, f"{code.id} has no example under {heading}"
    return found[1], found[2]


def codes_of(kind: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    if (
        "unshare" in text
        and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode
    ):
        absent("this machine allows no mount namespaces")
    if "memoryLimit" in text:
        with limited(2**30, 1) as limits:
            if limits.unenforced:
                absent(f"limits do not hold here: {limits.unenforced}")
    if kind == "sh":
        return set(re.findall(r"\bSLM\d{3}\b", run_shell(text, folder)))
    archive = Archive.parse(text)
    archive.write_files(folder)
    for line in archive.get("command", "validate").splitlines():
        run([*shlex.split(line), "--format=json"])
    return {diagnostic["code"] for diagnostic in json.loads(capsys.readouterr().out)["diagnostics"]}


def run_shell(text: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_pages_and_codes_agree() -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(code.id for code in Code)


@pytest.mark.parametrize("code", Code, ids=lambda code: code.id)
def test_page_begins_with_its_code(code: Code) -> None:
    assert (PAGES / f"{code.id}.md").read_text(encoding="utf-8").startswith(f"# {code.id} {code.slug}\n")


def examples(heading: str) -> list[Any]:
    """Every code that has examples: all but slmc's own defects. Shell examples compile, which takes time."""
    shown = [code for code in Code if code is not Code.INTERNAL]
    return [
        pytest.param(code, id=code.id, marks=[pytest.mark.slow] if example(code, heading)[0] == "sh" else [])
        for code in shown
    ]


@pytest.mark.parametrize("code", examples("Wrong"))
def test_wrong_example_raises_exactly_its_code(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert codes_of(*example(code, "Wrong"), tmp_path, capsys) == {code.id}


@pytest.mark.parametrize("code", examples("Right"))
def test_right_example_raises_nothing(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert codes_of(*example(code, "Right"), tmp_path, capsys) == set()
