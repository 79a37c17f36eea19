"""The files of a bundle that no template writes: what it needs, its checksums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from compiler.base import digests

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


def sums(files: Mapping[str, bytes]) -> bytes:
    """`SHA256SUMS` of a bundle, as `sha256sum -c` reads it, in the order of names."""
    lines = [f"{digests.of_bytes(files[name]).removeprefix('sha256:')}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def _entry(artifact: ArtifactFacts, runs: list[str]) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "digest": artifact.digest,
        "folder": artifact.folder,
        "size": artifact.size,
        "runs": sorted(runs),
        "files": [{"name": file.name, "size": file.size, "digest": file.digest} for file in artifact.files],
    }
