"""Debian's docker-registry, the reference implementation, on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.tools import tool

_SECONDS = 20


@contextlib.contextmanager
def docker_registry(folder: Path, auth: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """With an empty storage in `folder`; gives `127.0.0.1:PORT`. `tls`: certificate and key."""
    program = tool("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "config.yml"
    settings.write_text(
        "version: 0.1\nlog: {level: info}\n"
        f"storage: {{filesystem: {{rootdirectory: {json.dumps(str(folder / 'storage'))}}}}}\n"
        f"http: {{addr: '127.0.0.1:0', secret: loopback{_tls(tls)}}}\n{auth}"
    )
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen([program, "serve", str(settings)], stdout=said, stderr=said)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait()


def _tls(tls: tuple[Path, Path] | None) -> str:
    if tls is None:
        return ""
    certificate, key = (json.dumps(str(path)) for path in tls)
    return f", tls: {{certificate: {certificate}, key: {key}}}"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own for loopback, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=loopback", "-days", "2"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([tool("openssl"), *make, *names], check=True, capture_output=True)
    return certificate, key


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def stored_blob(folder: Path, digest: str) -> Path:
    """Where docker-registry keeps a blob."""
    name = digest.removeprefix("sha256:")
    return folder / "storage" / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
