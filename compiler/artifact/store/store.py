"""The content-addressed store: an OCI image layout that all workspaces of a user share.

An artifact is one manifest with one layer per file. What was measured on it are referrers:
manifests whose `subject` is the artifact. The index names every manifest with its key and is
written last, so a kill at any moment leaves blobs that nobody names yet, never a half artifact.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import File, Shape
from compiler.artifact.store import layout
from compiler.artifact.store.blobs import Blobs, Corrupt
from compiler.artifact.store.damage import corrupt_blob, corrupt_index
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop


@dataclass(frozen=True, slots=True)
class Label:
    """What an index entry says of an artifact beside its content."""

    key: str
    name: str
    model: str
    recipe: str
    source: str
    """Digest of the model's source."""

    def notes(self) -> dict[str, str]:
        """As annotations of an index entry."""
        return {
            layout.KEY: self.key,
            layout.NAME: self.name,
            layout.MODEL: self.model,
            layout.RECIPE: self.recipe,
            layout.SOURCE: self.source,
        }


@dataclass(frozen=True, slots=True)
class Remark:
    """Of a recipe's step, counted from 0: the name of a Code that is a warning, and a sentence."""

    step: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact as the store holds it; `digest` is its manifest's."""

    digest: str
    files: tuple[File, ...]
    shape: Shape
    remarks: tuple[Remark, ...] = ()
    """What its steps had to say of themselves: repeated at every compile, not only the first."""


def default_root(environment: Mapping[str, str]) -> Path:
    """`$SLMC_STORE`, else `$XDG_CACHE_HOME/slmc`, else `~/.cache/slmc`."""
    if named := environment.get("SLMC_STORE"):
        return Path(named)
    if cache := environment.get("XDG_CACHE_HOME"):
        return Path(cache) / "slmc"
    return Path(environment.get("HOME") or Path.home()) / ".cache" / "slmc"


