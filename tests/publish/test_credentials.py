"""Challenges, addresses, and credentials from where other tools keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compiler.base.codes import Code
from compiler.publish.challenge import Challenge, challenges
from compiler.publish.credentials import Credentials, find
from compiler.publish.destination import Folder, Repository, parse
from compiler.publish.failed import Failed
from tests.publish.registries import AUTH, PASSWORD, USER
from tests.publish.shelf import write

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
