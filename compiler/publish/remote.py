"""What a registry and a folder have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import BinaryIO, Protocol

from compiler.artifact.artifact import File

Told = Callable[[int], None]
"""Called with the bytes that have arrived of the blob at hand."""


class Remote(Protocol):
    """A place for blobs and manifests. Every method raises Failed."""

    def has(self, blob: File) -> bool:
        """Whether a blob with this digest is there."""

    def upload(self, blob: File, source: BinaryIO, told: Told) -> None:
        """Bring a blob there that `source` has, which was compared with its digest."""

    def has_manifest(self, tag: str, digest: str) -> bool:
        """Whether the tag names this manifest."""

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        """Name a manifest whose blobs are there."""

    def manifest(self, tag: str) -> bytes | None:
        """What the tag names, whatever it is; None when there is no such tag."""

    def pieces(self, blob: File, offset: int) -> Generator[bytes, None, None]:
        """The blob's content from `offset` on. It ends early where the place has less, and raises Broken where
        asking for the rest may help."""
