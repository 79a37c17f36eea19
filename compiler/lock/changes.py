"""What a compile would change on the disk: the rendered tree against the one that is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.bundles import Bundles
from compiler.bundle.manifest import SUMS
from compiler.lock.disk import Disk, read_bytes
from compiler.lock.lock import Lock, shard_folders
from compiler.lock.text import dump

JOURNAL = ".slmc-journal"
"""Names, while a compile writes, the files that it creates and removes. A run that was killed
leaves it behind, so that the next ones know those files for slmc's own until one run ends."""

_PUT_BACK = "`slmc compile` puts the generated file back; a lasting change belongs into the blueprint or a target."


class ChangeKind(Enum):
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """One file, by its path below the output folder."""

    kind: ChangeKind
    path: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The files that a compile gives, and how the disk differs from them."""

    output: Path
    files: Mapping[str, bytes]
    """Every file below `output`, by path."""
    changes: tuple[Change, ...]
    lock_path: Path
    lock: bytes
    lock_changed: bool
    journal: bytes
    """What to write to JOURNAL before the first change."""

    @property
    def pending(self) -> bool:
        return bool(self.changes) or self.lock_changed


def compare(output: Path, bundles: Bundles, last: Lock, lock_path: Path, lock: Lock) -> tuple[Tree, list[Diagnostic]]:
    """The changes that turn what is on the disk into what was rendered, in the order of paths.

    A foreign file in the way is an error; one that slmc wrote and someone edited, a warning.
    """
    files = bundles.files()
    disk = Disk(output)
    mine = _proven(output, bundles, last) | _owned(output, last)
    changes: list[Change] = []
    diagnostics: list[Diagnostic] = []
    for path in sorted(files.keys() | mine.keys()):
        if (way := disk.in_the_way(path)) is not None:
            diagnostics += [_occupied(output, way)] if path in files else []
            continue
        found = read_bytes(output / path)
        if path not in files:
            changes += [Change(ChangeKind.REMOVE, path)] if found is not None else []
            diagnostics += _edited(output, path, found, mine, "It is removed: nothing asks for it any more.")
        elif found is None:
            changes.append(Change(ChangeKind.CREATE, path))
        elif found != files[path]:
            changes.append(Change(ChangeKind.UPDATE, path))
            diagnostics += _foreign_or_edited(output, path, found, mine, last)
    data = dump(lock)
    coming_and_going = {change.path for change in changes if change.kind is not ChangeKind.UPDATE}
    journal = digests.pretty(sorted(coming_and_going.union(_journal(output))))
    return Tree(output, files, tuple(changes), lock_path, data, read_bytes(lock_path) != data, journal), diagnostics


def _owned(output: Path, last: Lock) -> dict[str, str]:
    """slmc's own files below `output`, with their digests ("" where unknown): from the lock,
    each folder's `SHA256SUMS` and the journal."""
    files = dict(last.indexes)
    for folder in last.folders:
        files.update(_listed(output, folder))
    for path in _journal(output):
        files.setdefault(path, "")
    return files


def _proven(output: Path, bundles: Bundles, last: Lock) -> dict[str, str]:
    """Files that are slmc's even when the lock does not know of them: those with the digest that their folder's
    `SHA256SUMS` names, and indexes that begin as one does."""
    files: dict[str, str] = {}
    rendered = {bundle.folder for bundle in bundles.bundles} | shard_folders(bundles.indexes)
    for folder in rendered - last.folders.keys():
        listed = _listed(output, folder)
        whole = {path: digest for path, digest in listed.items() if _digest(output / path) == digest}
        if whole:
            files |= whole | {f"{folder}/{SUMS}": ""}
    for path, data in bundles.indexes.items():
        found = None if path in last.indexes else read_bytes(output / path)
        if found is not None and found.partition(b"\n")[0] == data.partition(b"\n")[0]:
            files[path] = ""
    return files


def _foreign_or_edited(output: Path, path: str, found: bytes, mine: Mapping[str, str], last: Lock) -> list[Diagnostic]:
    if path in mine:
        return _edited(output, path, found, mine, _PUT_BACK)
    folders = last.folders
    for folder in map(str, PurePosixPath(path).parents):
        if folder in folders and _digest(output / folder / SUMS) != folders[folder]:
            return [
                _edited_by_hand(output, path, _PUT_BACK)
            ]  # its sums were edited or removed: whose it is, nobody knows
    return [_occupied(output, path)]


def _edited(output: Path, path: str, found: bytes | None, mine: Mapping[str, str], help: str) -> list[Diagnostic]:
    """A warning when the file is not what its bundle's sums say; not after a kill, which leaves sums ahead of files."""
    expected = mine[path]
    if not expected or found is None or digests.of_bytes(found) == expected or (output / JOURNAL).exists():
        return []
    return [_edited_by_hand(output, path, help)]


def _listed(output: Path, folder: str) -> dict[str, str]:
    """The files of one bundle, from its `SHA256SUMS` on the disk."""
    sums = read_bytes(output / folder / SUMS)
    if sums is None:
        return {}
    files = {f"{folder}/{SUMS}": ""}
    for line in sums.decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if name and _stays_below(name):
            files[f"{folder}/{name}"] = f"sha256:{digest}"
    return files


def _journal(output: Path) -> list[str]:
    data = read_bytes(output / JOURNAL)
    if data is None:
        return []
    try:
        paths = json.loads(data)
    except ValueError:
        return []
    if not isinstance(paths, list):
        return []
    return [path for path in paths if isinstance(path, str) and _stays_below(path)]


def _stays_below(path: str) -> bool:
    """Whether a path that was read from a file, perhaps not ours, keeps to the output folder."""
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts


def _digest(path: Path) -> str | None:
    found = read_bytes(path)
    return None if found is None else digests.of_bytes(found)


def _occupied(output: Path, path: str) -> Diagnostic:
    name = f"{output.name}/{path}" if path else output.name
    return Diagnostic(
        Code.OCCUPIED_PATH,
        f"`{name}` is not what slmc wrote, and a bundle needs its place.",
        file=name,
        help="Move it away, or choose another output folder with `--out`.",
    )


def _edited_by_hand(output: Path, path: str, help: str) -> Diagnostic:
    name = f"{output.name}/{path}"
    return Diagnostic(Code.EDITED_BY_HAND, f"`{name}` differs from what slmc wrote.", file=name, help=help)
