"""Who slmc is for a registry: challenges, credentials, tokens."""

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

from compiler.base.codes import Code
from compiler.publish.authority import Authority
from compiler.publish.challenge import Challenge, challenges
from compiler.publish.credentials import Credentials, find
from compiler.publish.destination import Folder, Repository, parse
from compiler.publish.failed import Failed
from tests.publish.registries import HTPASSWD, PASSWORD, USER, docker_registry, serving
from tests.publish.shelf import Shelf, found, told
from tests.tools import tool

AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SHOP = Repository("registry.example.org:5000", "models/shop")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ('Basic realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://a/token",service="r, s",scope="repository:a:pull,push"',
            [Challenge("bearer", {"realm": "https://a/token", "service": "r, s", "scope": "repository:a:pull,push"})],
        ),
        ("Negotiate, Basic realm=x", [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        (
            'BASIC realm="\\"q\\"", Bearer realm="t" , error=insufficient_scope',
            [Challenge("basic", {"realm": '"q"'}), Challenge("bearer", {"realm": "t", "error": "insufficient_scope"})],
        ),
        ("Bearer realm=", [Challenge("bearer")]),
        ('Bearer realm="open', [Challenge("bearer")]),
    ],
)
def test_challenges(header: str, expected: list[Challenge]) -> None:
    assert challenges(header) == expected


def write(path: Path, **config: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("auths", "expected"),
    [
        ({}, None),
        ({"other.example.org": {"auth": AUTH}}, None),
        ({"registry.example.org": {"auth": AUTH}}, None),
        ({SHOP.host: {"auth": AUTH}}, Credentials(USER, PASSWORD)),
        ({f"https://{SHOP.host}/v2/": {"auth": AUTH}}, Credentials(USER, PASSWORD)),
        ({f"{SHOP.host}/models": {"identitytoken": "i"}, SHOP.host: {"auth": AUTH}}, Credentials(identity="i")),
        ({SHOP.host: {"registrytoken": "t"}}, Credentials(token="t")),
        ({SHOP.host: {"username": "u", "password": "p"}}, Credentials("u", "p")),
        ({SHOP.host: {}}, None),
    ],
)
def test_credentials_of_a_file(tmp_path: Path, auths: dict[str, Any], expected: Credentials | None) -> None:
    write(tmp_path / ".docker" / "config.json", auths=auths)
    assert find(SHOP, {"HOME": str(tmp_path)}) == expected


def test_docker_hub_has_a_name_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", auths={"https://index.docker.io/v1/": {"auth": AUTH}})
    assert find(Repository("docker.io", "me/shop"), {"HOME": str(tmp_path)}) == Credentials(USER, PASSWORD)
    assert Repository("docker.io", "me/shop").base == "https://registry-1.docker.io"


def test_the_nearer_place_wins(tmp_path: Path) -> None:
    def auths(letter: str) -> dict[str, Any]:
        return {SHOP.host: {"username": letter, "password": letter}}

    environment = {"HOME": str(tmp_path)}
    asked = []
    write(tmp_path / ".docker" / "config.json", auths=auths("home"))
    for name, path, value in (
        ("DOCKER_CONFIG", tmp_path / "d" / "config.json", tmp_path / "d"),
        ("XDG_RUNTIME_DIR", tmp_path / "run" / "containers" / "auth.json", tmp_path / "run"),
        ("REGISTRY_AUTH_FILE", tmp_path / "named.json", tmp_path / "named.json"),
    ):
        asked.append(find(SHOP, environment))
        write(path, auths=auths(name))
        environment[name] = str(value)
    asked.append(find(SHOP, environment))
    asked.append(find(SHOP, environment | {"SLMC_REGISTRY_USERNAME": "u", "SLMC_REGISTRY_PASSWORD": "p"}))
    asked.append(find(SHOP, environment | {"SLMC_REGISTRY_USERNAME": "u", "SLMC_REGISTRY_TOKEN": "t"}))
    names = ("home", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE")
    assert asked == [*(Credentials(name, name) for name in names), Credentials("u", "p"), Credentials(token="t")]


def helper(folder: Path, script: str) -> dict[str, str]:
    """An environment with `docker-credential-safe`, and its settings."""
    path = folder / "bin" / "docker-credential-safe"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\nread server\n{script}\n")
    path.chmod(0o755)
    return {"HOME": str(folder), "PATH": f"{path.parent}:/usr/bin:/bin"}


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_credential_helper_is_asked(tmp_path: Path, key: str) -> None:
    environment = helper(tmp_path, """printf '{"Username": "%s", "Secret": "s"}' "$server" """)
    write(tmp_path / ".docker" / "config.json", **{key: "safe" if key == "credsStore" else {SHOP.host: "safe"}})
    assert find(SHOP, environment) == Credentials(SHOP.host, "s")


def test_a_helper_may_have_a_token_or_nothing(tmp_path: Path) -> None:
    script = """[ "$server" = known ] || exit 1; echo '{"Username": "<token>", "Secret": "t"}'"""
    environment = helper(tmp_path, script)
    write(tmp_path / ".docker" / "config.json", credsStore="safe")
    assert find(Repository("known", "shop"), environment) == Credentials(identity="t")
    assert find(Repository("unknown", "shop"), environment) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": {"registry.example.org:5000": {"auth": "%%%"}}}',
        '{"auths": {"registry.example.org:5000": 5}}',
        '{"credsStore": "absent"}',
        '{"credsStore": "../../bin/sh"}',
    ],
)
def test_what_cannot_be_read_is_said_without_its_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "auth.json").write_text(text)
    with pytest.raises(Failed) as failed:
        find(SHOP, {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"), "PATH": ""})
    assert failed.value.code is Code.BAD_CREDENTIALS
    assert "%%%" not in failed.value.message


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="does not exist"):
        find(SHOP, {"REGISTRY_AUTH_FILE": str(tmp_path / "absent.json")})


@pytest.mark.parametrize(
    ("text", "plain", "expected"),
    [
        ("oci://registry.example.org/models/shop", False, Repository("registry.example.org", "models/shop")),
        ("oci://127.0.0.1:5000/shop/", True, Repository("127.0.0.1:5000", "shop", plain=True)),
        ("oci+https://[::1]:5000/a__b", False, Repository("[::1]:5000", "a__b")),
        ("oci+http://localhost/shop", False, Repository("localhost", "shop", plain=True)),
        ("file:///media/my%20stick", False, Folder(Path("/media/my stick"))),
        ("stick", False, Folder(Path("stick"))),
        ("../a.b/c", False, Folder(Path("../a.b/c"))),
        ("/media/a.b/c:d", False, Folder(Path("/media/a.b/c:d"))),
    ],
)
def test_addresses(text: str, plain: bool, expected: Repository | Folder) -> None:
    assert parse(text, plain) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "oci://host",
        "oci://host/Shop",
        "oci://host/shop:1.0",
        "oci://host/shop@sha256:00",
        "oci://till:open sesame@host/shop",
        "oci:///shop",
        "https://host/shop",
        "file://stick/a",
        "registry.example.org/shop",
        "localhost:5000/shop",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert PASSWORD not in str(error.value)


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
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=token", "-days", "2"]
        command = [tool("openssl"), *make, "-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
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
    assert {scope for query in service.asked for scope in query["scope"]} == {
        "repository:models/shop:pull",
        "repository:models/shop:pull,push",
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