@dataclass(slots=True)
class Store:
    """`root` need not exist yet. Readers need no lock, since every file is replaced as a whole."""

    root: Path
    blobs: Blobs = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = Blobs(self.root)

    def path_of(self, digest: str) -> Path:
        """Where the blob with this digest lies."""
        return self.blobs.path(digest)

    def find(self, key: str) -> tuple[Stored | None, list[Diagnostic]]:
        """The artifact with this key, every blob of it checked.

        One that is damaged is reported, forgotten and given as None: it has to be built anew.
        """
        entry, diagnostics = self.lookup(layout.ARTIFACT, key)
        if entry is None:
            return None, diagnostics
        try:
            stored = self._read(entry)
        except Corrupt as corrupt:
            return None, [*diagnostics, self.forget(entry, corrupt)]
        files.touch(self.path_of(stored.digest))
        return stored, diagnostics

    def with_digest(self, digest: str) -> tuple[Stored | None, list[Diagnostic]]:
        """The same by the digest of the artifact, whichever key it was made under."""
        entries, diagnostics = self.index()
        for entry in entries:
            if entry.get("artifactType") == layout.ARTIFACT and entry["digest"] == digest and layout.key_of(entry):
                stored, findings = self.find(entry["annotations"][layout.KEY])
                return stored, diagnostics + findings
        return None, diagnostics

    def lay_out(self, stored: Stored, folder: Path) -> None:
        """Give an artifact's files their names in `folder`, which lies below the store's root."""
        for file in stored.files:
            files.link(self.path_of(file.digest), folder / file.name)

    def put(
        self,
        label: Label,
        shape: Shape,
        sources: Mapping[str, Path],
        remarks: tuple[Remark, ...] = (),
        report: Any = None,
    ) -> Stored:
        """Take in an artifact made of `sources` (name → file). Raises Stop when the disk refuses.

        Files in a scratch folder of the store are moved, all others copied. A `report`, what its steps have to tell,
        is kept with it under the same key: a JSON value.
        """
        found = {name: File(name, path.stat().st_size, digests.of_file(path)) for name, path in sources.items()}
        listed = tuple(sorted(found.values(), key=lambda file: file.name))
        with self.alone():
            for name, path in sources.items():
                self.blobs.take(path, found[name].digest)
            return self._name(label, shape, listed, remarks, report)

    def adopt(self, label: Label, shape: Shape, listed: tuple[File, ...], remarks: tuple[Remark, ...] = ()) -> Stored:
        """Name an artifact whose files are blobs of the store already, as their names say.

        Raises Corrupt when one is gone or has another size: somebody pruned the store meanwhile.
        """
        with self.alone():
            for file in listed:
                self.blobs.glance(file.digest, file.size)
            return self._name(label, shape, listed, remarks, None)

    def _name(
        self, label: Label, shape: Shape, listed: tuple[File, ...], remarks: tuple[Remark, ...], report: Any
    ) -> Stored:
        """Write an artifact's manifest and name it in the index. For who holds the store."""
        manifest = layout.artifact_manifest(shape, listed)
        notes = label.notes() | {
            layout.REMARKS: json.dumps([astuple(remark) for remark in remarks]),
            layout.REF_NAME: f"{label.name}-{label.key.removeprefix('sha256:')[:12]}",
        }
        entry = layout.entry(layout.ARTIFACT, manifest, notes)
        self.blobs.put(layout.artifact_config(shape))
        self.blobs.put(manifest)
        told = [] if report is None else [self._put_record(layout.REPORT, label, report, entry)]
        self.add(entry, *told)
        return Stored(entry["digest"], listed, shape, remarks)

    def record(self, kind: str, key: str) -> tuple[Any, list[Diagnostic]]:
        """The JSON value that was kept under `kind` and `key`, or None."""
        entry, diagnostics = self.lookup(kind, key)
        if entry is None:
            return None, diagnostics
        try:
            manifest = self._manifest(entry)
            self.blobs.check(manifest["config"])
            return json.loads(self.blobs.read(manifest["layers"][0])), diagnostics
        except Corrupt as corrupt:
            return None, [*diagnostics, self.forget(entry, corrupt)]

    def put_record(self, kind: str, label: Label, value: Any, subject: str | None) -> None:
        """Keep a JSON value; with a `subject` (an artifact's digest) for as long as that is kept."""
        refers = None
        if subject is not None:
            refers = {"mediaType": layout.MANIFEST, "digest": subject, "size": self.path_of(subject).stat().st_size}
        with self.alone():
            self.add(self._put_record(kind, label, value, refers))

    def _put_record(self, kind: str, label: Label, value: Any, subject: Mapping[str, Any] | None) -> dict[str, Any]:
        """The entry of a record, whose blobs are there then."""
        data = digests.canonical(value)
        manifest = layout.record_manifest(kind, data, subject)
        for blob in (data, layout.EMPTY_BLOB, manifest):
            self.blobs.put(blob)
        notes = label.notes()
        del notes[layout.RECIPE]
        return layout.entry(kind, manifest, notes)

    def index(self) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
        """The entries of `index.json`; of a damaged one those that can be read: what else is needed is built anew.

        Entries without a key are not slmc's and stay as they are.
        Raises Stop when the system refuses to read it.
        """
        path = self.root / layout.INDEX_FILE
        try:
            entries, whole = layout.read_index(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        except OSError as error:
            raise Stop(
                Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", file=str(path))
            ) from error
        return entries, [] if whole else [corrupt_index(len(entries))]

    def mend(self) -> list[Diagnostic]:
        """Write a damaged index anew with what can be read of it, and say so. Raises Stop when the disk refuses."""
        if not self.index()[1]:
            return []
        with self.alone():
            entries, damage = self.index()
            if damage:
                self.write_index(entries)
        return damage

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against other processes that would change it. A kill lets go of it."""
        with files.refusals(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (self.root / layout.LAYOUT_FILE).exists():
                files.write(self.root / layout.LAYOUT_FILE, layout.LAYOUT)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for unfinished work; held while in use, so that `prune` leaves it alone."""
        with contextlib.ExitStack() as stack:
            with self.alone():
                folder = stack.enter_context(files.scratch(self.root))
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield folder

    def write_index(self, entries: list[dict[str, Any]]) -> None:
        files.write(self.root / layout.INDEX_FILE, layout.index(entries))

    def lookup(self, kind: str, key: str) -> tuple[dict[str, Any] | None, list[Diagnostic]]:
        """The entry of the index for what has this kind and key."""
        entries, diagnostics = self.index()
        for entry in entries:
            if entry.get("artifactType") == kind and layout.key_of(entry) == key:
                return entry, diagnostics
        return None, diagnostics

    def _manifest(self, entry: Mapping[str, Any]) -> Any:
        return json.loads(self.blobs.read(entry))

    def _read(self, entry: Mapping[str, Any]) -> Stored:
        manifest = self._manifest(entry)
        try:
            shape = Shape(**json.loads(self.blobs.read(manifest["config"]))["shape"])
        except (KeyError, TypeError, ValueError):
            raise Corrupt(entry["digest"], "is not the manifest of an artifact") from None
        for layer in manifest["layers"]:
            self.blobs.check(layer)
        remarks = tuple(Remark(*remark) for remark in layout.remarks_of(entry))
        return Stored(entry["digest"], layout.files_of(manifest), shape, remarks)

    def add(self, *new: dict[str, Any]) -> None:
        """Name manifests in the index, in the place of those with the same kind and key. For who holds the store."""
        entries, _ = self.index()
        self.write_index([other for other in entries if not any(_same(other, entry) for entry in new)] + list(new))

    def forget(self, entry: Mapping[str, Any], corrupt: Corrupt) -> Diagnostic:
        """Drop what turned out to be damaged, and say so."""
        with self.alone():
            entries, _ = self.index()
            self.write_index([other for other in entries if not _same(other, entry)])
            self.blobs.remove(corrupt.digest)
        return corrupt_blob(entry, corrupt)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return layout.key_of(one) == layout.key_of(other) and one.get("artifactType") == other.get("artifactType")
