"""The committed bundles, compared with the lock to the last byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.workspace import OUTPUT
from compiler.bundle.manifest import SUMS, listed
from compiler.lock.disk import Disk
from compiler.lock.lock import Lock


@dataclass(slots=True)
class Deployed:
    """`bundles`: the ids of sound bundles by folder below `deploy`. An id is the sha256 of SHA256SUMS in hex digits."""

    workspace: Path
    lock: Lock
    bundles: dict[str, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        self._disk = Disk(str(self.workspace / OUTPUT))

    @property
    def fleets(self) -> list[str]:
        return sorted({folder.partition("/")[0] for folder in self.lock.bundles})

    def look(self, fleets: frozenset[str] | None) -> None:
        """Fill `bundles` and `diagnostics` with those of some fleets; None: all."""
        chains = set(self.lock.chains)
        for folder, digest in sorted(self.lock.bundles.items()):
            if fleets is None or folder.partition("/")[0] in fleets:
                name = digest.removeprefix("sha256:")
                if folder in chains:
                    self._chain(folder, name)
                else:
                    self._bundle(folder, name)

    def _chain(self, folder: str, digest: str) -> None:
        """A folder of shards: its sums name those of further ones, or of bundles."""
        for name, inner in self._sums(folder, digest).items():
            below = f"{folder}/{name}".removesuffix(f"/{SUMS}")
            if below.count("/") == folder.count("/") + 1:
                self._chain(below, inner)
            else:
                self._bundle(below, inner)

    def _bundle(self, folder: str, digest: str) -> None:
        before = len(self.diagnostics)
        for name, wanted in self._sums(folder, digest).items():
            self._read(f"{folder}/{name}", wanted)
        if len(self.diagnostics) == before:
            self.bundles[folder] = digest

    def _sums(self, folder: str, digest: str) -> dict[str, str]:
        data = self._read(f"{folder}/{SUMS}", digest)
        return {} if data is None else listed(data)

    def _read(self, path: str, digest: str) -> bytes | None:
        """A file that has this sha256; None, and a finding, otherwise."""
        data = None if self._disk.blocked(path.rpartition("/")[0]) is not None else self._disk.read(path)
        if data is not None and sha256(data).hexdigest() == digest:
            return data
        name = f"{self.workspace / OUTPUT}/{path}"
        self.diagnostics.append(
            Diagnostic(
                Code.BUNDLE_DIFFERS,
                f"`{name}` is {'not there' if data is None else 'not what the lock was written for'}.",
                file=name,
                help=f"Run `slmc compile {self.workspace}`, read the diff, and commit it; then sign.",
            )
        )
        return None
