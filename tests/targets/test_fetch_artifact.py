"""The script with which a pod fetches its artifact, run by sh with curl, from a registry on loopback."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bundle.scenarios import SCENARIOS, files_of
from tests.targets.test_kubernetes import expanded
from tests.tools import tool

MODEL, SETTINGS = os.urandom(300_000), b'{"a": 1}'
FILES = {"model.onnx": MODEL, "tokenizer/$HOME it's.json": SETTINGS}


class Registry(http.server.ThreadingHTTPServer):
    """Gives blobs and ranges of them. `short`: as many bytes of an answer, then the connection ends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.blobs = {sha256(data).hexdigest(): data for data in FILES.values()}
        self.short: int | None = None
        self.ranges = True
        self.asked: list[str | None] = []
        self.authorization: str | None = None


class Answers(http.server.BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.authorization = self.headers["Authorization"]
        data = self.server.blobs.get(self.path.removeprefix("/v2/models/slm/blobs/sha256:"))
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        status = 404 if data is None else 416 if start and start >= len(data) else 206 if start else 200
        body = data[start:] if data is not None and status < 400 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        self.end_headers()
        self.wfile.write(body[: self.server.short])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@cache
def command() -> tuple[str, ...]:
    document = yaml.safe_load(files_of(SCENARIOS["cluster"], "kubernetes")["base/daemonset-chat.yaml"])
    (container,) = document["spec"]["template"]["spec"]["initContainers"]
    return tuple(container["command"])


def fetch(registry: Registry, model: Path, netrc: str = "") -> subprocess.CompletedProcess[str]:
    """As the init container runs it, with the artifact's folder in `model`."""
    tool("curl")
    sh, flags, script, name, _, *_ = command()
    assert "cd /model\n" in script
    # One retry at once in the place of five that wait.
    script = expanded(script, {}).replace("cd /model\n", f"cd {model}\n").replace("--retry 5", "--retry 0")
    blobs = f"http://127.0.0.1:{registry.server_port}/v2/models/slm/blobs"
    words = [word for file, data in FILES.items() for word in (sha256(data).hexdigest(), str(len(data)), file)]
    model.mkdir(exist_ok=True)
    whole = [str(shutil.which(sh)), flags, script, name, blobs, *words]
    environment = {"PATH": os.environ["PATH"], "NETRC": netrc}
    return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=60, check=False)


def found(model: Path) -> dict[str, bytes]:
    return {path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()}


def test_every_file_comes_once(registry: Registry, tmp_path: Path) -> None:
    assert fetch(registry, tmp_path / "model").returncode == 0
    assert found(tmp_path / "model") == FILES
    assert fetch(registry, tmp_path / "model").returncode == 0
    assert registry.asked == [None, None]


def test_what_was_cut_off_goes_on_where_it_ended(registry: Registry, tmp_path: Path) -> None:
    registry.short = 100_000
    assert fetch(registry, tmp_path / "model").returncode == 1
    assert found(tmp_path / "model") == {"model.onnx": MODEL[:100_000]}
    registry.short = None
    assert fetch(registry, tmp_path / "model").returncode == 0
    assert found(tmp_path / "model") == FILES
    assert registry.asked == [None, "bytes=100000-", None]


def test_a_server_without_ranges_is_asked_from_the_beginning(registry: Registry, tmp_path: Path) -> None:
    registry.short, registry.ranges = 100_000, False
    assert fetch(registry, tmp_path / "model").returncode == 1
    registry.short = None
    assert [fetch(registry, tmp_path / "model").returncode for _ in range(2)] == [1, 0]
    assert found(tmp_path / "model") == FILES


@pytest.mark.parametrize("wrong", [MODEL[:-1] + b"x", MODEL + b"more", b""], ids=["other", "longer", "empty"])
def test_what_has_another_digest_never_stays(wrong: bytes, registry: Registry, tmp_path: Path) -> None:
    """Neither when the registry gives it, nor when it is there already, complete but wrong."""
    good = registry.blobs[sha256(MODEL).hexdigest()]
    registry.blobs[sha256(MODEL).hexdigest()] = wrong
    assert fetch(registry, tmp_path / "model").returncode == 1
    assert found(tmp_path / "model").get("model.onnx") in (None, b"")
    registry.blobs[sha256(MODEL).hexdigest()] = good
    (tmp_path / "model" / "model.onnx").write_bytes(wrong)
    assert 0 in [fetch(registry, tmp_path / "model").returncode for _ in range(2)]
    assert found(tmp_path / "model") == FILES


def test_a_blob_that_is_not_there_is_an_error_that_says_so(registry: Registry, tmp_path: Path) -> None:
    registry.blobs.clear()
    done = fetch(registry, tmp_path / "model")
    assert (done.returncode, "404" in done.stderr) == (1, True)


def test_a_name_and_a_password_come_from_the_secret(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login shop password open\n")
    assert fetch(registry, tmp_path / "model", f"--netrc-file {tmp_path / 'netrc'}").returncode == 0
    assert registry.authorization == "Basic c2hvcDpvcGVu"
