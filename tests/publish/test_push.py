"""Pushing to folders and registries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.artifact.artifact import File
from compiler.artifact.store.layout import INDEX, LAYOUT, MANIFEST
from compiler.base import digests
from compiler.base.codes import Code
from compiler.cli.main import run
from compiler.publish.authority import Authority
from compiler.publish.destination import Repository
from compiler.publish.failed import Failed
from compiler.publish.modelpack import pack
from compiler.publish.patience import Patience
from compiler.publish.registry import Registry
from compiler.publish.transport import Transport
from tests.artifact.shelf import flip
from tests.publish.proxy import Cuts, cutting_proxy
from tests.publish.registries import Small, docker_registry, small_registry, stored_blob
from tests.publish.shelf import Shelf, found, moved, told
from tests.tools import tool
from tests.tree import tree

ALL = {
    "assistant-1.4.0-int4": ["LICENSE", "model.onnx", "tokenizer.json"],
    "assistant-1.4.0-int8": ["model.onnx", "parts/model.onnx.data"],
}
"""The second one's LICENSE is the first one's."""
NOTHING: dict[str, list[str]] = {name: [] for name in ALL}


def registry_at(address: str, chunk: int = 2**20, retries: int = 5) -> tuple[Registry, list[float]]:
    """One that sends small parts, with the pauses that it would have made."""
    repository, pauses = Repository(address, "shop", plain=True), list[float]()
    authority = Authority(None, "repository:shop:pull,push", encrypted=False)
    patience = Patience(retries, pauses.append)
    return Registry(repository, Transport(repository.base, authority), patience, chunk), pauses


def upload(registry: Registry, data: bytes, folder: Path) -> File:
    """Push `data` as one blob."""
    path = folder / "blob"
    path.write_bytes(data)
    blob = File("blob", len(data), digests.of_bytes(data))
    with path.open("rb") as source:
        registry.upload(blob, source, lambda sent: None)
    return blob


def numbered(size: int) -> bytes:
    """Bytes of which no part is like another."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))


def test_a_folder_becomes_an_oci_image_layout(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick = tmp_path / "my stick"
    said = told(capsys, "push", str(shelf.workspace), f"file://{tmp_path}/my%20stick")
    assert moved(said) == ALL
    written = tree(stick)
    index = json.loads(written.pop("index.json"))
    assert written.pop("oci-layout") == LAYOUT
    assert {f"sha256:{name.rpartition('/')[2]}" for name in written} == {
        *shelf.blobs,
        *(one["digest"] for one in index["manifests"]),
        *(digests.of_bytes(pack(artifact).config) for artifact in shelf.artifacts.values()),
    }
    assert all(digests.of_bytes(data) == f"sha256:{name.rpartition('/')[2]}" for name, data in written.items())
    assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX)
    assert [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]] == [
        f"{name}-{artifact.digest[7:19]}" for name, artifact in sorted(shelf.artifacts.items())
    ]


def test_a_manifest_is_a_modelpack_with_one_raw_layer_for_each_file(shelf: Shelf) -> None:
    """model-spec: docs/spec.md, docs/config.md and docs/annotations.md of its version 1."""
    artifact = shelf.artifacts["assistant-1.4.0-int8"]
    packed = pack(artifact)
    names = ("LICENSE", "model.onnx", "parts/model.onnx.data")
    license, model, data = (shelf.file(artifact.name, name) for name in names)
    assert json.loads(packed.config) == {
        "descriptor": {"name": "assistant", "title": "assistant-1.4.0-int8", "version": "1.4.0"},
        "config": {"format": "onnx", "paramSize": "2.0M"},
        "modelfs": {"type": "layers", "diffIds": [license.digest, model.digest, data.digest]},
    }
    kinds = {license: "doc.v1.raw", model: "weight.v1.raw", data: "weight.v1.raw"}
    assert json.loads(packed.manifest) == {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "digest": digests.of_bytes(packed.config),
            "size": len(packed.config),
        },
        "layers": [
            {
                "mediaType": f"application/vnd.cncf.model.{kind}",
                "digest": file.digest,
                "size": file.size,
                "annotations": {"org.opencontainers.image.title": file.name, "org.cncf.model.filepath": file.name},
            }
            for file, kind in kinds.items()
        ],
        "annotations": {
            "dev.slmc.digest": artifact.digest,
            "dev.slmc.model": "assistant@1.4.0",
            "dev.slmc.name": "assistant-1.4.0-int8",
            "dev.slmc.recipe": "int8",
            "dev.slmc.remarks": "[]",
            "dev.slmc.shape": '{"context_length":2048,"kv_bytes_per_token":1024,"parameters":2000000,'
            '"weight_bytes":104857600}',
        },
    }


def test_a_second_push_changes_nothing(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("push", str(shelf.workspace), str(tmp_path / "stick"))
    assert moved(told(capsys, *arguments, "--dry-run")) == ALL
    assert not (tmp_path / "stick").exists()
    told(capsys, *arguments)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "stick").rglob("*")}
    said = told(capsys, *arguments)
    assert moved(said) == NOTHING
    assert not any(one["changed"] for one in said["artifacts"])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "stick").rglob("*")} == before


