"""Which files of a workspace are read, in which order, and what is said of those that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.base.diagnostics import Diagnostic
from compiler.syntax.read import read, read_all


def shown(diagnostics: list[Diagnostic]) -> list[tuple[str, str | None, str, str | None]]:
    return [(one.code.id, one.file, one.message, one.help) for one in diagnostics]


def test_blueprints_are_found_below_the_workspace_in_order(tmp_path: Path) -> None:
    wanted = [
        "a.slmc.yaml", "a/b/z.slmc.yaml", "a/deploy/x.slmc.yaml", "a/models/y.slmc.yaml", "b.slmc.yaml", "ü.slmc.yaml",
    ]  # fmt: skip
    others = [
        "deploy/x.slmc.yaml", "models/x.slmc.yaml", "targets/t/x.slmc.yaml", ".git/x.slmc.yaml", "a/.x/y.slmc.yaml",
        ".hidden.slmc.yaml", "a.yaml", "slmc.yaml", "a.slmc.yml", "venv/pyvenv.cfg", "venv/lib/x.slmc.yaml",
    ]  # fmt: skip
    for name in wanted + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kind: x\n")
    documents, diagnostics = read_all(tmp_path)
    assert [document.source.path for document in documents] == wanted
    assert diagnostics == []


def test_a_blueprint_that_leads_out_of_the_workspace(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "a.slmc.yaml").write_text("kind: x\n")
    (workspace / "a.slmc.yaml").symlink_to(tmp_path / "a.slmc.yaml")
    documents, diagnostics = read_all(workspace)
    assert documents == []
    assert shown(diagnostics) == [
        (
            "SLM208",
            "a.slmc.yaml",
            "`a.slmc.yaml` leads out of the workspace through a symbolic link.",
            "Copy the file into the workspace.",
        )
    ]


def test_a_folder_without_blueprints(tmp_path: Path) -> None:
    (tmp_path / "readme.md").touch()
    assert read_all(tmp_path) == ([], read_all(tmp_path)[1])
    assert shown(read_all(tmp_path)[1]) == [
        (
            "SLM211",
            None,
            f"No file below `{tmp_path}` has a name that ends in `.slmc.yaml`.",
            f"`slmc init {tmp_path}` writes a small workspace to start from.",
        )
    ]


@pytest.mark.parametrize("name", ["fleet.yaml", "fleet.yml"])
def test_a_folder_with_other_yaml(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert [one.help for one in read_all(tmp_path)[1]] == [
        f"The names of blueprint files end in `.slmc.yaml`; `{name}` does not."
    ]


def test_a_workspace_that_is_no_folder(tmp_path: Path) -> None:
    way = "Give the folder of a workspace. `slmc init DIR` writes one."
    gone, file = tmp_path / "gone", tmp_path / "file"
    file.touch()
    assert shown(read_all(gone)[1]) == [("SLM211", None, f"`{gone}` does not exist.", way)]
    assert shown(read_all(file)[1]) == [("SLM211", None, f"`{file}` is a file.", way)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.slmc.yaml").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "b.slmc.yaml")
    (tmp_path / "c.slmc.yaml").symlink_to(tmp_path / "c.slmc.yaml")
    (tmp_path / "d.slmc.yaml").mkdir()
    way = "Make it readable for the user who runs slmc."
    documents, diagnostics = read_all(tmp_path)
    assert shown(diagnostics) == [
        ("SLM901", "a.slmc.yaml", "`a.slmc.yaml` cannot be read: No such file or directory.", way),
        ("SLM901", "b.slmc.yaml", "`b.slmc.yaml` cannot be read: it is not a file.", way),
        ("SLM901", "c.slmc.yaml", "`c.slmc.yaml` cannot be read: Too many levels of symbolic links.", way),
        ("SLM901", "d.slmc.yaml", "`d.slmc.yaml` cannot be read: it is not a file.", way),
    ]
    assert [(document.data, document.complete) for document in documents] == [({}, False)] * 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.slmc.yaml").write_text("kind: x\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.slmc.yaml").chmod(0)
    (tmp_path / "folder").chmod(0)
    assert [(one.code.id, one.file) for one in read_all(tmp_path)[1]] == [
        ("SLM901", "folder"),
        ("SLM901", "a.slmc.yaml"),
    ]


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    Path(tmp_path, os.fsdecode(b"\xff.slmc.yaml")).write_bytes(b"- a\n")
    documents, diagnostics = read_all(tmp_path)
    assert [document.source.path for document in documents] == ["?.slmc.yaml"]
    assert [str(one.span) for one in diagnostics] == ["?.slmc.yaml:1:1"]


def test_one_file_under_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a: b\n")
    document, diagnostics = read(tmp_path / "x", "targets/t/target.yaml")
    assert diagnostics == []
    assert document is not None
    assert (document.source.path, document.data) == ("targets/t/target.yaml", {"a": "b"})
    assert read(tmp_path / "y", "y")[0] is None
