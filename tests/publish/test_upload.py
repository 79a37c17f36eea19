"""Uploads over lines that break, to registries of several kinds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.artifact.artifact import File
from compiler.base import digests
from compiler.base.codes import Code
from compiler.publish.failed import Failed
from tests.docker_registry import docker_registry, stored_blob
from tests.publish.dialogue import numbered, registry_at, upload
from tests.publish.proxy import Cuts, cutting_proxy
from tests.publish.registries import Small, small_registry
from tests.publish.shelf import Shelf


@pytest.mark.parametrize("cut", [[300_000], [0], [2**20], [300_000, 1, 2**20, 700_000]])
def test_an_upload_goes_on_where_the_registry_says_it_broke_off(tmp_path: Path, cut: list[int]) -> None:
    data, state = numbered(3 * 2**20 + 100), Small(cut=list(cut))
    with small_registry(state) as address:
        blob = upload(registry_at(address)[0], data, tmp_path)
    assert state.blobs == {blob.digest: data}
    reached = 0
    spans = [tuple(map(int, line.split(" ")[2].split("-"))) for line in state.said if line.startswith("PATCH")]
    for number, (first, last) in enumerate(spans):
        assert first == reached
        reached = reached + cut[number] if number < len(cut) else last + 1
    assert reached == len(data)
    assert sum(line.startswith("POST") for line in state.said) == 1
    assert sum(line.startswith("GET") for line in state.said) == len(cut)


def test_an_upload_through_a_line_that_breaks_arrives_at_a_registry_that_forgets(tmp_path: Path) -> None:
    """docker-registry drops an upload whose part broke off: then it begins anew, and still ends."""
    data, cuts = numbered(6 * 2**20), Cuts([2_500_000, 4_000_000, 900])
    with docker_registry(tmp_path / "registry") as address, cutting_proxy(address, cuts) as weak:
        blob = upload(registry_at(weak)[0], data, tmp_path)
    assert cuts.after == []
    assert stored_blob(tmp_path / "registry", blob.digest).read_bytes() == data


def test_a_part_that_was_not_begun_is_all_that_docker_registry_gets_again(tmp_path: Path) -> None:
    """The line breaks with a request's first byte: what came before it stays."""
    data, cuts, chunk = numbered(6 * 2**20), Cuts([]), 2**20
    with docker_registry(tmp_path / "registry") as address, cutting_proxy(address, cuts) as weak:
        registry, _ = registry_at(weak, chunk)
        path = tmp_path / "blob"
        path.write_bytes(data)
        blob = File("blob", len(data), digests.of_bytes(data))

        def break_soon(sent: int) -> None:
            if sent == 3 * chunk:
                cuts.after.append(1)

        with path.open("rb") as source:
            registry.upload(blob, source, break_soon)
    assert cuts.after == []
    assert stored_blob(tmp_path / "registry", blob.digest).read_bytes() == data
    assert len(data) < cuts.passed < len(data) + chunk


def test_a_line_that_always_breaks_is_given_up(tmp_path: Path) -> None:
    state = Small(cut=[0] * 20)
    with small_registry(state) as address:
        registry, pauses = registry_at(address, retries=3)
        with pytest.raises(Failed) as failed:
            upload(registry, numbered(2**21), tmp_path)
    assert failed.value.code is Code.REGISTRY_UNREACHABLE
    assert pauses == [0.5, 1.0, 2.0]
    assert state.blobs == {}


@pytest.mark.parametrize("size", [100, 2**21])
def test_a_finished_upload_whose_answer_was_lost_is_not_sent_again(tmp_path: Path, size: int) -> None:
    data, state = numbered(size), Small(lost=1)
    with small_registry(state) as address:
        blob = upload(registry_at(address)[0], data, tmp_path)
    assert state.blobs == {blob.digest: data}
    assert sum(line.startswith("POST") for line in state.said) == 1


def test_a_registry_that_takes_no_parts_gets_whole_blobs(tmp_path: Path) -> None:
    data, state = numbered(3 * 2**20), Small(parts=False)
    with small_registry(state) as address:
        registry, _ = registry_at(address)
        blob = upload(registry, data, tmp_path)
        other = upload(registry, data[4:], tmp_path)
    assert state.blobs == {blob.digest: data, other.digest: data[4:]}
    assert sum(line.startswith("PATCH") for line in state.said) == 1


def test_busy_registries_are_asked_again_when_they_want_to(tmp_path: Path) -> None:
    state = Small(answers=[(429, {"Retry-After": "7"}), (503, {}), (500, {})])
    with small_registry(state) as address:
        registry, pauses = registry_at(address)
        blob = upload(registry, b"small", tmp_path)
    assert state.blobs == {blob.digest: b"small"}
    assert pauses == [7.0, 1.0, 2.0]


@pytest.mark.slow
def test_memory_is_flat(shelf: Shelf, tmp_path: Path) -> None:
    """300 MB go through a process that has nowhere near that much."""
    size = 300_000_000
    with shelf.store.scratch() as scratch:
        large = scratch / "large"
        with large.open("wb") as file:
            file.truncate(size)
        digest = digests.of_file(large)
        large.rename(shelf.store.path_of(digest))
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from compiler.artifact.artifact import File\n"
        "from tests.publish.dialogue import registry_at\n"
        "path, address, digest = sys.argv[1:]\n"
        "with open(path, 'rb') as source:\n"
        f"    registry_at(address, 16 * 2**20)[0].upload(File('large', {size}, digest), source, lambda sent: None)\n"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    with docker_registry(tmp_path / "registry") as address:
        path = shelf.store.path_of(digest)
        done = subprocess.run(
            [sys.executable, "-c", script, str(path), address, digest],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert stored_blob(tmp_path / "registry", digest).stat().st_size == size
    assert int(done.stdout) < 120_000
