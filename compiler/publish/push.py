"""What `slmc push` does: artifacts from the store to a registry or a folder."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import BinaryIO

from compiler.artifact.artifact import File
from compiler.artifact.store import layout
from compiler.artifact.store.blobs import Corrupt
from compiler.artifact.store.store import Remark, Store
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.publish.failed import Failed
from compiler.publish.modelpack import CONFIG_TYPE, Packed, pack
from compiler.publish.remote import Remote
from compiler.publish.transfer import Advance, Moved, Transfer, Transferred
from compiler.publish.wanted import Wanted


@dataclass(slots=True)
class Push:
    """`dry`: only ask what is there. `rebuild`: the command that makes what the store lacks."""

    store: Store
    remote: Remote
    advance: Advance
    rebuild: str
    dry: bool = False
    _there: set[str] = field(default_factory=set)
    """Digests that this run found or brought there."""

    def run(self, wanted: list[Wanted]) -> Transfer:
        """One artifact after the other. What the store lacks is found before anything is sent."""
        transfer = Transfer()
        found = [(one, self._remarks(one)) for one in wanted]
        transfer.diagnostics = [absent for _, absent in found if isinstance(absent, Diagnostic)]
        if transfer.diagnostics:
            return transfer
        for one, remarks in found:
            assert not isinstance(remarks, Diagnostic)
            try:
                transfer.artifacts.append(self._push(one, remarks))
            except Failed as failed:
                transfer.diagnostics.append(failed.at(one.place, one.artifact.name))
                if failed.code is not Code.NOT_IN_STORE:
                    break  # the next one would fail, too, after as long a wait
        return transfer

    def _remarks(self, one: Wanted) -> tuple[Remark, ...] | Diagnostic:
        """What the index has on the artifact beside its digest; a finding when the store lacks it or a part."""
        entry, diagnostics = self.store.lookup(layout.ARTIFACT, one.artifact.key)
        try:
            for file in one.artifact.files:
                self.store.blobs.glance(file.digest, file.size)
        except Corrupt as corrupt:
            return self._absent(f"Blob {corrupt.digest} {corrupt.why}.").at(one.place, one.artifact.name)
        if diagnostics:
            return self._absent("The index of the store is damaged.").at(one.place, one.artifact.name)
        if entry is None or entry["digest"] != one.artifact.digest:
            return ()
        return tuple(Remark(*remark) for remark in layout.remarks_of(entry))

    def _absent(self, why: str) -> Failed:
        return Failed(
            Code.NOT_IN_STORE,
            f"{why} The store is `{self.store.root}`.",
            f"Run `{self.rebuild}`, or name the store that has it in $SLMC_STORE.",
        )

    def _push(self, one: Wanted, remarks: tuple[Remark, ...]) -> Transferred:
        artifact = one.artifact
        packed = pack(artifact, remarks)
        moved = [Moved(file, self._file(file, artifact.name)) for file in artifact.files]
        changed = self._manifest(packed) or any(file.moved for file in moved)
        return Transferred(artifact.name, artifact.digest, tuple(moved), packed.tag, packed.digest, changed)

    def _file(self, file: File, name: str) -> bool:
        """Bring one file there; False when it was there."""
        if file.digest in self._there or self.remote.has(file):
            self._there.add(file.digest)
            return False
        if not self.dry:
            with self._opened(file) as source:
                line = f"{name}: {file.name}"
                self.advance(line, 0)
                self.remote.upload(file, source, lambda sent: self.advance(line, sent / max(file.size, 1)))
                self.advance(line, 1)
        self._there.add(file.digest)
        return True

    def _opened(self, file: File) -> BinaryIO:
        """The blob, compared with its digest: what is sent is read from the same open file."""
        try:
            source = self.store.path_of(file.digest).open("rb")
        except OSError as error:
            raise self._absent(f"Blob {file.digest} cannot be read: {error.strerror}.") from error
        if hashlib.file_digest(source, "sha256").hexdigest() != file.digest.removeprefix("sha256:"):
            source.close()
            raise self._absent(f"Blob {file.digest} does not have the content that its digest names.")
        return source

    def _manifest(self, packed: Packed) -> bool:
        """Name the artifact there; False when that was done before."""
        config = File(CONFIG_TYPE, len(packed.config), digests.of_bytes(packed.config))
        if self.remote.has_manifest(packed.tag, packed.digest) and self.remote.has(config):
            return False
        if not self.dry:
            if not self.remote.has(config):
                self.remote.upload(config, io.BytesIO(packed.config), lambda sent: None)
            self.remote.put_manifest(packed.tag, packed.manifest)
        return True
