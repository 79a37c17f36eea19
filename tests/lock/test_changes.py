"""Which files a compile may touch: its own, and no other."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.lock.changes import Change, ChangeKind
from compiler.lock.lock import Lock
from tests.lock.deployed import FOLDER, changes, committed, write


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


def test_sums_that_point_outside_the_bundle_are_ignored(tmp_path: Path) -> None:
    output = tmp_path / "deploy"
    last = write(output, {"a": "1"})
    (tmp_path / "outside").write_text("mine")
    (output / FOLDER / "SHA256SUMS").write_text(f"{'0' * 64}  ../../../../outside\n{'0' * 64}  /etc/passwd\n0  a\0b\n")
    found, _ = changes(output, {"a": "1"}, last)
    assert found == (Change(ChangeKind.UPDATE, f"{FOLDER}/SHA256SUMS"),)


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