def test_a_folder_is_mended_and_keeps_what_others_put_there(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    told(capsys, "push", str(shelf.workspace), str(stick))
    index = json.loads((stick / "index.json").read_text())
    other = {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 2}
    (stick / "index.json").write_text(json.dumps({**index, "manifests": [other, index["manifests"][0]]}))
    (stick / "holiday.jpg").write_bytes(b"sea")
    flip(stick / "blobs" / "sha256" / shelf.file("assistant-1.4.0-int8", "model.onnx").digest[7:])
    said = told(capsys, "push", str(shelf.workspace), str(stick))
    assert moved(said) == NOTHING | {"assistant-1.4.0-int8": ["model.onnx"]}
    assert json.loads((stick / "index.json").read_text()) == {**index, "manifests": [other, *index["manifests"]]}
    assert (stick / "holiday.jpg").read_bytes() == b"sea"


def test_another_index_is_not_replaced(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").write_text("[]")
    assert found(told(capsys, "push", str(shelf.workspace), str(tmp_path / "site"))) == [
        ("SLM804", str(tmp_path / "site" / "index.json"))
    ]
    assert (tmp_path / "site" / "index.json").read_text() == "[]"


def test_what_the_store_lacks_is_found_before_anything_is_sent(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.store.path_of(shelf.file("assistant-1.4.0-int8", "model.onnx").digest).unlink()
    said = told(capsys, "push", str(shelf.workspace), str(tmp_path / "stick"))
    lock = (shelf.workspace / "slmc.lock").read_text().splitlines()
    line = lock.index('    "assistant-1.4.0-int8": {') + 1
    assert found(said) == [("SLM808", f"slmc.lock:{line}")]
    assert f"`slmc build {shelf.workspace}`" in said["diagnostics"][0]["help"]
    assert not (tmp_path / "stick").exists()


def test_what_is_damaged_in_the_store_is_not_sent(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = shelf.file("assistant-1.4.0-int4", "model.onnx").digest
    flip(shelf.store.path_of(bad))
    said = told(capsys, "push", str(shelf.workspace), str(tmp_path / "stick"))
    assert [code for code, _ in found(said)] == ["SLM808"]
    assert moved(said) == {"assistant-1.4.0-int8": ALL["assistant-1.4.0-int8"]}
    assert not (tmp_path / "stick" / "blobs" / "sha256" / bad[7:]).exists()


def test_without_a_lock_there_is_nothing_to_push(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(told(capsys, "push", str(tmp_path), str(tmp_path / "stick"))) == [("SLM807", "slmc.lock")]


def test_a_digest_that_is_not_that_of_the_files_is_an_edited_lock(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = shelf.workspace / "slmc.lock"
    text = lock.read_text()
    lock.write_text(text.replace(shelf.artifacts["assistant-1.4.0-int4"].digest, "sha256:" + "0" * 64))
    said = told(capsys, "push", str(shelf.workspace), str(tmp_path / "stick"))
    assert found(said) == [("SLM802", "slmc.lock:3")]


def test_a_registry_has_what_was_pushed_and_skopeo_reads_it(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with docker_registry(tmp_path / "registry") as address:
        arguments = ("push", str(shelf.workspace), f"oci+http://{address}/models/shop")
        assert moved(told(capsys, *arguments, "--dry-run")) == ALL
        first = told(capsys, *arguments)
        assert moved(first) == ALL
        assert moved(told(capsys, *arguments)) == NOTHING
        for digest, data in shelf.blobs.items():
            assert stored_blob(tmp_path / "registry", digest).read_bytes() == data
        for one in first["artifacts"]:
            source = f"docker://{address}/models/shop:{one['tag']}"
            copy = [tool("skopeo"), "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"]
            subprocess.run([*copy, source, f"oci:{tmp_path / 'copy'}:{one['tag']}"], check=True)
            inspect = [tool("skopeo"), "inspect", "--raw", f"oci:{tmp_path / 'copy'}:{one['tag']}"]
            raw = subprocess.run(inspect, check=True, capture_output=True).stdout
            assert digests.of_bytes(raw) == one["manifest"]
    for digest, data in shelf.blobs.items():
        assert (tmp_path / "copy" / "blobs" / "sha256" / digest[7:]).read_bytes() == data


def test_skopeo_takes_a_folder_as_a_source(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "push", str(shelf.workspace), str(tmp_path / "stick"))
    for one in said["artifacts"]:
        source, into = f"oci:{tmp_path / 'stick'}:{one['tag']}", f"dir:{tmp_path / one['name']}"
        subprocess.run([tool("skopeo"), "copy", "--quiet", "--preserve-digests", source, into], check=True)
        assert digests.of_file(tmp_path / one["name"] / "manifest.json") == one["manifest"]


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


def test_what_a_registry_says_is_shown_when_it_refuses(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    with small_registry(Small(answers=[(403, {})])) as address:
        said = told(capsys, "push", str(shelf.workspace), f"oci://{address}/shop", "--plain-http")
    assert found(said) == [("SLM810", "slmc.lock:3")]
    assert "403" in said["diagnostics"][0]["message"]


def test_a_registry_that_is_not_there_is_said_in_a_sentence(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    with small_registry(Small()) as address:
        pass
    said = told(capsys, "push", str(shelf.workspace), f"oci+http://{address}/shop", "--retries", "0")
    assert found(said) == [("SLM811", "slmc.lock:3")]
    assert "Connection refused" in said["diagnostics"][0]["message"]


def test_a_registry_that_is_spoken_to_wrongly_is_not_tried_again(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    state = Small()
    with small_registry(state) as address:
        said = told(capsys, "push", str(shelf.workspace), f"oci://{address}/shop")
    assert found(said) == [("SLM811", "slmc.lock:3")]
    assert "by TLS" in said["diagnostics"][0]["message"]
    assert state.said == []


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"], ["-C", "a", "b", "c"], ["registry.example.org/shop"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    assert run(["push", *arguments]) == 2


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
        "from tests.publish.test_push import registry_at\n"
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
