"""Artifacts on their way: cut, corrupt, refused, absent, too large; from a registry and from a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.conftest import Scene
from tests.agent.shop import FOLDER, TOKENS, WEIGHTS, Bundle, hex_of
from tests.tools import tool

ONE = {"model.onnx": WEIGHTS}
HEX = hex_of(WEIGHTS)


def artifact(scene: Scene) -> dict[str, bytes]:
    folder = scene.device.root / "var/lib/slmc/artifacts"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_download_that_is_cut_off_goes_on_where_it_was(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.cut = 10_000
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}
    assert scene.registry.asked == [(HEX, ""), (HEX, "bytes=10000-"), (HEX, "bytes=20000-")]
    assert scene.device.status["downloadedBytes"] == len(WEIGHTS)


def test_a_download_goes_on_in_the_next_sync(scene: Scene) -> None:
    found = scene.release(scene.bundle("", ONE), 1)
    scene.registry.cut = 1000
    code, said = scene.device.sync()
    where, cut = scene.device.settings["ARTIFACTS"], "transfer closed with 23000 bytes remaining to read"
    assert (code, said) == (5, f"slmc-agent: offline: sha256:{HEX} is not to be had from {where}: {cut}\n")
    assert artifact(scene) == {f".incoming/{HEX}": WEIGHTS[:5000]}
    assert scene.device.status["bundle"] is None
    scene.registry.cut = 0
    scene.registry.asked.clear()
    assert scene.device.sync()[0] == 0
    assert (artifact(scene), scene.registry.asked) == ({f"{FOLDER}/model.onnx": WEIGHTS}, [(HEX, "bytes=5000-")])
    assert scene.device.status["bundle"] == found.id


def test_a_server_without_ranges(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    incoming = scene.device.root / "var/lib/slmc/artifacts/.incoming"
    incoming.mkdir(parents=True)
    (incoming / HEX).write_bytes(WEIGHTS[:1000])
    scene.registry.fault = "no-ranges"
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}


@pytest.mark.parametrize("rest", [b"x" * 1000, b"x" * len(WEIGHTS), WEIGHTS + b"x"])
def test_what_lies_there_may_be_damaged(scene: Scene, rest: bytes) -> None:
    scene.release(scene.bundle("", ONE), 1)
    incoming = scene.device.root / "var/lib/slmc/artifacts/.incoming"
    incoming.mkdir(parents=True)
    (incoming / HEX).write_bytes(rest)
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}


def test_a_corrupt_blob_is_fetched_once_more(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.fault, scene.registry.times = "corrupt", 1
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}


def test_a_blob_that_stays_corrupt_is_not_deployed(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    before, _ = artifact(scene), scene.device.calls
    scene.release(scene.bundle("# second\n", {"model.onnx": b"second"}, folder="2" * 64), 2)
    scene.registry.fault, scene.registry.times = "corrupt", 99
    reason = f"what came for sha256:{hex_of(b'second')} has another digest"
    assert scene.device.sync() == (6, f"slmc-agent: corrupt: {reason}\n")
    assert (artifact(scene), scene.device.calls) == (before, [])
    assert (scene.device.status["bundle"], scene.device.status["healthy"]) == (first.id, True)


@pytest.mark.parametrize("real", [WEIGHTS[:-1], WEIGHTS + b"x", WEIGHTS * 20])
def test_a_blob_of_another_size(scene: Scene, real: bytes) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.blobs[HEX] = real
    code, _ = scene.device.sync()
    assert code in (5, 6)
    assert sum(len(data) for data in artifact(scene).values()) <= len(WEIGHTS) + 1024


def test_a_registry_without_the_blob_is_asked_once(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.blobs.clear()
    where, answer = scene.device.settings["ARTIFACTS"], "The requested URL returned error: 404"
    assert scene.device.sync() == (5, f"slmc-agent: offline: sha256:{HEX} is not to be had from {where}: {answer}\n")
    assert len(scene.registry.unknown) == 1


def test_a_registry_that_is_offline(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n", {"model.onnx": b"second"}, folder="2" * 64), 2)
    here = scene.device.settings["ARTIFACTS"]
    scene.device.configure(ARTIFACTS="oci+http://127.0.0.1:1/slm/shop")
    before, _ = scene.device.tree, scene.device.calls
    staged = f"var/lib/slmc/releases/{second.id}.tmp/"
    code, said = scene.device.sync()
    failed = "oci+http://127.0.0.1:1/slm/shop: Failed to connect"
    assert (code, said.split(" to 127.0.0.1")[0]) == (
        5,
        f"slmc-agent: offline: sha256:{hex_of(b'second')} is not to be had from {failed}",
    )
    now = {name: data for name, data in scene.device.tree.items() if not name.startswith(staged)}
    assert (now, scene.device.calls) == (before, [])
    status = scene.device.status
    assert (status["result"], status["bundle"], status["healthy"], status["wantedBundle"]) == (
        "offline",
        first.id,
        True,
        second.id,
    )
    scene.device.configure(ARTIFACTS=here)
    assert scene.device.sync()[0] == 0
    assert scene.device.status["bundle"] == second.id


def test_a_token_is_taken_where_the_registry_says(scene: Scene) -> None:
    scene.release(scene.bundle(), 1)
    scene.registry.fault = "token"
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS, f"{FOLDER}/tokens/tokenizer.json": TOKENS}


def test_a_token_is_no_word_of_a_command(scene: Scene, tmp_path: Path) -> None:
    """Everyone on a device may read those."""
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.fault = "token"
    stub = tmp_path / "noting" / "curl"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\necho "$*" >>\'{tmp_path}/words\'\nexec {tool("curl")} "$@"\n')
    stub.chmod(0o755)
    scene.device.path = [stub.parent, *scene.device.path]
    assert scene.device.sync()[0] == 0
    words = (tmp_path / "words").read_text()
    assert (words.count("/blobs/sha256:"), words.count("/token"), "opens-it" in words) == (2, 1, False)


def test_a_registry_that_sends_elsewhere(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.fault, scene.registry.cut = "elsewhere", 20_000
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}
    assert scene.registry.asked == [(HEX, ""), (HEX, ""), (HEX, "bytes=20000-"), (HEX, "bytes=20000-")]


def oci_layout(folder: Path, found: Bundle) -> None:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    for data in found.artifact.values():
        (blobs / hex_of(data)).write_bytes(data)


def test_artifacts_in_a_folder(scene: Scene, tmp_path: Path) -> None:
    oci_layout(tmp_path / "layout", scene.release(scene.bundle(), 1))
    scene.device.configure(ARTIFACTS=f"file://{tmp_path / 'layout'}")
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS, f"{FOLDER}/tokens/tokenizer.json": TOKENS}
    assert (scene.registry.asked, scene.device.status["downloadedBytes"]) == ([], 0)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (None, 5, "is not to be had from file://"),
        (WEIGHTS[:100], 5, "is not to be had from file://"),
        (WEIGHTS[:-1] + b"x", 6, "has another digest"),
    ],
)
def test_a_folder_that_is_damaged(scene: Scene, tmp_path: Path, data: bytes | None, code: int, reason: str) -> None:
    oci_layout(tmp_path / "layout", scene.release(scene.bundle("", ONE), 1))
    blob = tmp_path / "layout/blobs/sha256" / HEX
    blob.unlink() if data is None else blob.write_bytes(data)
    scene.device.configure(ARTIFACTS=f"file://{tmp_path / 'layout'}")
    found, said = scene.device.sync()
    assert (found, reason in said) == (code, True)
