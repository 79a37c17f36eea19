"""Paths stay inside the workspace, whatever they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.fleet.paths import fault, normal
from tests.values import PLACE


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("models/a", None),
        ("./models//a/", None),
        ("models/..a", None),
        ("not-there/at-all", None),
        ("link-inside/file", None),
        ("loop/file", None),
        ("/etc/passwd", Code.OUTSIDE_WORKSPACE),
        ("C:\\models", Code.OUTSIDE_WORKSPACE),
        ("..", Code.OUTSIDE_WORKSPACE),
        ("models/../models/a", Code.OUTSIDE_WORKSPACE),
        ("link-outside", Code.OUTSIDE_WORKSPACE),
        ("link-outside/file", Code.OUTSIDE_WORKSPACE),
        ("link-to-link/file", Code.OUTSIDE_WORKSPACE),
        (".", Code.BAD_VALUE),
        ("a\0b", Code.BAD_VALUE),
        ("a\nb", Code.BAD_VALUE),
        ("a" * 256, Code.BAD_VALUE),
        ("a/" * 3000, Code.BAD_VALUE),
        ("a\ud800b", Code.BAD_VALUE),
        ("https://example.org/a", Code.BAD_VALUE),
        ("HF://example/a", Code.BAD_VALUE),
    ],
)
def test_fault(tmp_path: Path, path: str, code: Code | None) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "models").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (workspace / "link-inside").symlink_to("models")
    (workspace / "link-outside").symlink_to(tmp_path / "outside")
    (workspace / "link-to-link").symlink_to("link-outside")
    (workspace / "loop").symlink_to("loop")
    found = fault(workspace, path, PLACE)
    assert (found.code if found else None) is code


def test_a_workspace_behind_a_link_is_still_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert fault(tmp_path / "link", "models/a", PLACE) is None


def test_one_path_has_one_spelling() -> None:
    assert [normal(path) for path in ("a/b", "./a//b/", "a/./b")] == ["a/b"] * 3
