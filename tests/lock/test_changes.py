"""Which files a compile may touch: its own, and no other."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.bundles import Bundle, Bundles
from compiler.lock.changes import Change, ChangeKind, Tree
from compiler.lock.commit import Destination, commit
from compiler.lock.lock import Committed, Lock
from compiler.lock.ours import JOURNAL
from tests.tree import tree

FOLDER = "shops/pi/systemd"


def bundles(files: Mapping[str, str]) -> Bundles:
    data = {name: text.encode() for name, text in files.items()}
    sums = "".join(f"{hashlib.sha256(data[name]).hexdigest()}  {name}\n" for name in sorted(data))
    everything = data | {"SHA256SUMS": sums.encode()}
    bundle = Bundle("shops", "pi", "systemd", FOLDER, "", lambda: everything)
    return Bundles([bundle], {"shops/devices.csv": b"id\n"}, {"shops": 0})


def locked(committed: Committed) -> Lock:
    return Lock(bundles=committed.bundles, indexes=committed.indexes)


def committed(
    output: Path, files: Mapping[str, str], last: Lock, *, dry: bool = False
) -> tuple[Tree, Lock, list[Diagnostic]]:
    locks = []

    def make(committed: Committed) -> Lock:
        locks.append(locked(committed))
        return locks[0]

    to = Destination(output, output.parent / "slmc.lock", dry=dry)
    result, diagnostics = commit(to, bundles(files), last, {}, make)
    return result, locks[0], diagnostics


def write(output: Path, files: Mapping[str, str]) -> Lock:
    """Publish one bundle as a compile does; gives the lock that knows it."""
    _, lock, diagnostics = committed(output, files, Lock())
    assert diagnostics == []
    return lock


def changes(
    output: Path, files: Mapping[str, str], last: Lock
) -> tuple[tuple[Change, ...], list[tuple[Code, str | None]]]:
    result, _, diagnostics = committed(output, files, last, dry=True)
    return result.changes, [(finding.code, finding.file) for finding in diagnostics]


def test_first_compile_creates_everything(tmp_path: Path) -> None:
    found, diagnostics = changes(tmp_path / "deploy", {"a.service": "a"}, Lock())
    assert found == tuple(
        Change(ChangeKind.CREATE, path) for path in ("shops/devices.csv", f"{FOLDER}/SHA256SUMS", f"{FOLDER}/a.service")
    )
    assert diagnostics == []


def test_one_edit_creates_updates_and_removes(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1", "b": "1"})
    found, diagnostics = changes(output, {"b": "2", "c": "1"}, last)
    assert found == (
        Change(ChangeKind.UPDATE, f"{FOLDER}/SHA256SUMS"),
        Change(ChangeKind.REMOVE, f"{FOLDER}/a"),
        Change(ChangeKind.UPDATE, f"{FOLDER}/b"),
        Change(ChangeKind.CREATE, f"{FOLDER}/c"),
    )
    assert diagnostics == []


def test_foreign_file_is_never_removed(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (output / FOLDER / "notes").write_text("mine")
    assert changes(output, {"a": "1"}, last) == ((), [])


def test_foreign_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    (output / FOLDER).mkdir(parents=True)
    (output / FOLDER / "a").write_text("mine")
    _, diagnostics = changes(output, {"a": "1"}, Lock())
    assert diagnostics == [(Code.OCCUPIED_PATH, f"deploy/{FOLDER}/a")]


def test_bundle_is_known_by_its_sums_when_the_lock_is_lost(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    write(output, {"a": "1", "b": "1"})
    (output / "shops/devices.csv").write_text("id\nold-1\n")
    found, diagnostics = changes(output, {"a": "2"}, Lock())
    assert found == (
        Change(ChangeKind.UPDATE, "shops/devices.csv"),
        Change(ChangeKind.UPDATE, f"{FOLDER}/SHA256SUMS"),
        Change(ChangeKind.UPDATE, f"{FOLDER}/a"),
        Change(ChangeKind.REMOVE, f"{FOLDER}/b"),
    )
    assert diagnostics == []
    (output / FOLDER / "a").write_text("edited")
    _, diagnostics = changes(output, {"a": "2"}, Lock())
    assert diagnostics == [(Code.OCCUPIED_PATH, f"deploy/{FOLDER}/a")]


def test_stale_bundle_goes_when_the_lock_is_lost(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    write(output, {"a": "1"})
    old = output / "stores" / "pi" / "systemd"
    old.mkdir(parents=True)
    (old / "artifacts.json").write_text("{}")
    (old / "SHA256SUMS").write_text(f"{hashlib.sha256(b'{}').hexdigest()}  artifacts.json\n{'0' * 64}  edited\n")
    (old / "edited").write_text("who knows")
    (output / "stores" / "devices.csv").write_text("id,class,cohort,SERIAL\n")
    (output / "stores" / "notes.csv").write_text("id,class,cohort\n")
    (output / "stores" / "devices").mkdir()
    (output / "stores" / "devices" / "3.csv").write_text("id,class,cohort,SERIAL\n")
    (output / "stores" / "devices" / "mine.csv").write_text("mine\n")
    found, diagnostics = changes(output, {"a": "1"}, Lock())
    removed = [
        "stores/devices.csv",
        "stores/devices/3.csv",
        "stores/pi/systemd/SHA256SUMS",
        "stores/pi/systemd/artifacts.json",
    ]
    assert found == tuple(Change(ChangeKind.REMOVE, path) for path in removed)
    assert diagnostics == []


def test_edited_file_is_put_back_with_a_warning(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (output / FOLDER / "a").write_text("edited")
    assert changes(output, {"a": "1"}, last) == (
        (Change(ChangeKind.UPDATE, f"{FOLDER}/a"),),
        [(Code.EDITED_BY_HAND, f"deploy/{FOLDER}/a")],
    )


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


def test_sums_that_point_outside_the_bundle_are_ignored(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (tmp_path / "outside").write_text("mine")
    (output / FOLDER / "SHA256SUMS").write_text(f"{'0' * 64}  ../../../../outside\n{'0' * 64}  /etc/passwd\n0  a\0b\n")
    found, _ = changes(output, {"a": "1"}, last)
    assert found == (Change(ChangeKind.UPDATE, f"{FOLDER}/SHA256SUMS"),)


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


def test_own_file_inside_a_known_bundle_is_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    lock = write(output, {"a": "1"})
    sums = hashlib.sha256((output / FOLDER / "SHA256SUMS").read_bytes()).hexdigest()
    last = Lock(bundles={FOLDER: f"sha256:{sums}"}, indexes=lock.indexes)
    (output / FOLDER / "b").write_text("mine")
    _, diagnostics = changes(output, {"a": "1", "b": "generated"}, last)
    assert diagnostics == [(Code.OCCUPIED_PATH, f"deploy/{FOLDER}/b")]


def test_edited_file_is_not_removed_in_silence(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1", "b": "1"})
    (output / FOLDER / "b").write_text("edited")
    found, diagnostics = changes(output, {"a": "1"}, last)
    assert Change(ChangeKind.REMOVE, f"{FOLDER}/b") in found
    assert diagnostics == [(Code.EDITED_BY_HAND, f"deploy/{FOLDER}/b")]


@pytest.mark.parametrize("lead", ["same", "nowhere", "."])
def test_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, lead: str) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (tmp_path / "same").write_text("1")
    (output / FOLDER / "a").unlink()
    (output / FOLDER / "a").symlink_to(tmp_path / lead)
    found, _, diagnostics = committed(output, {"a": "1"}, last)
    assert found.changes == (Change(ChangeKind.UPDATE, f"{FOLDER}/a"),)
    assert [finding.code for finding in diagnostics] == [Code.EDITED_BY_HAND]
    assert not (output / FOLDER / "a").is_symlink()
    assert (output / FOLDER / "a").read_text() == (tmp_path / "same").read_text() == "1"


def test_pipe_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (output / FOLDER / "a").unlink()
    os.mkfifo(output / FOLDER / "a")
    found, _ = changes(output, {"a": "1"}, last)
    assert found == (Change(ChangeKind.UPDATE, f"{FOLDER}/a"),)


def test_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    (output / FOLDER / "a").mkdir(parents=True)
    assert changes(output, {"a": "1"}, Lock())[1] == [(Code.OCCUPIED_PATH, f"deploy/{FOLDER}/a")]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_file_or_link_in_the_place_of_a_folder(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "deploy"
    (output / "shops").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        (output / "shops" / "pi").write_text("mine")
    else:
        (output / "shops" / "pi").symlink_to(tmp_path / "elsewhere")
    _, diagnostics = changes(output, {"a": "1"}, Lock())
    assert set(diagnostics) == {(Code.OCCUPIED_PATH, "deploy/shops/pi")}


def test_output_folder_that_is_a_file(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    output.write_text("mine")
    _, diagnostics = changes(output, {"a": "1"}, Lock())
    assert set(diagnostics) == {(Code.OCCUPIED_PATH, "deploy")}
