"""Artifacts on their way: cut, corrupt, refused, absent, too large; from a registry and from a folder."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tools
from tests.agent.conftest import Scene
from tests.agent.servers import served
from tests.agent.shop import FOLDER, TOKENS, WEIGHTS, Bundle, hex_of

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


def test_a_registry_that_sends_elsewhere(scene: Scene) -> None:
    scene.release(scene.bundle("", ONE), 1)
    scene.registry.fault, scene.registry.cut = "elsewhere", 20_000
    assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS}
    assert scene.registry.asked == [(HEX, ""), (HEX, ""), (HEX, "bytes=20000-"), (HEX, "bytes=20000-")]


def test_tls_is_verified_and_not_left(scene: Scene, tmp_path: Path) -> None:
    found = scene.release(scene.bundle("", ONE), 1)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    assert tools.run(*new, *name, "-keyout", key, "-out", certificate).returncode == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trusted = {"CURL_CA_BUNDLE": str(certificate)}
    scene.registry.fault = "elsewhere"
    scene.registry.storage = scene.device.settings["ARTIFACTS"].removeprefix("oci+").removesuffix("/slm/shop")
    with served(scene.registry, tls) as port:
        scene.device.configure(ARTIFACTS=f"oci+https://127.0.0.1:{port}/slm/shop")
        code, said = scene.device.sync()
        assert (code, "certificate" in said) == (5, True)
        code, said = scene.device.sync(env=trusted)
        assert (code, 'Protocol "http" not supported or disabled' in said) == (5, True)
        scene.registry.fault = ""
        assert scene.device.sync(env=trusted)[0] == 0
    assert scene.device.status["bundle"] == found.id


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


def test_a_full_disk_is_seen_before_anything_is_downloaded(scene: Scene, tmp_path: Path) -> None:
    """200,000 bytes and a tenth more are 214.8 KiB."""
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n", {"model.onnx": b"w" * 200_000}, folder="2" * 64), 2)
    before, _ = artifact(scene), scene.device.calls
    scene.registry.asked.clear()
    small = tmp_path / "small"
    small.mkdir()
    scene.device.path = [small, *scene.device.path]
    (small / "df").write_text("#!/bin/sh\necho Filesystem\necho /dev/root 9999 9785 214 98% /\n")
    (small / "df").chmod(0o755)
    reason = f"220000 bytes are needed below {scene.device.root}/var/lib/slmc, and 219136 are free"
    assert scene.device.sync() == (7, f"slmc-agent: disk-full: {reason}\n")
    assert (artifact(scene), scene.registry.asked, scene.device.calls) == (before, [], [])
    assert (scene.device.status["bundle"], scene.device.status["healthy"]) == (first.id, True)
    (small / "df").write_text("#!/bin/sh\necho Filesystem\necho /dev/root 9999 9784 215 98% /\n")
    assert scene.device.sync()[0] == 0
    assert scene.device.status["bundle"] == second.id


def test_a_disk_that_is_really_full(scene: Scene) -> None:
    """The device's data on a file system of 4 MiB."""
    tools.need_root()
    small = scene.device.root / "var/lib/slmc"
    small.mkdir(parents=True)
    tools.run("mount", "-t", "tmpfs", "-o", "size=4m", "none", small)
    try:
        first = scene.release(scene.bundle(), 1)
        assert scene.device.sync()[0] == 0
        scene.release(scene.bundle("# second\n", {"model.onnx": b"w" * 5_000_000}, folder="2" * 64), 2)
        code, said = scene.device.sync()
        assert (code, said.split(" below ")[0]) == (7, "slmc-agent: disk-full: 5500000 bytes are needed")
        filler = small / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(b"f" * 5_000_000)
        assert (
            scene.device.sync()[0],
            scene.device.status["bundle"],
            scene.health.answers("slmc-counter.service"),
        ) == (
            7,
            first.id,
            first.id,
        )
        filler.unlink()
        third = scene.release(scene.bundle("# third\n"), 3)
        assert (scene.device.sync()[0], scene.device.status["bundle"]) == (0, third.id)
    finally:
        tools.run("umount", small)


@contextlib.contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry with an empty storage; gives `HOST:PORT`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": host},
    }
    (folder / "registry.yml").write_text(json.dumps(settings))
    program = [tools.tool("docker-registry"), "serve", folder / "registry.yml"]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert process.poll() is None
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}/v2/"):
                break
            time.sleep(0.05)
        yield host
    finally:
        process.kill()
        process.wait()


def upload(host: str, data: bytes) -> None:
    begun = urllib.request.Request(f"http://{host}/v2/slm/shop/blobs/uploads/", method="POST")
    with urllib.request.urlopen(begun) as answer:
        where = f"{answer.headers['Location']}&digest=sha256:{hex_of(data)}"
    headers = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(where, data, headers, method="PUT")) as answer:
        assert answer.status == 201


def test_the_reference_registry(scene: Scene, tmp_path: Path) -> None:
    found = scene.release(scene.bundle(), 1)
    with docker_registry(tmp_path) as host:
        for data in found.artifact.values():
            upload(host, data)
        scene.device.configure(ARTIFACTS=f"oci+http://{host}/slm/shop")
        part = scene.device.root / "var/lib/slmc/artifacts/.incoming" / HEX
        part.parent.mkdir(parents=True)
        part.write_bytes(WEIGHTS[:12_345])
        assert scene.device.sync()[0] == 0
    assert artifact(scene) == {f"{FOLDER}/model.onnx": WEIGHTS, f"{FOLDER}/tokens/tokenizer.json": TOKENS}
    assert scene.device.status["downloadedBytes"] == len(WEIGHTS) + len(TOKENS) - 12_345
