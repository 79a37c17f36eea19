"""Which files below the output folder are slmc's own, by the lock, the sums beside them and the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from compiler.base import digests, files
from compiler.bundle.bundles import FOLDER as COHORTS
from compiler.bundle.index import DEVICES, SHARDS
from compiler.bundle.manifest import ARTIFACTS, SUMS, listed
from compiler.lock.disk import read_bytes
from compiler.lock.lock import Lock
from compiler.lock.scope import holder_of

JOURNAL = ".slmc-journal"
"""Names, while a compile writes, what it creates and removes; a folder of which all is new ends in `/`. A run
that was killed leaves it behind, so that the next ones know those files for slmc's own until one run ends."""

_TABLE = b"id,class,cohort"
"""How every table of devices begins."""
_UNKNOWN = ""
"""In the place of a digest."""


@dataclass
class Ours:
    """slmc's files in `output` as the last run left them. Digests are `sha256:…`, or "" where nobody knows."""

    output: Path
    last: Lock
    _listed: dict[str, dict[str, str]] = field(default_factory=dict)

    @cached_property
    def chained(self) -> dict[str, str]:
        """The bundles that lie in folders of shards, by folder, with the digests of their sums."""
        found: dict[str, str] = {}
        for root in self.last.chains:
            found.update(self._bundles_below(root))
        return found

    @cached_property
    def bundles(self) -> dict[str, str]:
        """Every folder of a bundle that the lock knows, with the digest of its sums."""
        plain = {folder: digest for folder, digest in self.last.bundles.items() if folder not in self.last.chains}
        return plain | self.chained

    @cached_property
    def strays(self) -> list[str]:
        """Where the lock or sums that say which bundles there are were lost, the folders that have what every bundle
        has: nothing else says that one is stale."""
        found: list[Path] = []
        for root in self._unknown:
            if not root.endswith(f"/{SHARDS}"):
                sums = _below(self.output / root, SUMS)
                found += [path.parent for path in sums if (path.parent / ARTIFACTS).is_file()]
        return [folder.relative_to(self.output).as_posix() for folder in found]

    @cached_property
    def _unknown(self) -> list[str]:
        """Folders with files of slmc's that neither lock nor sums name any more: fleets, and folders of shards."""
        last = self.last
        if not last.bundles:
            return sorted(path.name for path in self.output.glob("[!.]*") if path.is_dir() and not path.is_symlink())
        roots = {root: last.bundles[root] for root in last.chains}
        roots |= {root: last.indexes[f"{root}/{SUMS}"] for root in last.index_chains}
        return [root for root, digest in roots.items() if not self._whole(root, digest)]

    def _whole(self, root: str, digest: str) -> bool:
        """Whether the sums in folders of shards are those that the lock means."""
        inner = ((path, digest) for path, digest in self._of(root).items() if path.count("/") == root.count("/") + 2)
        return self._digest(f"{root}/{SUMS}") == digest and all(
            self._whole(path.removesuffix(f"/{SUMS}"), digest) for path, digest in inner if path.endswith(f"/{SUMS}")
        )

    @cached_property
    def journal(self) -> frozenset[str]:
        """The files that a killed run had to do with."""
        found: set[str] = set()
        for path in _journal(self.output):
            if path.endswith("/"):
                below = (self.output / path).rglob("*")
                found |= {file.relative_to(self.output).as_posix() for file in below if not file.is_dir()}
            else:
                found.add(path)
        return frozenset(found)

    @property
    def interrupted(self) -> bool:
        """Whether the last run was killed. Its sums may be ahead of its files."""
        return (self.output / JOURNAL).exists()

    def files(self, folder: str) -> dict[str, str]:
        """The files of a bundle by path below `output`: as its sums list them, when they can be trusted."""
        found = {path: _UNKNOWN for path in self.journal if path.startswith(f"{folder}/")}
        if folder in self.bundles:
            return found | self._of(folder)
        whole = {path: digest for path, digest in self._of(folder).items() if self._digest(path) == digest}
        return found | whole | ({f"{folder}/{SUMS}": _UNKNOWN} if whole else {})

    def beside(self, wanted: Mapping[str, bytes]) -> dict[str, str]:
        """The files that lie beside bundles: indexes, and the sums of folders of shards. Those that are `wanted` are
        known without a lock too: by their first line, or by the sums that name them."""
        found = dict.fromkeys(self.journal, _UNKNOWN) | dict(self.last.indexes)
        for root in self.last.chains:
            found[f"{root}/{SUMS}"] = self.last.bundles[root]
        for root in (*self.last.chains, *self.last.index_chains):
            found |= self._sums_below(root)
        found |= self._beside_strays()
        for path, data in wanted.items():
            if path not in found and self._begins_like(path, data):
                found[path] = _UNKNOWN
        return {path: digest for path, digest in found.items() if holder_of(path, self.bundles) is None}

    def _beside_strays(self) -> dict[str, str]:
        """What lies beside stray bundles: tables of devices, and the sums of folders of shards."""
        found: dict[str, str] = {}
        for root in self._unknown:
            for path in (*_below(self.output / root, SUMS), *_below(self.output / root, "*.csv")):
                name = path.relative_to(self.output).as_posix()
                place = name.split("/")[1]
                in_shards = place in (COHORTS, SHARDS) and not (path.parent / ARTIFACTS).exists()
                if (in_shards or place == DEVICES) and self._begins_like(name, _TABLE):
                    found[name] = _UNKNOWN
        return found

    def is_doubtful(self, path: str) -> bool:
        """Whether a file lies in a bundle whose sums were edited or removed: whose it is, nobody knows."""
        folder = holder_of(path, self.bundles)
        return folder is not None and self._digest(f"{folder}/{SUMS}") != self.bundles[folder]

    def _begins_like(self, path: str, data: bytes) -> bool:
        found = read_bytes(f"{self.output}/{path}")
        if found is None:
            return False
        if path.endswith(f"/{SUMS}"):
            return bool(listed(found)) and all(len(digest) == 64 for digest in listed(found).values())
        first, wanted = (content.partition(b"\n")[0] for content in (found, data))
        return first == wanted or (first.startswith(_TABLE) and wanted.startswith(_TABLE))

    def _of(self, folder: str) -> dict[str, str]:
        """What the sums in `folder` list, and the sums themselves."""
        if folder not in self._listed:
            sums = read_bytes(f"{self.output}/{folder}/{SUMS}")
            names = {} if sums is None else listed(sums)
            found = {f"{folder}/{name}": f"sha256:{digest}" for name, digest in names.items()}
            self._listed[folder] = found if sums is None else {**found, f"{folder}/{SUMS}": _UNKNOWN}
        return self._listed[folder]

    def _bundles_below(self, root: str) -> Iterator[tuple[str, str]]:
        """Bundles in folders of shards: named by sums whose own folder is named by the sums above."""
        for path, digest in self._of(root).items():
            if not digest:
                continue
            folder = path.removesuffix(f"/{SUMS}")
            if folder.count("/") == root.count("/") + 1:
                yield from self._bundles_below(folder)
            else:
                yield folder, digest

    def _sums_below(self, root: str) -> dict[str, str]:
        """Files in folders of shards but those of bundles, with their digests."""
        found: dict[str, str] = {}
        for path, digest in self._of(root).items():
            if digest and path.count("/") <= root.count("/") + 2:
                found[path] = digest
                if path.endswith(f"/{SUMS}"):
                    found |= self._sums_below(path.removesuffix(f"/{SUMS}"))
        return found

    def _digest(self, path: str) -> str | None:
        found = read_bytes(f"{self.output}/{path}")
        return None if found is None else digests.of_bytes(found)


def _below(folder: Path, pattern: str) -> Iterator[Path]:
    """Files at any depth, none behind a link."""
    return (path for path in sorted(folder.glob(f"**/{pattern}")) if path.is_file())


def _journal(output: Path) -> list[str]:
    data = read_bytes(output / JOURNAL)
    if data is None:
        return []
    try:
        paths = json.loads(data)
    except (ValueError, RecursionError):
        return []
    if not isinstance(paths, list):
        return []
    return [path for path in paths if isinstance(path, str) and files.stays_below(path.removesuffix("/"))]
