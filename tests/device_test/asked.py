"""`slmc test`, as a tool calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compiler.cli.main import run
from compiler.testing.machine import native

OURS, RUN, ARTIFACT = {
    "amd64": ("office-n100", "office", "pydoc-1.0.0-int8-fast"),
    "arm64": ("counter-pi", "counter", "pydoc-1.0.0-int4-small"),
}[native()]
"""What of the example is for a machine like this one."""
MODEL = "        model: pydoc@1.0.0\n"


def ask(capsys: pytest.CaptureFixture[str], workspace: Path, *words: str) -> tuple[int, Any]:
    """The exit code and the answer."""
    code = run(["test", str(workspace), *words, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def messages(answer: Any) -> list[tuple[str, str, str | None]]:
    """Code, message and help of each diagnostic."""
    return [(one["code"], one["message"], one.get("help")) for one in answer["diagnostics"]]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
