"""Pulling into a store, and what must not get there."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

import pytest

from compiler.artifact.artifact import File
from compiler.artifact.store import cache
from compiler.artifact.store.store import Remark, Store
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.publish.failed import Failed
from compiler.publish.pull import Pull
from compiler.publish.registry import Registry
from tests.artifact.shelf import flip
from tests.docker_registry import docker_registry, stored_blob
from tests.publish.dialogue import numbered, registry_at
from tests.publish.registries import Small, small_registry
from tests.publish.shelf import Shelf, found, moved, told
from tests.publish.test_push import ALL, NOTHING
from tests.tree import tree


@pytest.fixture
def empty(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Another machine's store."""
    store = Store(tmp_path / "other store")
    monkeypatch.setenv("SLMC_STORE", str(store.root))
    return store


def push(shelf: Shelf, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as here:
        here.setenv("SLMC_STORE", str(shelf.store.root))
        assert told(capsys, "push", str(shelf.workspace), place)["exitCode"] == 0


def is_empty(store: Store) -> bool:
    """Whether it has no blob, and nothing unfinished."""
    return {name for name in tree(store.root) if name != "oci-layout"} == set()


def test_what_was_pushed_comes_back(
    shelf: Shelf,
    empty: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push(shelf, str(tmp_path / "stick"), capsys, monkeypatch)
    assert moved(told(capsys, "pull", str(shelf.workspace), str(tmp_path / "stick"), "--dry-run")) == ALL
    assert not empty.root.exists()
    assert moved(told(capsys, "pull", str(shelf.workspace), str(tmp_path / "stick"))) == ALL
    assert tree(empty.root) == tree(shelf.store.root)
    assert moved(told(capsys, "pull", str(shelf.workspace), str(tmp_path / "stick"))) == NOTHING


def test_a_registry_gives_back_what_was_pushed_and_what_steps_had_to_say(
    shelf: Shelf,
    empty: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with docker_registry(tmp_path / "registry") as address:
        place = f"oci+http://{address}/models"
        push(shelf, place, capsys, monkeypatch)
        assert moved(told(capsys, "pull", str(shelf.workspace), place)) == ALL
    for artifact in shelf.artifacts.values():
        stored, diagnostics = empty.find(artifact.key)
        assert stored is not None
        assert (stored.digest, stored.files, diagnostics) == (artifact.digest, artifact.files, [])
        assert stored.remarks == (Remark(0, "STEP_IDLE", "nothing changed"),)
    assert cache.verify(empty) == ([], [])


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty"])
def test_a_blob_that_is_another_one_is_refused_and_nothing_of_it_kept(
    shelf: Shelf,
    empty: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    push(shelf, str(tmp_path / "stick"), capsys, monkeypatch)
    bad = shelf.file("assistant-1.4.0-int8", "model.onnx")
    path = tmp_path / "stick" / "blobs" / "sha256" / bad.digest[7:]
    data = path.read_bytes()
    path.write_bytes({"flipped": b"E" + data[1:], "cut": data[:-1], "longer": data + b"!", "empty": b""}[damage])
    said = told(capsys, "pull", str(shelf.workspace), str(tmp_path / "stick"))
    assert [code for code, _ in found(said)] == ["SLM813"]
    assert moved(said) == {"assistant-1.4.0-int4": ALL["assistant-1.4.0-int4"]}
    assert not empty.path_of(bad.digest).exists()
    assert not files.left_over(empty.root)
    assert empty.find(shelf.artifacts["assistant-1.4.0-int8"].key) == (None, [])


def test_a_registry_whose_disk_rots_is_found_out(
    shelf: Shelf,
    empty: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with docker_registry(tmp_path / "registry") as address:
        place = f"oci+http://{address}/models"
        push(shelf, place, capsys, monkeypatch)
        for digest in shelf.files:
            flip(stored_blob(tmp_path / "registry", digest))
        said = told(capsys, "pull", str(shelf.workspace), place)
    assert [code for code, _ in found(said)] == ["SLM813", "SLM813"]
    assert is_empty(empty)


def test_what_was_never_pushed_is_said_to_be_absent(
    shelf: Shelf, empty: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").mkdir()
    for more in ([], ["--dry-run"]):
        said = told(capsys, "pull", str(shelf.workspace), str(tmp_path / "stick"), *more)
        assert [code for code, _ in found(said)] == ["SLM812", "SLM812"]
        assert is_empty(empty)


@pytest.mark.slow
def test_a_compile_builds_nothing_that_was_pulled(
    hello: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = str(tmp_path / "stick")
    assert told(capsys, "compile", str(hello))["exitCode"] == 0
    assert told(capsys, "push", str(hello), stick)["exitCode"] == 0
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "other"))
    assert told(capsys, "pull", str(hello), stick)["exitCode"] == 0
    said = told(capsys, "compile", str(hello))
    assert {one["name"]: one["built"] for one in said["artifacts"]} == {
        "pydoc-1.0.0-int4-small": False,
        "pydoc-1.0.0-int8-fast": False,
    }
    assert (said["changes"], said["lockChanged"]) == ([], False)


def pull(store: Store, registry: Registry, data: bytes, name: str = "model.onnx") -> None:
    """Fetch one blob as a part of an artifact would be."""
    remote = Pull(store, registry, lambda line, share: None, registry.patience)
    remote._file(File(name, len(data), digests.of_bytes(data)), "assistant")


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    data, store = numbered(2**20), Store(tmp_path / "store")
    state = Small(blobs={digests.of_bytes(data): data}, cut=[300_000, 0, 500_000])
    with small_registry(state) as address:
        pull(store, registry_at(address)[0], data)
    assert store.path_of(digests.of_bytes(data)).read_bytes() == data
    path = f"GET /v2/shop/blobs/{digests.of_bytes(data)}"
    assert state.said == [path, f"{path} bytes=300000-", f"{path} bytes=300000-", f"{path} bytes=800000-"]


def test_a_download_goes_on_in_the_next_run(tmp_path: Path) -> None:
    data, store = numbered(2**20), Store(tmp_path / "store")
    state = Small(blobs={digests.of_bytes(data): data}, cut=[300_000])
    with small_registry(state) as address:
        with pytest.raises(Failed) as failed:
            pull(store, registry_at(address, retries=0)[0], data)
        assert failed.value.code is Code.REGISTRY_UNREACHABLE
        assert not store.path_of(digests.of_bytes(data)).exists()
        pull(Store(store.root), registry_at(address, retries=0)[0], data)
    assert state.said[-1].endswith("bytes=300000-")
    assert store.path_of(digests.of_bytes(data)).read_bytes() == data
    assert not files.left_over(store.root)


def test_what_a_killed_run_left_damaged_is_fetched_from_the_beginning(tmp_path: Path) -> None:
    data, store = numbered(2**20), Store(tmp_path / "store")
    state = Small(blobs={digests.of_bytes(data): data}, cut=[300_000])
    with small_registry(state) as address:
        with pytest.raises(Failed):
            pull(store, registry_at(address, retries=0)[0], data)
        [part] = store.root.glob(f"{files.TEMPORARY_PREFIX}*/blob")
        flip(part)
        pull(store, registry_at(address, retries=0)[0], data)
    assert store.path_of(digests.of_bytes(data)).read_bytes() == data


def test_two_runs_fetch_a_blob_once(tmp_path: Path) -> None:
    data = numbered(2**20)
    state = Small(blobs={digests.of_bytes(data): data})
    with small_registry(state) as address, concurrent.futures.ThreadPoolExecutor() as pool:
        stores = [Store(tmp_path / "store") for _ in range(4)]
        list(pool.map(lambda store: pull(store, registry_at(address)[0], data), stores))
    assert state.said == [f"GET /v2/shop/blobs/{digests.of_bytes(data)}"]
    assert stores[0].path_of(digests.of_bytes(data)).read_bytes() == data
    assert not files.left_over(stores[0].root)


def test_prune_sweeps_what_a_killed_pull_left(tmp_path: Path) -> None:
    data, store = numbered(2**20), Store(tmp_path / "store")
    state = Small(blobs={digests.of_bytes(data): data}, cut=[300_000])
    with small_registry(state) as address, pytest.raises(Failed):
        pull(store, registry_at(address, retries=0)[0], data)
    assert cache.prune(store, None).freed == 300_000
    assert not files.left_over(store.root)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with small_registry(Small(blobs={digests.of_bytes(b""): b""})) as address:
        pull(store, registry_at(address)[0], b"", "empty")
    assert store.path_of(digests.of_bytes(b"")).read_bytes() == b""


def test_blobs_may_lie_elsewhere_and_the_password_stays(tmp_path: Path) -> None:
    """Many registries send clients to a storage service."""
    data, store = numbered(2**10), Store(tmp_path / "store")
    storage = Small(blobs={digests.of_bytes(data): data})
    with small_registry(storage) as other:
        state = Small(blobs={digests.of_bytes(data): data}, elsewhere=f"http://{other}")
        with small_registry(state) as address:
            registry, _ = registry_at(address)
            registry.transport.authority._authorization = "Bearer secret"
            pull(store, registry, data)
    assert store.path_of(digests.of_bytes(data)).read_bytes() == data
    assert (state.authorizations, storage.authorizations) == ({"Bearer secret"}, {""})
