"""An OCI image layout in a folder (image-layout.md of the OCI image specification 1.1): skopeo and oras read it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from compiler.artifact.artifact import File
from compiler.artifact.store import layout
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from compiler.publish.failed import Failed
from compiler.publish.modelpack import MANIFEST_TYPE
from compiler.publish.patience import PIECE
from compiler.publish.remote import Told


@dataclass(slots=True)
class Tree:
    """`root` may hold other things, such as what else is on a USB stick. Blobs come first, the index last."""

    root: Path

    def has(self, blob: File) -> bool:
        """By its size and its content: a stick that was pulled out may have left anything."""
        path = self._path(blob.digest)
        with _reading(path):
            return path.is_file() and path.stat().st_size == blob.size and digests.of_file(path) == blob.digest

    def upload(self, blob: File, source: BinaryIO, told: Told) -> None:
        files.write_pieces(self._path(blob.digest), _told(source, told))

    def has_manifest(self, tag: str, digest: str) -> bool:
        return any(digest == entry["digest"] for entry in self._tagged(tag)) and self._path(digest).is_file()

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        with self._alone():
            entries = self._entries()
            files.write(self._path(digests.of_bytes(manifest)), manifest)
            entry = layout.entry(MANIFEST_TYPE, manifest, {layout.REF_NAME: tag})
            if not (self.root / layout.LAYOUT_FILE).exists():
                files.write(self.root / layout.LAYOUT_FILE, layout.LAYOUT)
            rest = [other for other in entries if _tag(other) != tag]
            files.write(self.root / layout.INDEX_FILE, _index([*rest, entry]))

    def manifest(self, tag: str) -> bytes | None:
        for entry in self._tagged(tag):
            path = self._path(entry["digest"])
            with _reading(path):
                return path.read_bytes() if path.is_file() else None
        return None

    def pieces(self, blob: File, offset: int) -> Generator[bytes, None, None]:
        path = self._path(blob.digest)
        with _reading(path):
            if not path.is_file():
                raise Failed(Code.BLOB_ABSENT, f"`{self.root}` does not have blob {blob.digest}.")
            with path.open("rb") as file:
                file.seek(offset)
                while piece := file.read(PIECE):
                    yield piece

    def _path(self, digest: str) -> Path:
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _tagged(self, tag: str) -> list[dict[str, Any]]:
        return [entry for entry in self._entries() if _tag(entry) == tag]

    def _entries(self) -> list[dict[str, Any]]:
        """Those of `index.json`. Raises Stop when that is not an OCI index: it is not slmc's to replace."""
        path = self.root / layout.INDEX_FILE
        try:
            with _reading(path):
                entries = list(json.loads(path.read_bytes())["manifests"])
            if not all(isinstance(entry["digest"], str) for entry in entries):
                raise ValueError
            return entries
        except FileNotFoundError:
            return []
        except (ValueError, LookupError, TypeError, RecursionError):
            raise Stop(
                Diagnostic(
                    Code.OCCUPIED_PATH,
                    f"`{path}` is not the index of an OCI image layout.",
                    file=str(path),
                    help="Name a folder that is empty, or that slmc or another OCI tool wrote.",
                )
            ) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder against other runs that push there."""
        with files.refusals(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _told(source: BinaryIO, told: Told) -> Iterator[bytes]:
    source.seek(0)
    sent = 0
    while piece := source.read(PIECE):
        yield piece
        sent += len(piece)
        told(sent)


def _tag(entry: dict[str, Any]) -> object:
    notes = entry.get("annotations")
    return notes.get(layout.REF_NAME) if isinstance(notes, dict) else None


def _index(entries: list[dict[str, Any]]) -> bytes:
    ordered = sorted(entries, key=lambda entry: (str(_tag(entry) or ""), str(entry["digest"])))
    return digests.pretty({"schemaVersion": 2, "mediaType": layout.INDEX, "manifests": ordered})


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Failed(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.") from error
