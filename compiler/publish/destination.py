"""Where artifacts are pushed to and pulled from: `oci://host/repository`, `file:///folder`, a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
"""<name> of the OCI distribution specification 1.1."""
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_DOCKER_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of an OCI registry. `plain` means http, for registries on loopback."""

    host: str
    """With the port, when there is one."""
    name: str
    plain: bool = False

    @property
    def base(self) -> str:
        return f"{'http' if self.plain else 'https'}://{_DOCKER_HUB.get(self.host, self.host)}"

    def __str__(self) -> str:
        return f"oci://{self.host}/{self.name}"


@dataclass(frozen=True, slots=True)
class Folder:
    """An OCI image layout in a folder, such as a USB stick."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Place = Repository | Folder


def parse(text: str, plain: bool = False) -> Place:
    """Raises ValueError with a sentence. What looks like a password is not repeated in it."""
    scheme, colon, rest = text.partition("://")
    if not colon:
        return _folder(text)
    if scheme == "file":
        split = urlsplit(text)
        if split.netloc not in ("", "localhost") or not split.path.startswith("/"):
            raise ValueError("a file:// address has three slashes and the path from the root: file:///media/stick")
        return Folder(Path(unquote(split.path)))
    if scheme not in ("oci", "oci+https", "oci+http"):
        raise ValueError("it begins with oci:// or file://, or is a folder")
    if plain and scheme == "oci+https":
        raise ValueError("oci+https:// and --plain-http exclude each other")
    if "@" in rest.partition("/")[0]:
        raise ValueError("credentials do not stand in an address: slmc takes them from where `docker login` puts them")
    host, _, name = rest.rstrip("/").partition("/")
    if not _HOST.fullmatch(host):
        raise ValueError(f"`{host}` is not a host")
    if not _REPOSITORY.fullmatch(name) or len(name) > 255:
        raise ValueError(
            f"`{name}` is not a repository: lower case letters, digits, `.`, `_`, `-`, `/`; no tag, no digest"
        )
    return Repository(host, name, plain or scheme == "oci+http")


def _folder(text: str) -> Folder:
    first, slash, _ = text.partition("/")
    if slash and re.search(r"\w[.:]\w", first) and not Path(first).exists():
        raise ValueError(f"`{first}` is no folder here; a registry is written oci://{text}")
    if not text:
        raise ValueError("it is empty")
    return Folder(Path(text))
