"""What `slmc pull` does: artifacts from a registry or a folder into the store."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from compiler.artifact.artifact import Artifact, File
from compiler.artifact.store.blobs import Corrupt
from compiler.artifact.store.incoming import incoming
from compiler.artifact.store.store import Label, Store
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.publish.failed import Failed
from compiler.publish.modelpack import remarks_of, tag_of
from compiler.publish.patience import Broken, Patience
from compiler.publish.remote import Remote
from compiler.publish.transfer import Advance, Moved, Transfer, Transferred
from compiler.publish.wanted import Wanted

_OF_ONE = (Code.BLOB_ABSENT, Code.BLOB_DIFFERS, Code.NOT_IN_STORE)
"""What says nothing of the other artifacts."""


@dataclass(slots=True)
class Pull:
    """Blobs are asked for by the digests of the lock; what a tag names is not trusted with any of them."""

    store: Store
    remote: Remote
    advance: Advance
    patience: Patience
    dry: bool = False
    _here: set[str] = field(default_factory=set)

    def run(self, wanted: list[Wanted]) -> Transfer:
        """One artifact after the other, each named in the store when all of it is there."""
        transfer = Transfer()
        for one in wanted:
            try:
                transfer.artifacts.append(self._pull(one))
            except Failed as failed:
                transfer.diagnostics.append(failed.at(one.place, one.artifact.name))
                if failed.code not in _OF_ONE:
                    break
        return transfer

    def _pull(self, one: Wanted) -> Transferred:
        artifact = one.artifact
        stored, _ = self.store.find(artifact.key)
        if stored is not None and stored.digest == artifact.digest:
            return _transferred(artifact, tuple(Moved(file, False) for file in artifact.files), changed=False)
        moved = tuple(Moved(file, self._file(file, artifact.name)) for file in artifact.files)
        if not self.dry:
            self._name(one)
        return _transferred(artifact, moved, changed=True)

    def _name(self, one: Wanted) -> None:
        artifact = one.artifact
        told = self.remote.manifest(tag_of(artifact))
        label = Label(artifact.key, artifact.name, artifact.model, artifact.recipe, one.entry.source)
        try:
            self.store.adopt(label, artifact.shape, artifact.files, remarks_of(told, artifact) if told else ())
        except Corrupt as corrupt:
            raise Failed(
                Code.NOT_IN_STORE,
                f"Blob {corrupt.digest} {corrupt.why}: something else prunes the store.",
                "Run `slmc pull` again.",
            ) from corrupt

    def _file(self, file: File, name: str) -> bool:
        """Bring one file into the store; False when it was there."""
        if file.digest in self._here or self._whole(file):
            self._here.add(file.digest)
            return False
        if self.dry:
            if not self.remote.has(file):
                raise Failed(Code.BLOB_ABSENT, f"Blob {file.digest} (`{file.name}`) is not there.")
        else:
            line = f"{name}: {file.name}"
            with incoming(self.store, file.digest) as path:
                if not self._whole(file):  # another run may have brought it meanwhile
                    self.advance(line, 0)
                    try:
                        self._fetch(file, path, line)
                    finally:
                        if not _size(path) and file.size:  # nothing came
                            files.remove(path)
                    with self.store.alone():
                        self.store.blobs.take(path, file.digest)
            self.advance(line, 1)
        self._here.add(file.digest)
        return True

    def _whole(self, file: File) -> bool:
        try:
            self.store.blobs.check({"digest": file.digest, "size": file.size})
        except Corrupt:
            return False
        return True

    def _fetch(self, file: File, path: Path, line: str) -> None:
        """Fill `path` from where it ends. What turns out wrong is removed; what broke off stays for next time."""
        continued = _size(path) > 0
        self._fill(file, path, line)
        if continued and not _is(file, path):  # what an earlier run left need not be sound
            files.remove(path)
            self._fill(file, path, line)
        if not _is(file, path):
            files.remove(path)
            raise Failed(
                Code.BLOB_DIFFERS,
                f"Blob {file.digest} of `{file.name}` has another content there. Nothing of it was kept.",
                "Push the artifact anew to an empty repository or folder: what is there was damaged or replaced.",
            )

    def _fill(self, file: File, path: Path, line: str) -> None:
        self.patience.progress()
        while (begin := _size(path)) < file.size or not path.exists():
            try:
                self._append(file, path, begin, line)
            except Broken as broken:
                if _size(path) > begin:
                    self.patience.progress()
                self.patience.wait(broken)
            else:
                return

    def _append(self, file: File, path: Path, begin: int, line: str) -> None:
        """What comes in one go, one byte more than there should be at most. Raises Broken."""
        with contextlib.closing(self.remote.pieces(file, begin)) as pieces, files.extend(path) as into:
            there = begin
            for piece in pieces:
                into.write(piece[: file.size + 1 - there])
                there = min(there + len(piece), file.size + 1)
                self.advance(line, min(there / file.size, 0.999) if file.size else 0)
                if there > file.size:
                    return


def _transferred(artifact: Artifact, moved: tuple[Moved, ...], changed: bool) -> Transferred:
    return Transferred(artifact.name, artifact.digest, moved, tag_of(artifact), changed=changed)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is(file: File, path: Path) -> bool:
    return _size(path) == file.size and path.exists() and digests.of_file(path) == file.digest
