"""How many things of one kind are spread over folders, so that a change to one of them changes little.

A thing lies in the folders that the first hex digits of the sha256 of its name say: `3/a/`. Each folder has a
`SHA256SUMS` that names what lies in it and the `SHA256SUMS` of the folders below: one digest stands for them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256

from compiler.bundle.manifest import SUMS, sums_of


def digits(count: int, per_folder: int) -> int:
    """The hex digits that leave at most `per_folder` of `count` things, on average, in a folder."""
    found = 0
    while count > per_folder * 16**found:
        found += 1
    return found


def shard(name: str, length: int) -> str:
    """The first hex digits of the name's sha256, one folder each: `3/a`."""
    return "/".join(sha256(name.encode()).hexdigest()[:length])


def chain(root: str, digests: Mapping[str, str], levels: int) -> dict[str, bytes]:
    """`SHA256SUMS` of `root` and of the folders of shards below it, by path.

    `digests` are those of the files by path below `root`, which begins with `levels` folders of shards.
    """
    found: dict[str, bytes] = {}
    below = dict(digests)
    for level in range(levels, -1, -1):
        folders: dict[str, dict[str, str]] = defaultdict(dict)
        for path, digest in below.items():
            parts = path.split("/", level)
            folders["".join(f"{part}/" for part in parts[:level])][parts[level]] = digest
        below = {}
        for folder, inside in folders.items():
            data = sums_of(inside)
            found[f"{root}/{folder}{SUMS}"] = data
            below[f"{folder}{SUMS}"] = sha256(data).hexdigest()
    return found
