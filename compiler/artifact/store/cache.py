"""What `slmc cache` does with a store: list it, prune it, check it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.artifact.artifact import File
from compiler.artifact.store import exports, layout
from compiler.artifact.store.blobs import Corrupt
from compiler.artifact.store.store import Label, Store
from compiler.base import files
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.packages import FETCHED


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `slmc cache`. `last_used` is in seconds since 1970."""

    label: Label
    digest: str
    size: int
    files: tuple[File, ...]
    last_used: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """Names of the artifacts that went, and the bytes that this freed."""

    artifacts: tuple[str, ...]
    freed: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that is not what its digest says, and the artifact that needs it."""

    artifact: str
    digest: str
    why: str


def entries(store: Store) -> tuple[list[Entry], list[Diagnostic]]:
    """Every artifact in the store, by name and key. Damaged manifests are left out: see `verify`."""
    index, diagnostics = store.index()
    found = []
    for entry in index:
        if entry.get("artifactType") != layout.ARTIFACT:
            continue
        try:
            listed = layout.files_of(json.loads(store.blobs.read(entry)))
            used = store.path_of(entry["digest"]).stat().st_mtime
        except (Corrupt, OSError):
            continue
        found.append(Entry(_label(entry), entry["digest"], sum(file.size for file in listed), listed, used))
    return sorted(found, key=lambda entry: (entry.label.name, entry.label.key)), diagnostics


def verify(store: Store) -> tuple[list[Damage], list[Diagnostic]]:
    """Read every blob that the index names and compare it with its digest. A damaged index is written anew first.

    Raises Stop when the disk refuses.
    """
    diagnostics = store.mend()
    index, _ = store.index()
    damage = []
    for entry in index:
        if layout.key_of(entry) is None:
            continue
        name = _label(entry).name
        try:
            manifest = json.loads(store.blobs.read(entry))
        except Corrupt as corrupt:
            damage.append(Damage(name, corrupt.digest, corrupt.why))
            continue
        for blob in (manifest["config"], *manifest["layers"]):
            try:
                store.blobs.check(blob)
            except Corrupt as corrupt:
                damage.append(Damage(name, corrupt.digest, corrupt.why))
    return sorted(set(damage), key=lambda d: (d.artifact, d.digest)), diagnostics


def prune(store: Store, keep: Collection[str] | None) -> Pruned:
    """Drop every artifact whose key is not in `keep` (None: keep all), then sweep.

    Swept are blobs that nothing names, what recipes share on their way, and what killed compiles left. Figures and
    exports stay as long as what they were made from, manifests of others always; fetched packages go when nothing is to
    be kept. The index is written first, so a kill in between loses nothing. Raises Stop when the system refuses.
    """
    if not store.root.is_dir():
        return Pruned((), 0)
    with store.alone():
        index, damaged = store.index()
        manifests = [(entry, _manifest(store, entry)) for entry in index]
        remaining = _remaining(manifests, keep)
        if len(remaining) < len(index) or damaged:
            store.write_index([entry for entry, _ in remaining])
        named = set().union(*(_named(store, entry, manifest) for entry, manifest in remaining))
        freed = _sweep_blobs(store, named) + _sweep_unfinished(store)
        freed += _sweep_packages(store) if keep is not None and not keep else 0
        freed += exports.sweep(store, {_label(entry).source for entry, _ in remaining if layout.key_of(entry)})
    stays = [entry for entry, _ in remaining]
    gone = [entry for entry in index if entry.get("artifactType") == layout.ARTIFACT and entry not in stays]
    return Pruned(tuple(sorted(_label(entry).name for entry in gone)), freed)


def sweep(store: Store) -> int:
    """Remove what killed compiles left half done; gives the bytes freed."""
    with store.alone():
        return _sweep_unfinished(store)


_Listed = list[tuple[dict[str, Any], Any]]
"""Entries of the index with their manifests; None for one that is damaged."""


def _manifest(store: Store, entry: Mapping[str, Any]) -> Any:
    try:
        return json.loads(store.blobs.read(entry))
    except (Corrupt, ValueError):
        return None


def _remaining(manifests: _Listed, keep: Collection[str] | None) -> _Listed:
    kept = [
        entry
        for entry, manifest in manifests
        if manifest and entry.get("artifactType") == layout.ARTIFACT and (keep is None or layout.key_of(entry) in keep)
    ]
    subjects = {entry["digest"] for entry in kept}
    sources = {_label(entry).source for entry in kept}

    def stays(entry: dict[str, Any], manifest: Any) -> bool:
        if layout.key_of(entry) is None:
            return True
        if manifest is None or entry.get("artifactType") in (layout.ARTIFACT, layout.INTERMEDIATE):
            return entry in kept
        subject = manifest.get("subject")
        return subject["digest"] in subjects if subject else _label(entry).source in sources

    return [(entry, manifest) for entry, manifest in manifests if stays(entry, manifest)]


def _named(store: Store, entry: Mapping[str, Any], manifest: Any) -> set[str]:
    """The digests of a manifest and of all that it needs; an index of others names further manifests."""
    if manifest is None:
        return {entry["digest"]}
    inner = manifest.get("manifests", [])
    blobs = [entry, *([manifest["config"]] if "config" in manifest else []), *manifest.get("layers", [])]
    return {blob["digest"] for blob in blobs}.union(*(_named(store, one, _manifest(store, one)) for one in inner))


def _sweep_blobs(store: Store, named: set[str]) -> int:
    freed = 0
    if store.blobs.folder.is_dir():
        for path in sorted(store.blobs.folder.iterdir()):
            if f"sha256:{path.name}" not in named:
                freed += path.stat().st_size
                files.remove(path)
    return freed


def _sweep_packages(store: Store) -> int:
    """Remove what `slmc fetch` fetched."""
    folder = store.root / FETCHED
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    files.remove_folder(folder)
    return freed


def _sweep_unfinished(store: Store) -> int:
    """Remove the scratch folders and files of compiles that were killed; running ones hold theirs."""
    freed = 0
    for path in sorted(store.root.glob(f"{files.TEMPORARY_PREFIX}*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            freed += sum(inner.stat().st_size for inner in [path, *path.rglob("*")] if inner.is_file())
            if path.is_dir():
                files.remove_folder(path)
            else:
                files.remove(path)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return freed


def _label(entry: Mapping[str, Any]) -> Label:
    notes = entry["annotations"]
    return Label(
        notes[layout.KEY],
        notes.get(layout.NAME, "?"),
        notes.get(layout.MODEL, "?"),
        notes.get(layout.RECIPE, "?"),
        notes.get(layout.SOURCE, "?"),
    )
