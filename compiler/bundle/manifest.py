"""The files of a bundle that no template writes: what it needs, its checksums, the device's self-test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from compiler.artifact.artifact import Answer, Artifact, Golden
from compiler.artifact.evaluation.metrics import EMBEDDINGS, TEXT_CLASSIFICATION, TEXT_GENERATION
from compiler.base import digests, files

if TYPE_CHECKING:
    from compiler.bundle.context import ArtifactFacts, RunFacts

ARTIFACTS = "artifacts.json"
GOLDEN = "golden.json"
SUMS = "SHA256SUMS"


def artifacts_json(runs: Iterable[RunFacts]) -> bytes:
    """What a device needs beside the bundle, by sha256: each artifact once, with the runs that load it."""
    needed: dict[str, ArtifactFacts] = {}
    users: dict[str, list[str]] = {}
    for run in runs:
        needed[run.artifact.name] = run.artifact
        users.setdefault(run.artifact.name, []).append(run.name)
    return digests.pretty({"artifacts": [_entry(needed[name], users[name]) for name in sorted(needed)]})


def golden_json(runs: Iterable[RunFacts], artifacts: Mapping[str, Artifact]) -> bytes | None:
    """The golden answers of each artifact, with the runs that load it; None when none has any.

    What a device that runs the artifact gives for the inputs is these outputs, up to `tolerance`.
    """
    users: dict[str, list[str]] = {}
    for run in runs:
        users.setdefault(run.artifact.name, []).append(run.name)
    entries = [
        {"name": name, "digest": artifacts[name].digest, "runs": sorted(users[name]), **_golden(golden)}
        for name in sorted(users)
        if (golden := artifacts[name].golden) is not None
    ]
    if not entries:
        return None
    text = digests.pretty({"artifacts": entries}).decode()
    return _NUMBERS.sub(lambda found: _BLANKS.sub(" ", found[0]).replace("[ ", "[").replace(" ]", "]"), text).encode()


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


_NUMBERS = re.compile(r"\[\n[\s\d.,e-]+\n\s*\]")
"""A list of nothing but numbers, in JSON with one value a line; no text has a line end in it."""
_BLANKS = re.compile(r"\s+")


def _golden(golden: Golden) -> dict[str, Any]:
    found = {
        "task": golden.task,
        "tolerance": golden.tolerance,
        "answers": [_ANSWERS[golden.task](a) for a in golden.answers],
    }
    return found | ({"cosines": list(golden.cosines)} if golden.cosines else {})


_ANSWERS: Mapping[str, Callable[[Answer], dict[str, Any]]] = {
    TEXT_GENERATION: lambda answer: {
        "prompt": answer.input,
        "continuation": answer.output,
        "tokens": list(answer.tokens),
        "firstTokens": list(answer.candidates),
        "logProbabilities": list(answer.values),
    },
    EMBEDDINGS: lambda answer: {"text": answer.input, "components": list(answer.values)},
    TEXT_CLASSIFICATION: lambda answer: {
        "text": answer.input,
        "label": answer.output or None,
        "labels": list(answer.candidates),
        "logProbabilities": list(answer.values),
    },
}


def _entry(artifact: ArtifactFacts, runs: list[str]) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "digest": artifact.digest,
        "folder": artifact.folder,
        "size": artifact.size,
        "runs": sorted(runs),
        "files": [{"name": file.name, "size": file.size, "digest": file.digest} for file in artifact.files],
    }
