"""Pushing to folders and registries."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from compiler.artifact.store.layout import INDEX, LAYOUT, MANIFEST
from compiler.base import digests
from compiler.cli.main import run
from compiler.publish.modelpack import pack
from tests.artifact.shelf import flip
from tests.docker_registry import docker_registry, stored_blob
from tests.publish.registries import Small, small_registry
from tests.publish.shelf import Shelf, found, moved, told
from tests.tools import tool
from tests.tree import tree

ALL = {
    "assistant-1.4.0-int4": ["LICENSE", "model.onnx", "tokenizer.json"],
    "assistant-1.4.0-int8": ["model.onnx", "parts/model.onnx.data"],
}
"""The second one's LICENSE is the first one's."""
NOTHING: dict[str, list[str]] = {name: [] for name in ALL}


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
