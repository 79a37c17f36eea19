"""Blobs: files that are named by the sha256 of what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.base import digests, files


class Corrupt(Exception):
    """A blob is missing, or is not what its name says."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"{digest} {why}")
        self.digest = digest
        self.why = why


@dataclass(frozen=True, slots=True)
class Blobs:
    """`blobs/sha256/` below a store's root. Writers hold the store's lock."""

    root: Path
    _checked: set[str] = field(default_factory=set, compare=False, repr=False)
    """Digests that this run has read and found right; layers are shared by many artifacts."""

    @property
    def folder(self) -> Path:
        return self.root / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def check(self, descriptor: Mapping[str, Any]) -> None:
        """Compare size and sha256 with what is on the disk. Raises Corrupt."""
        digest = str(descriptor["digest"])
        if digest in self._checked:
            return
        self.glance(digest, int(descriptor["size"]))
        try:
            if digests.of_file(self.path(digest)) != digest:
                raise Corrupt(digest, "does not have the content that its digest names")
        except OSError as error:
            raise Corrupt(digest, f"cannot be read: {error.strerror}") from error
        self._checked.add(digest)

    def glance(self, digest: str, size: int) -> None:
        """Whether there is a blob of this size; its content is not read. Raises Corrupt."""
        try:
            found = self.path(digest).stat().st_size
        except FileNotFoundError:
            raise Corrupt(digest, "is missing") from None
        except OSError as error:
            raise Corrupt(digest, f"cannot be read: {error.strerror}") from error
        if found != size:
            raise Corrupt(digest, f"has {found} bytes instead of {size}")

    def read(self, descriptor: Mapping[str, Any]) -> bytes:
        """A small blob's content, checked. Raises Corrupt."""
        self.check(descriptor)
        return self.path(str(descriptor["digest"])).read_bytes()

    def put(self, data: bytes) -> str:
        digest = digests.of_bytes(data)
        if not self._holds(digest):
            files.write(self.path(digest), data)
        return digest

    def take(self, source: Path, digest: str) -> None:
        """Bring a file in: moved when it lies in a scratch folder of the store, otherwise copied.

        A workspace may lie below the root too, and its files are not the store's to move.
        """
        if self._holds(digest):
            return
        if any(folder.parent == self.root and files.is_scratch(folder) for folder in source.parents):
            files.move(source, self.path(digest))
        else:
            files.copy(source, self.path(digest))

    def remove(self, digest: str) -> None:
        self._checked.discard(digest)
        files.remove(self.path(digest))

    def _holds(self, digest: str) -> bool:
        try:
            return digests.of_file(self.path(digest)) == digest
        except OSError:
            return False
