"""Registry and blob, without a lock around them."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.artifact import File
from compiler.base import digests
from compiler.publish.authority import Authority
from compiler.publish.destination import Repository
from compiler.publish.patience import Patience
from compiler.publish.registry import Registry
from compiler.publish.transport import Transport


def registry_at(address: str, chunk: int = 2**20, retries: int = 5) -> tuple[Registry, list[float]]:
    """One that sends small parts, with the pauses that it would have made."""
    repository, pauses = Repository(address, "shop", plain=True), list[float]()
    authority = Authority(None, "repository:shop:pull,push", encrypted=False)
    patience = Patience(retries, pauses.append)
    return Registry(repository, Transport(repository.base, authority), patience, chunk), pauses


def upload(registry: Registry, data: bytes, folder: Path) -> File:
    """Push `data` as one blob."""
    path = folder / "blob"
    path.write_bytes(data)
    blob = File("blob", len(data), digests.of_bytes(data))
    with path.open("rb") as source:
        registry.upload(blob, source, lambda sent: None)
    return blob


def numbered(size: int) -> bytes:
    """Bytes of which no part is like another."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))
