"""Credentials for a registry from the places where other tools keep them. They are never printed, nor kept.

In this order: `$SLMC_REGISTRY_TOKEN`, or `$SLMC_REGISTRY_USERNAME` and `$SLMC_REGISTRY_PASSWORD`;
`$REGISTRY_AUTH_FILE` alone, else `$XDG_RUNTIME_DIR/containers/auth.json` and `$DOCKER_CONFIG/config.json`, by default
`~/.docker/config.json`. The files are those of containers-auth.json(5) and of Docker, whose credential helpers are
asked, too.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.base.codes import Code
from compiler.publish.destination import Repository
from compiler.publish.failed import Failed

_HELPER_SECONDS = 60
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HUB_KEY = "https://index.docker.io/v1/"
_IDENTITY = "<token>"
"""User name by which a credential helper says that the secret is an identity token."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with its password, an identity token for OAuth2, or a token to send as it is."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """As the value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def find(repository: Repository, environment: Mapping[str, str]) -> Credentials | None:
    """What is known for the repository; None: go without. Raises Failed for a file that cannot be read."""
    if token := environment.get("SLMC_REGISTRY_TOKEN"):
        return Credentials(token=token)
    if username := environment.get("SLMC_REGISTRY_USERNAME"):
        return Credentials(username, environment.get("SLMC_REGISTRY_PASSWORD", ""))
    for path, demanded in _files(environment):
        config = _read(path, demanded)
        if config is not None and (found := _of(config, repository, path, environment)):
            return found
    return None


def _files(environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """With whether the user named the file: then it has to be there."""
    if named := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(named), True
        return
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json", False
    folder = environment.get("DOCKER_CONFIG")
    yield Path(folder or Path(environment.get("HOME") or Path.home()) / ".docker") / "config.json", False


def _read(path: Path, demanded: bool) -> Mapping[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if not demanded:
            return None
        raise _unreadable(path, "it does not exist") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or "the system refuses") from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    if not isinstance(data, dict):
        raise _unreadable(path, "it is not a JSON object")
    return data


def _of(
    config: Mapping[str, Any], repository: Repository, path: Path, environment: Mapping[str, str]
) -> Credentials | None:
    try:
        helpers, auths = dict(config.get("credHelpers") or {}), dict(config.get("auths") or {})
        for key in _keys(repository):
            if (entry := auths.get(key)) and (found := _entry(entry)):
                return found
            helper = helpers.get(key) or (config.get("credsStore") if key in (repository.host, _HUB_KEY) else None)
            if helper and (found := _ask(str(helper), key, environment)):
                return found
    except (ValueError, TypeError, AttributeError):
        raise _unreadable(path, f"what it says of {repository.host} is not what `docker login` writes") from None
    return None


def _keys(repository: Repository) -> list[str]:
    """The names that credentials of the repository may have, the more specific first."""
    parts = repository.name.split("/")
    hosts = list(_HUB) if repository.host in _HUB else [repository.host]
    found = [f"{host}/{'/'.join(parts[:count])}" for host in hosts for count in range(len(parts), 0, -1)]
    for host in hosts:
        found += [host, f"https://{host}", f"http://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]
    return found


def _entry(entry: Mapping[str, Any]) -> Credentials | None:
    """Raises ValueError, TypeError, AttributeError for what no tool writes."""
    if identity := entry.get("identitytoken"):
        return Credentials(identity=str(identity))
    if token := entry.get("registrytoken"):
        return Credentials(token=str(token))
    if auth := entry.get("auth"):
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
        if not colon:
            raise ValueError
        return Credentials(username, password.rstrip("\0"))
    return Credentials(str(entry["username"]), str(entry.get("password", ""))) if entry.get("username") else None


def _ask(helper: str, key: str, environment: Mapping[str, str]) -> Credentials | None:
    """What `docker-credential-HELPER` has; None when it has nothing. Raises Failed when it does not run."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise ValueError
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            env=dict(environment),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise Failed(Code.BAD_CREDENTIALS, f"The credential helper `{program}` does not run.") from None
    if done.returncode:
        return None
    data = json.loads(done.stdout)
    if data["Username"] == _IDENTITY:
        return Credentials(identity=str(data["Secret"]))
    return Credentials(str(data["Username"]), str(data["Secret"]))


def _unreadable(path: Path, why: str) -> Failed:
    return Failed(
        Code.BAD_CREDENTIALS,
        f"`{path}` cannot be read: {why}.",
        "Log in with `docker login` or `podman login`, or name the right file in $REGISTRY_AUTH_FILE.",
    )
