"""TLS, proxies, and where requests may not go."""

from __future__ import annotations

import http.server
from pathlib import Path
from typing import Any

import pytest

from compiler.base.codes import Code
from compiler.publish.authority import Authority
from compiler.publish.failed import Failed
from compiler.publish.transport import Transport
from tests.docker_registry import docker_registry, make_certificate
from tests.publish.registries import serving
from tests.publish.shelf import Shelf, found, moved, told
from tests.publish.test_push import ALL


def transport(base: str) -> Transport:
    return Transport(base, Authority(None, "repository:shop:pull", encrypted=base.startswith("https:")))


def test_https_goes_by_the_certificates_of_the_environment(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    with docker_registry(tmp_path / "registry", tls=(certificate, key)) as address:
        arguments = ("push", str(shelf.workspace), f"oci://{address}/models/shop")
        said = told(capsys, *arguments)
        assert found(said) == [("SLM811", "slmc.lock:3")]
        assert "certificate verify failed" in said["diagnostics"][0]["message"]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert moved(told(capsys, *arguments)) == ALL


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str | None]] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_response(200)
            self.end_headers()

    with serving(Proxy) as address:
        monkeypatch.setenv("http_proxy", f"http://me:secret@{address}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert transport("http://registry.invalid").patiently("GET", "/v2/").status == 200
        assert transport(f"http://{address}").patiently("GET", "/v2/direct").status == 200
    assert seen == [("http://registry.invalid/v2/", "Basic bWU6c2VjcmV0"), ("/v2/direct", None)]


def test_nothing_leaves_https() -> None:
    """A registry behind a proxy that ends TLS may name itself by http; any other host may not be."""
    sender = transport("https://registry.example.org")
    own = sender._next("https://registry.example.org/v2/", "http://registry.example.org/v2/upload?a=b")
    assert own == "https://registry.example.org/v2/upload?a=b"
    with pytest.raises(Failed) as failed:
        sender.once("PATCH", "http://storage.example.org/upload?signature=secret", {}, b"weights")
    assert failed.value.code is Code.REGISTRY_REFUSED
    assert failed.value.message == (
        "`https://registry.example.org` leads to `http://storage.example.org/upload`, which is not encrypted."
    )
