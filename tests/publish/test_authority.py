"""Passwords and tokens with a real registry and a token service."""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from compiler.publish.authority import Authority
from compiler.publish.credentials import Credentials
from compiler.publish.failed import Failed
from tests.docker_registry import docker_registry, make_certificate
from tests.publish.registries import AUTH, HTPASSWD, PASSWORD, USER, serving
from tests.publish.shelf import Shelf, found, told, write
from tests.tools import tool


def log_in(tmp_path: Path, address: str, password: str = PASSWORD) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    write(tmp_path / "docker" / "config.json", auths={address: {"auth": auth}})


def push_and_pull(
    shelf: Shelf, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"oci+http://{address}/models/shop"
    assert told(capsys, "push", str(shelf.workspace), place)["exitCode"] == 0
    with monkeypatch.context() as here:
        here.setenv("SLMC_STORE", str(shelf.store.root.with_name("other")))
        assert told(capsys, "pull", str(shelf.workspace), place)["exitCode"] == 0


def refused(shelf: Shelf, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One finding, and no word of the password."""
    said = told(capsys, "push", str(shelf.workspace), f"oci+http://{address}/models/shop")
    assert found(said) == [("SLM810", "slmc.lock:3")]
    assert "wrong" not in json.dumps(said)


def test_basic_authentication(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    settings = f"auth: {{htpasswd: {{realm: shop, path: {json.dumps(str(tmp_path / 'htpasswd'))}}}}}\n"
    with docker_registry(tmp_path / "registry", settings) as address:
        refused(shelf, address, capsys)
        log_in(tmp_path, address, "wrong")
        refused(shelf, address, capsys)
        log_in(tmp_path, address)
        push_and_pull(shelf, address, capsys, monkeypatch)


class TokenService:
    """Docker's token service: signs what docker-registry trusts, for one user, with tokens of a few seconds."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = make_certificate(folder)
        self.asked: list[dict[str, list[str]]] = []

    def token(self, query: dict[str, list[str]]) -> str:
        self.asked.append(query)
        access = []
        for scope in query["scope"]:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        lines = self.certificate.read_text().splitlines()
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        body = {"iss": "tokens", "aud": "shop", "sub": USER, "exp": now + 60, "nbf": now - 60, "iat": now, "jti": "1"}
        text = ".".join(_unpadded(json.dumps(part).encode()) for part in (head, body | {"access": access}))
        command = [tool("openssl"), "dgst", "-sha256", "-sign", str(self.key)]
        signed = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{_unpadded(signed)}"

    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == f"Basic {AUTH}"
                answer = {"token": service.token(parse_qs(urlsplit(self.path).query))} if known else {}
                self._answer(200 if known else 401, answer)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                known = form["refresh_token"] == ["identity"] and form["grant_type"] == ["refresh_token"]
                self._answer(200 if known else 401, {"access_token": service.token(form)} if known else {})

            def _answer(self, status: int, answer: dict[str, str]) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

        return Handler


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, TokenService]]:
    """A registry that wants the tokens of a service, and that service."""
    service = TokenService(tmp_path)
    with serving(service.handler()) as address:
        settings = (
            f"auth: {{token: {{realm: 'http://{address}/token', service: shop, issuer: tokens, "
            f"rootcertbundle: {json.dumps(str(service.certificate))}}}}}\n"
        )
        with docker_registry(tmp_path / "registry", settings) as registry:
            yield registry, service


def test_a_token_is_fetched_with_the_password(
    shelf: Shelf,
    tmp_path: Path,
    guarded: tuple[str, TokenService],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, service = guarded
    refused(shelf, address, capsys)
    log_in(tmp_path, address, "wrong")
    refused(shelf, address, capsys)
    log_in(tmp_path, address)
    push_and_pull(shelf, address, capsys, monkeypatch)
    assert {tuple(query["service"]) for query in service.asked} == {("shop",)}
    scopes = [scope.rpartition(":") for query in service.asked for scope in query["scope"]]
    assert {(what, frozenset(actions.split(","))) for what, _, actions in scopes} == {
        ("repository:models/shop", frozenset({"pull"})),
        ("repository:models/shop", frozenset({"pull", "push"})),
    }


def test_a_token_is_fetched_with_an_identity_token(
    shelf: Shelf,
    tmp_path: Path,
    guarded: tuple[str, TokenService],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, _ = guarded
    write(tmp_path / "docker" / "config.json", auths={address: {"identitytoken": "wrong"}})
    refused(shelf, address, capsys)
    write(tmp_path / "docker" / "config.json", auths={address: {"identitytoken": "identity"}})
    push_and_pull(shelf, address, capsys, monkeypatch)


def test_a_token_service_without_encryption_gets_no_password() -> None:
    authority = Authority(Credentials(USER, PASSWORD), "repository:shop:pull", encrypted=True)

    def fetch(*arguments: Any) -> Any:
        raise AssertionError("it was asked")

    with pytest.raises(Failed, match="not encrypted"):
        authority.obtain('Bearer realm="http://registry.example.org/token"', fetch)
