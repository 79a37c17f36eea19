"""Graphs that were built for checkpoints, kept in the store: an export is made once.

Each is a folder `exports/SOURCE-KEY/` that comes into being with one rename, so a kill leaves none that is half. What
is in it is compared with its digests whenever it is used, as blobs are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.store.store import Store
from compiler.base import digests, files
from compiler.fleet.sources import SourceFile, listed

EXPORT_VERSION = 1
"""Raised whenever some architecture's graph changes: it is part of every artifact's key."""

FOLDER = "exports"
_DIGESTS = ".digests.json"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Export:
    folder: Path
    files: tuple[SourceFile, ...]


def find(store: Store, source: str, what: str) -> Export | None:
    """The export of the model whose source has this digest; None when there is none, or a damaged one.

    `what` says which of those that a source has: the task, or what made it, with its version.
    """
    folder = _folder(store, source, what)
    try:
        known = json.loads((folder / _DIGESTS).read_bytes())
        found = listed(folder)
    except (OSError, ValueError):
        return None
    return Export(folder, found) if known == _digests(found) else None


Build = Callable[[Path], list[dict[str, str]]]
"""Fills an empty folder; gives what is wrong, as `inspect` says it. Raises Failed."""


def make(store: Store, source: str, what: str, build: Build) -> Export | list[dict[str, str]]:
    """The same, made now by `build`; or what is wrong with that. Raises Failed, and Stop when the disk refuses."""
    with store.scratch() as scratch:
        made = scratch / "made"
        made.mkdir()
        if problems := build(made):
            return problems
        files.write(made / _DIGESTS, digests.canonical(_digests(listed(made))))
        folder = _folder(store, source, what)
        with files.refusals(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with store.alone():
            if known := find(store, source, what):  # another run was quicker, and may be reading it
                return known
            if folder.exists():
                files.bring(folder, scratch / "damaged")
            files.bring(made, folder)
        return Export(folder, listed(folder))


def sweep(store: Store, sources: Collection[str]) -> int:
    """Remove the exports of other sources, and give the bytes that this freed. The caller holds the store."""
    freed = 0
    keep = {_short(source) for source in sources}
    for folder in _all(store):
        if folder.name.partition("-")[0] not in keep:
            freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            files.remove_folder(folder)
    return freed


def _all(store: Store) -> Iterator[Path]:
    root = store.root / FOLDER
    yield from sorted(root.iterdir()) if root.is_dir() else []


def _folder(store: Store, source: str, what: str) -> Path:
    return store.root / FOLDER / f"{_short(source)}-{_short(digests.of_value([EXPORT_VERSION, source, what]))}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]


def _digests(found: tuple[SourceFile, ...]) -> dict[str, str]:
    return {file.name: file.digest for file in found}
