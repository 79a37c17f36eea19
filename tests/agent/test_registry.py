"""A registry with TLS, Debian's docker-registry, and disks that are too small for what comes."""

from __future__ import annotations

import contextlib
import ssl
import urllib.request
from pathlib import Path

from tests import tools
from tests.agent.conftest import Scene
from tests.agent.servers import served
from tests.agent.shop import FOLDER, TOKENS, WEIGHTS, hex_of
from tests.agent.test_transfer import HEX, ONE, artifact
from tests.docker_registry import docker_registry, make_certificate


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


def test_a_disk_that_fills_up_costs_nothing_that_is_in_use(scene: Scene, tmp_path: Path) -> None:
    """The disk is full when the agent looks for what it may remove."""
    tools.need_root()
    small, data = tmp_path / "small", scene.device.root / "var/lib/slmc"
    for folder in (small, data):
        folder.mkdir(parents=True)
    tools.run("mount", "-t", "tmpfs", "-o", "size=4m", "none", data)
    try:
        first = scene.release(scene.bundle(), 1)
        assert scene.device.sync()[0] == 0
        before = artifact(scene)
        scene.release(scene.bundle("# second\n", {"model.onnx": b"w" * 300_000}, folder="2" * 64), 2)
        (small / "df").write_text(
            f"#!/bin/sh\ncat /dev/zero >'{data}/filler' 2>/dev/null\nexec {tools.tool('df')} \"$@\"\n"
        )
        (small / "df").chmod(0o755)
        scene.device.path = [small, *scene.device.path]
        assert (scene.device.sync()[0], artifact(scene), len(before)) == (7, before, 2)
        assert scene.device.status["bundle"] == first.id
    finally:
        tools.run("umount", data)


def test_tls_is_verified_and_not_left(scene: Scene, tmp_path: Path) -> None:
    found = scene.release(scene.bundle("", ONE), 1)
    certificate, key = make_certificate(tmp_path)
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
