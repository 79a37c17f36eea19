"""Sources that a build could not or must not read are found before it begins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.cli.main import run

BLUEPRINT = """\
apiVersion: slmc.dev/v1alpha1
kind: Blueprint
models:
  chat:
    task: text-generation
    license: MIT
    evaluate: {data: faq.jsonl}
    versions:
      1.0.0: {source: models/chat}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "models" / "chat").mkdir(parents=True)
    (folder / "shop.slmc.yaml").write_text(BLUEPRINT)
    (folder / "faq.jsonl").write_text('{"text": "How?"}\n')
    return folder


def findings(workspace: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """Headline and message of each diagnostic of `slmc validate`."""
    assert run(["validate", str(workspace)]) == 1
    parts = [part.splitlines() for part in capsys.readouterr().err.split("\n\n")[:-1]]
    return [(lines[0], lines[3].strip()) for lines in parts]


def test_link_out_of_the_workspace(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.onnx").write_bytes(b"elsewhere")
    (workspace / "models" / "chat" / "model.onnx").symlink_to(tmp_path / "model.onnx")
    assert findings(workspace, capsys) == [
        (
            "shop.slmc.yaml:9:23: error SLM208 outside-workspace: Path leaves the workspace",
            "`models/chat/model.onnx` leads out of the workspace through a symbolic link.",
        )
    ]


def test_link_to_nothing_and_a_pipe(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "models" / "chat" / "model.onnx").symlink_to("gone")
    os.mkfifo(workspace / "models" / "chat" / "pipe")
    assert findings(workspace, capsys) == [
        (
            "shop.slmc.yaml:9:23: error SLM209 missing-file: File does not exist",
            "`models/chat/model.onnx` is a symbolic link to nothing.",
        ),
        (
            "shop.slmc.yaml:9:23: error SLM901 cannot-read: File cannot be read",
            "`models/chat/pipe` is not a regular file.",
        ),
    ]


def test_source_that_is_a_file_and_data_that_is_a_folder(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "models" / "chat").rmdir()
    (workspace / "models" / "chat").write_text("")
    (workspace / "faq.jsonl").unlink()
    (workspace / "faq.jsonl").mkdir()
    assert findings(workspace, capsys) == [
        (
            "shop.slmc.yaml:7:22: error SLM901 cannot-read: File cannot be read",
            "`faq.jsonl` is not a regular file.",
        ),
        (
            "shop.slmc.yaml:9:23: error SLM205 bad-value: Value is not allowed",
            "`models/chat` is not a folder.",
        ),
    ]
