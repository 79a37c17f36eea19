"""What a compile would change on the disk: the bundles, one after the other, against the tree that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter

from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.bundles import FOLDER, Bundle, Bundles
from compiler.bundle.manifest import SUMS
from compiler.bundle.shards import chain
from compiler.lock.changes import Change, ChangeKind, Difference, Seen
from compiler.lock.disk import Disk, signature, states
from compiler.lock.lock import Committed
from compiler.lock.ours import Ours
from compiler.lock.scope import Scope, holder_of
from compiler.lock.stage import Stage

_PUT_BACK = "`slmc compile` puts the generated file back; a lasting change belongs into the blueprint or a target."
_REMOVED = "It is removed: nothing asks for it any more."


def compare(
    stage: Stage, bundles: Bundles, ours: Ours, known: Mapping[str, Seen], scope: Scope
) -> tuple[Difference, list[Diagnostic]]:
    """Put every file that is not in the output folder as it should be on the stage, and list all changes.

    A foreign file in the way is an error; one that slmc wrote and someone edited, a warning. A bundle that is `known`
    and still as it was seen is not rendered.
    """
    comparison = _Comparison(stage, ours, known, Disk(str(ours.output)))
    for bundle in bundles.bundles:
        comparison.bundle(bundle)
    committed, beside = _committed(bundles, comparison.found.bundles, ours, scope)
    comparison.found.committed, comparison.found.beside = committed, tuple(beside)
    comparison.stale(folder for folder in (*ours.bundles, *ours.strays) if scope.may_remove(folder))
    spread = tuple(f"{fleet}/{FOLDER}/" for fleet, levels in bundles.levels.items() if levels)
    comparison.beside(beside, lambda path: scope.may_remove(path) or path.startswith(spread))
    comparison.found.changes.sort(key=attrgetter("path"))
    return comparison.found, comparison.diagnostics + bundles.diagnostics


def _committed(
    bundles: Bundles, seen: Mapping[str, Seen], ours: Ours, scope: Scope
) -> tuple[Committed, dict[str, bytes]]:
    """The digests for the lock, and the files beside the bundles: the indexes, the sums of folders of shards."""
    last = ours.last
    plain = {folder: digest for folder, digest in last.bundles.items() if not scope.may_remove(folder)}
    beside = dict(bundles.indexes) if scope.indexes else {}
    for fleet, levels in bundles.levels.items():
        root = f"{fleet}/{FOLDER}"
        new = {folder: f"sha256:{found.digest}" for folder, found in seen.items() if folder.startswith(f"{fleet}/")}
        if not levels:
            plain |= new
            continue
        kept = {
            folder: digest
            for folder, digest in ours.chained.items()
            if folder.startswith(f"{root}/") and not scope.may_remove(folder)
        }
        below = {f"{folder[len(root) + 1 :]}/{SUMS}": digest[7:] for folder, digest in (kept | new).items()}
        sums = chain(root, below, levels)
        beside |= sums
        plain[root] = digests.of_bytes(sums[f"{root}/{SUMS}"])
    others = {path: digest for path, digest in last.indexes.items() if not scope.may_remove(path)}
    return Committed(plain, others | _indexes(bundles.indexes if scope.indexes else {})), beside


def _indexes(files: Mapping[str, bytes]) -> dict[str, str]:
    """The digest of each index; of one in shards only that of the sums at its root."""
    roots = {path for path in files if path.count("/") == 2 and path.endswith(f"/{SUMS}")}
    plain = {path for path in files if path.count("/") == 1}
    return {path: digests.of_bytes(files[path]) for path in sorted(roots | plain)}


@dataclass(slots=True)
class _Comparison:
    stage: Stage
    ours: Ours
    known: Mapping[str, Seen]
    disk: Disk
    found: Difference = field(default_factory=Difference)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)

    def bundle(self, bundle: Bundle) -> None:
        """One bundle against its folder."""
        folder = bundle.folder
        blocked = self.disk.blocked(folder)
        there = blocked is None and self.disk.has(folder)
        known = self.known.get(folder)
        now = signature(states(f"{self.disk.output}/{folder}")) if there else ""
        if known and known.fingerprint == bundle.fingerprint and known.signature == now:
            self.found.bundles[folder] = known
            return
        files = bundle.files
        if blocked is not None:
            self._occupied(blocked)
        elif there:
            changed = self._folder(folder, files)
            now = "" if changed else now
            if changed:
                self.stage.write(folder, changed)
        else:
            create = ChangeKind.CREATE  # to look it up takes as long as to make the change
            self.found.changes += [Change(create, f"{folder}/{name}") for name in files]
            now = self.stage.write(folder, files)
        self.found.bundles[folder] = Seen(bundle.fingerprint, sha256(files[SUMS]).hexdigest(), now)

    def stale(self, folders: Iterable[str]) -> None:
        """The bundles that nothing asks for any more."""
        for folder in folders:
            if folder not in self.found.bundles:
                for path, digest in self.ours.files(folder).items():
                    self._remove(path, digest)

    def beside(self, wanted: Mapping[str, bytes], is_whole: Callable[[str], bool]) -> None:
        """The files that lie beside bundles, and what a killed run left. `is_whole` tells of a path whether all files
        of its kind are `wanted` ones, so that any other one is stale."""
        mine = self.ours.beside(wanted)
        changed: dict[str, bytes] = {}
        for path, data in wanted.items():
            if self._file(path, data, mine):
                changed[path] = data
        for path, data in changed.items():
            folder, _, name = path.rpartition("/")
            self.stage.write(folder, {name: data})
        for path, digest in mine.items():
            if path not in wanted and is_whole(path) and holder_of(path, self.found.bundles) is None:
                self._remove(path, digest)

    def _folder(self, folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files of a bundle whose folder is there; gives those that have to be written."""
        mine = self.ours.files(folder)
        changed = {}
        for name, data in files.items():
            path = f"{folder}/{name}"
            if self._file(path, data, mine):
                changed[name] = data
        for path, digest in mine.items():
            if path[len(folder) + 1 :] not in files:
                self._remove(path, digest)
        return changed

    def _file(self, path: str, data: bytes, mine: Mapping[str, str]) -> bool:
        """Whether the file has to be written."""
        blocked = self.disk.blocked(path.rpartition("/")[0])
        found = None if blocked is not None else self.disk.read(path)
        if found == data:
            return False
        if found is None and (way := self.disk.in_the_way(path)) is not None:
            self._occupied(way)
            return False
        self.found.changes.append(Change(ChangeKind.CREATE if found is None else ChangeKind.UPDATE, path))
        if found is None:
            return True
        if path in mine:
            self._edited(path, found, mine[path], _PUT_BACK)
        elif self.ours.is_doubtful(path):
            self.diagnostics.append(_edited_by_hand(self.ours.output.name, path, _PUT_BACK))
        else:
            self._occupied(path)
        return True

    def _remove(self, path: str, digest: str) -> None:
        if path in self.removed or self.disk.in_the_way(path) is not None:
            return
        found = self.disk.read(path)
        if found is not None:
            self.removed.add(path)
            self.found.changes.append(Change(ChangeKind.REMOVE, path))
            self._edited(path, found, digest, _REMOVED)

    def _edited(self, path: str, found: bytes, expected: str, help: str) -> None:
        """A warning when the file is not what its sums say; not after a kill, which leaves sums ahead of files."""
        if expected and digests.of_bytes(found) != expected and not self.ours.interrupted:
            self.diagnostics.append(_edited_by_hand(self.ours.output.name, path, help))

    def _occupied(self, path: str) -> None:
        output = self.ours.output.name
        name = f"{output}/{path}" if path else output
        message = f"`{name}` is not what slmc wrote, and a bundle needs its place."
        help = "Move it away, or choose another output folder with `--out`."
        self.diagnostics.append(Diagnostic(Code.OCCUPIED_PATH, message, file=name, help=help))


def _edited_by_hand(output: str, path: str, help: str) -> Diagnostic:
    name = f"{output}/{path}"
    return Diagnostic(Code.EDITED_BY_HAND, f"`{name}` differs from what slmc wrote.", file=name, help=help)
