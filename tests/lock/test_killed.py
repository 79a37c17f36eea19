"""What a run that was killed leaves behind is known for slmc's own by its journal, and goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.lock.changes import Change, ChangeKind
from compiler.lock.lock import Lock
from compiler.lock.ours import JOURNAL
from tests.lock.deployed import FOLDER, changes, committed, write
from tests.tree import tree


def test_journal_of_a_killed_run_makes_its_files_ours(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    (output / FOLDER).mkdir(parents=True)
    (output / FOLDER / "a").write_text("half of an older compile")
    (output / FOLDER / "old").write_text("to be removed")
    (output / JOURNAL).write_text(json.dumps([f"{FOLDER}/a", f"{FOLDER}/old"]))
    found, diagnostics = changes(output, {"a": "1"}, Lock())
    assert Change(ChangeKind.UPDATE, f"{FOLDER}/a") in found
    assert Change(ChangeKind.REMOVE, f"{FOLDER}/old") in found
    assert diagnostics == []


def test_journal_of_a_run_that_was_killed_before_its_lock(tmp_path: Path) -> None:
    """It brought a whole folder: what belongs into it stays, what a later blueprint does without goes."""
    output = tmp_path / "deploy"
    write(output, {"a": "1", "b": "1"})
    (output.parent / "slmc.lock").unlink()
    (output / "shops" / "old").mkdir()
    (output / "shops" / "old" / "c").write_text("of a cohort that is no more")
    (output / JOURNAL).write_text(json.dumps(["shops/"]))
    found, diagnostics = changes(output, {"a": "1", "b": "2"}, Lock())
    assert diagnostics == []
    assert found == (
        Change(ChangeKind.REMOVE, "shops/old/c"),
        Change(ChangeKind.UPDATE, f"{FOLDER}/SHA256SUMS"),
        Change(ChangeKind.UPDATE, f"{FOLDER}/b"),
    )


def test_first_compile_that_was_killed_before_its_lock_keeps_its_files(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    write(output, {"a": "1"})
    (tmp_path / "slmc.lock").unlink()
    before = tree(tmp_path)
    (output / JOURNAL).write_text(json.dumps(["shops/"]))
    assert committed(output, {"a": "1"}, Lock())[0].changes == ()
    assert tree(output) == {name.removeprefix("deploy/"): data for name, data in before.items()}


def test_what_nothing_asks_for_after_a_kill_is_removed_once(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    write(output, {"artifacts.json": "1"})
    (output / "shops").rename(output / "stores")
    (output / JOURNAL).write_text(json.dumps(["stores/"]))
    found, _ = changes(output, {"a": "1"}, Lock())
    assert [change.path for change in found if change.kind is ChangeKind.REMOVE] == [
        "stores/devices.csv", "stores/pi/systemd/SHA256SUMS", "stores/pi/systemd/artifacts.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "journal",
    [
        "", "[", '["../../outside", "/etc/hostname"]', "{}", "[3]", '"text"', "3", '["./"]', '["/"]', '["a//"]',
        '["."]', '["a\\u0000b"]', "[" * 100_000,
    ],
    ids=map(str, range(13)),
)  # fmt: skip
def test_damaged_journal_gives_nothing_away(tmp_path: Path, journal: str) -> None:
    output = tmp_path / "deploy"
    output.mkdir()
    (tmp_path / "outside").write_text("mine")
    (output / "notes").write_text("mine")
    (output / JOURNAL).write_text(journal)
    found, _ = changes(output, {"a": "1"}, Lock())
    assert {change.kind for change in found} == {ChangeKind.CREATE}


def test_what_a_killed_run_left_goes_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    for folder in (output, tmp_path):
        (folder / ".slmc-tmp-abc").mkdir()
    before = tree(tmp_path)
    (output / ".slmc-tmp-abc" / "a").write_text("half")
    assert committed(output, {"a": "1"}, last)[0].changes == ()
    assert tree(tmp_path) == before
    assert not (tmp_path / ".slmc-tmp-abc").exists()


def test_publish_leaves_no_trace_of_itself(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    (output).mkdir()
    (output / ".slmc-tmp-left").write_text("from a killed run")
    write(output, {"a": "1"})
    assert sorted(tree(tmp_path)) == sorted(
        ["deploy/shops/devices.csv", f"deploy/{FOLDER}/SHA256SUMS", f"deploy/{FOLDER}/a", "slmc.lock"]
    )
