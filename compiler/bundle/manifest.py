"""The files of a bundle that no template writes: what it needs, its checksums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from compiler.base import digests, files

if TYPE_CHECKING:
    from compiler.bundle.context import ArtifactFacts, RunFacts

ARTIFACTS = "artifacts.json"
SUMS = "SHA256SUMS"


def artifacts_json(runs: Iterable[RunFacts]) -> bytes:
    """What a device needs beside the bundle, by sha256: each artifact once, with the runs that load it."""
    needed: dict[str, ArtifactFacts] = {}
    users: dict[str, list[str]] = {}
    for run in runs:
        needed[run.artifact.name] = run.artifact
        users.setdefault(run.artifact.name, []).append(run.name)
    return digests.pretty({"artifacts": [_entry(needed[name], users[name]) for name in sorted(needed)]})


def sums(files: Mapping[str, bytes], known: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """`SHA256SUMS` of a bundle, as `sha256sum -c` reads it, in the order of names.

    `known` has the sha256 of some of the files, in hex digits.
    """
    return sums_of({name: known.get(name) or sha256(data).hexdigest() for name, data in files.items()})


def sums_of(digests: Mapping[str, str]) -> bytes:
    """The same from the files' sha256, in hex digits."""
    return "".join([f"{digests[name]}  {name}\n" for name in sorted(digests)]).encode()


def listed(sums: bytes) -> dict[str, str]:
    """What a `SHA256SUMS` names: sha256 in hex digits by path. Lines that lead out of its folder are passed over."""
    found = {}
    for line in sums.decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if files.stays_below(name):
            found[name] = digest
    return found


def _entry(artifact: ArtifactFacts, runs: list[str]) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "digest": artifact.digest,
        "folder": artifact.folder,
        "size": artifact.size,
        "runs": sorted(runs),
        "files": [{"name": file.name, "size": file.size, "digest": file.digest} for file in artifact.files],
    }
