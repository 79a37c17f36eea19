"""What is read from real repositories, and what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from compiler.base import git
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from tests.repositories import commit_all
from tests.repositories import git as run_git
from tests.tree import tree


def refused(workspace: Path, name: str) -> Diagnostic:
    with pytest.raises(Stop) as stop:
        git.locate(workspace, name)
    (diagnostic,) = stop.value.diagnostics
    return diagnostic


def exported(workspace: Path, name: str, into: Path) -> dict[str, bytes]:
    revision = git.locate(workspace, name)
    into.mkdir()
    git.export(workspace, git.entries(workspace, revision, ("deploy",)), into)
    return tree(into)


def test_files_are_those_of_the_revision(tmp_path: Path) -> None:
    shop = tmp_path / "repository" / "shops" / "eu"
    (shop / "deploy").mkdir(parents=True)
    (shop / "deploy" / "big").write_bytes(b"left out")
    odd = {"a b.csv": b"1\n", "ä/-x.csv": b"\0\xff", "c/\t:(top)*.csv": b"", "d.csv": b"x" * 100_000}
    for name, data in odd.items():
        (shop / name).parent.mkdir(exist_ok=True)
        (shop / name).write_bytes(data)
    (tmp_path / "repository" / "beside.csv").write_bytes(b"not of the workspace")
    commit = commit_all(tmp_path / "repository")
    (shop / "d.csv").write_bytes(b"later")
    assert git.locate(shop, "main") == git.Revision("main", commit, "shops/eu")
    assert git.locate(shop, commit[:8]).short == commit[:10]
    assert exported(shop, "HEAD", tmp_path / "out") == odd


def test_workspace_that_is_not_in_the_revision_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    commit_all(tmp_path)
    (tmp_path / "new").mkdir()
    assert git.entries(tmp_path / "new", git.locate(tmp_path / "new", "HEAD")) == []


def test_name_that_would_be_an_option_is_none(tmp_path: Path) -> None:
    commit_all(tmp_path)
    names = [
        "-h",
        "--git-dir",
        "--upload-pack=x",
        "--",
        "",
        "a\0b",
        "nope",
        "HEAD..HEAD",
        "^HEAD",
        "HEAD:",
        "HEAD^{tree}",
    ]
    assert {refused(tmp_path, name).code for name in names} == {Code.UNKNOWN_REVISION}


def test_repository_without_a_commit_has_no_revision(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet", ".")
    assert refused(tmp_path, "HEAD").code is Code.UNKNOWN_REVISION


def test_folder_in_no_repository(tmp_path: Path) -> None:
    diagnostic = refused(tmp_path, "HEAD")
    assert (diagnostic.code, diagnostic.message) == (Code.NO_GIT, "The workspace is in no Git repository.")


def test_git_s_own_folder_is_no_workspace(tmp_path: Path) -> None:
    commit_all(tmp_path)
    assert refused(tmp_path / ".git", "HEAD").code is Code.NO_GIT


def test_machine_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(tmp_path, "HEAD").message == "Git cannot be used: there is no `git` on PATH."


def test_shallow_clone_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = commit_all(tmp_path / "a")
    commit_all(tmp_path / "a", "second")
    run_git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path / 'a'}", "b")
    assert git.locate(tmp_path / "b", "HEAD").commit != first
    assert "shallow" in (refused(tmp_path / "b", first).help or "")


def test_objects_that_are_elsewhere_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").write_text("x")
    commit_all(tmp_path / "a")
    run_git(tmp_path / "a", "config", "uploadpack.allowFilter", "true")
    run_git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{tmp_path / 'a'}", "b")
    revision = git.locate(tmp_path / "b", "HEAD")
    found = git.entries(tmp_path / "b", revision)
    with pytest.raises(Stop) as stop:
        git.export(tmp_path / "b", found, tmp_path / "out")
    assert [d.code for d in stop.value.diagnostics] == [Code.NO_GIT]


def test_links_and_submodules_do_no_harm(tmp_path: Path) -> None:
    shop, outside = tmp_path / "shop", tmp_path / "outside"
    shop.mkdir()
    outside.mkdir()
    (outside / "secret.csv").write_text("secret")
    commit_all(outside)
    (shop / "real.csv").write_text("real")
    (shop / "link.csv").symlink_to("real.csv")
    (shop / "out.csv").symlink_to(outside / "secret.csv")
    run_git(shop, "init", "--quiet", ".")
    run_git(shop, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(outside), "sub")
    commit_all(shop)
    found = git.entries(shop, git.locate(shop, "HEAD"))
    assert [entry.path for entry in found if git.is_submodule(entry)] == ["sub"]
    out = tmp_path / "out"
    git.export(shop, found, out)
    assert (out / "link.csv").read_text() == "real"
    assert (out / "out.csv").readlink() == outside / "secret.csv"
    assert not (out / "sub").exists()


def test_tree_that_somebody_forged_writes_nothing_elsewhere(tmp_path: Path) -> None:
    commit_all(tmp_path)
    blob = _write_object(tmp_path, "blob", b"x")
    folder = _write_object(tmp_path, "tree", b"100644 evil.csv\0" + bytes.fromhex(blob))
    top = b"40000 ..\0" + bytes.fromhex(folder) + b"100644 good.csv\0" + bytes.fromhex(blob)
    forged = _write_object(tmp_path, "tree", top)
    commit = run_git(tmp_path, "commit-tree", "-m", "forged", forged)
    revision = git.locate(tmp_path, commit)
    assert [entry.path for entry in git.entries(tmp_path, revision)] == ["good.csv"]


def _write_object(folder: Path, kind: str, data: bytes) -> str:
    command = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    return subprocess.run(command, cwd=folder, input=data, check=True, capture_output=True).stdout.decode().strip()


def test_environment_of_a_hook_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    commit_all(tmp_path / "a")
    (tmp_path / "b" / "x.csv").write_text("x")
    commit = commit_all(tmp_path / "b")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "a" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", os.devnull)
    monkeypatch.setenv("GIT_GLOB_PATHSPECS", "1")
    assert git.locate(tmp_path / "b", "HEAD").commit == commit


def test_settings_of_the_user_change_nothing(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "ä.csv").write_bytes(b"a\n")
    (shop / ".gitattributes").write_text("* text eol=crlf export-ignore\n")
    commit_all(shop)
    for setting in (
        "core.abbrev=4",
        "core.quotePath=true",
        "core.autocrlf=true",
        "core.pager=false",
        "color.ui=always",
    ):
        run_git(shop, "config", *setting.split("="))
    assert exported(shop, "HEAD", tmp_path / "out")["ä.csv"] == b"a\n"
