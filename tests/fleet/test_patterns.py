"""Which files a pattern stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.fleet.patterns import is_pattern, matching
from tests.fleet.workspaces import resolved, resolved_folder

FILES = (
    "a.csv", "b.csv", "B.csv", "[x].csv", ".hidden.csv", "eu/a.csv", "eu/b.jsonl", "eu/west/a.csv", "eu/west/far/c.csv",
    ".git/a.csv", "eu/.old/a.csv", "deploy/shops/devices.csv", "models/a.csv", "targets/a.csv", "eu/models/a.csv",
)  # fmt: skip
RUNS = """
    runs:
      chat: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/server]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("id,class\n")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["B.csv", "[x].csv", "a.csv", "b.csv"]),
        ("?.csv", ["B.csv", "a.csv", "b.csv"]),
        ("[a-b].csv", ["a.csv", "b.csv"]),
        ("[!a].csv", ["B.csv", "b.csv"]),
        ("[[]x].csv", ["[x].csv"]),
        ("eu/*", ["eu/a.csv", "eu/b.jsonl"]),
        ("./eu//*.csv", ["eu/a.csv"]),
        ("*/a.csv", ["eu/a.csv"]),
        ("eu/**", ["eu/a.csv", "eu/b.jsonl", "eu/models/a.csv", "eu/west/a.csv", "eu/west/far/c.csv"]),
        ("**/a.csv", ["a.csv", "eu/a.csv", "eu/models/a.csv", "eu/west/a.csv"]),
        ("eu/**/**/c.csv", ["eu/west/far/c.csv"]),
        ("eu/**/far/*", ["eu/west/far/c.csv"]),
        ("deploy/*/*.csv", ["deploy/shops/devices.csv"]),
        (".git/*.csv", [".git/a.csv"]),
        ("a.csv/*", []),
        ("eu/**/a.csv/*", []),
        ("eu/**c.csv", []),
    ],
)
def test_a_pattern_gives_these_files(pattern: str, found: list[str], folder: Path) -> None:
    assert is_pattern(pattern)
    assert matching(folder, pattern) == found


def test_links_are_followed_only_by_name_and_never_out(tmp_path: Path) -> None:
    workspace = tmp_path / "shop"
    (workspace / "eu").mkdir(parents=True)
    (tmp_path / "out.csv").write_text("id,class\nsecret,till\n")
    (workspace / "eu" / "loop").symlink_to(workspace)
    (workspace / "eu" / "out.csv").symlink_to(tmp_path / "out.csv")
    assert matching(workspace, "**/*.csv") == ["eu/out.csv"]
    assert matching(workspace, "eu/*/eu/*.csv") == ["eu/loop/eu/out.csv"]
    resolved(workspace, RUNS)
    text = (workspace / "fleet.slmc.yaml").read_text()
    (workspace / "fleet.slmc.yaml").write_text(text.replace("shops.csv", '["**/*.csv"]'))
    fleet, diagnostics = resolved_folder(workspace)
    assert [(d.code, d.message) for d in diagnostics] == [
        (Code.OUTSIDE_WORKSPACE, "`eu/out.csv` leads out of the workspace through a symbolic link."),
    ]
    assert fleet.devices == 4
