"""What slmc computed a value from: each figure with the line that has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.artifact import Artifact
from compiler.base.span import Source
from compiler.base.units import show_bytes
from compiler.bundle.context import ARTIFACT_ROOT
from compiler.fit.check import RunEstimate
from compiler.fleet.graph import Cohort, Run
from compiler.fleet.ports import FIRST_PORT
from compiler.lock.lock import Lock
from compiler.lock.text import NAME


@dataclass(frozen=True, slots=True)
class Ground:
    """One thing that a computed value rests on; `place` is a line as diagnostics write it, None for slmc's own."""

    text: str
    place: str | None = None


@dataclass(frozen=True, slots=True)
class LockText:
    """`slmc.lock` with its text, to point at lines of it."""

    lock: Lock
    source: Source

    def place(self, *keys: str) -> str:
        """The line of a key, from the outermost to the innermost; the file alone when there is none."""
        number = 0
        lines = self.source.lines
        for depth, key in enumerate(keys, start=1):
            start = "  " * depth + json.dumps(key, ensure_ascii=False) + ":"
            found = (at for at in range(number, len(lines)) if lines[at].startswith(start))
            number = next(found, -1) + 1
            if not number:
                return NAME
        return f"{NAME}:{number}"

    def file(self, artifact: str, name: str) -> str:
        """The line that names a file of an artifact."""
        start = int(self.of(artifact, "files").rpartition(":")[2])
        wanted = json.dumps({"name": name}, ensure_ascii=False)[1:-1]
        lines = self.source.lines
        return f"{NAME}:{next(at for at in range(start, len(lines) + 1) if lines[at - 1].strip().startswith(wanted))}"

    def of(self, artifact: str, *keys: str) -> str:
        return self.place("artifacts", artifact, *keys)


def lock_text(path: Path, lock: Lock) -> LockText:
    """`lock` was read from `path`; where there is none, no line of it can be shown."""
    return LockText(lock, Source(NAME, path.read_text(encoding="utf-8") if lock.artifacts else ""))


def of_memory_limit(run: Run, estimate: RunEstimate, artifact: Artifact, lock: LockText) -> Iterator[Ground]:
    whole = f"2 × (weights + KV cache + overhead) = 2 × {estimate.memory:,} bytes"
    yield Ground(f"{whole} = {estimate.default_limit:,} bytes; `memoryLimit` would set another")
    yield from _parts(run, estimate, artifact, lock)


def of_memory_estimate(run: Run, estimate: RunEstimate, artifact: Artifact, lock: LockText) -> Iterator[Ground]:
    yield Ground(f"weights + KV cache + overhead = {estimate.memory:,} bytes")
    yield from _parts(run, estimate, artifact, lock)


def _parts(run: Run, estimate: RunEstimate, artifact: Artifact, lock: LockText) -> Iterator[Ground]:
    name, per_token = artifact.name, artifact.shape.kv_bytes_per_token
    length = run.context_length or artifact.shape.context_length
    cache = f"{length:,} tokens × {per_token:,} bytes = {_bytes(estimate.kv_cache)}"
    yield Ground(f"weights: {_bytes(estimate.weights)}, from `{name}`", lock.of(name, "shape", "weightBytes"))
    yield Ground(f"KV cache: {cache}, from `{name}`", lock.of(name, "shape", "kvBytesPerToken"))
    yield Ground(f"overhead: {_bytes(estimate.overhead)} for ONNX Runtime, which slmc takes for every run")


def _bytes(count: int) -> str:
    return f"{count:,} bytes ({show_bytes(count)})"


def of_context_length(artifact: Artifact, lock: LockText) -> Iterator[Ground]:
    text = f"as many tokens as the graph of `{artifact.name}` takes; `contextLength` would set fewer"
    yield Ground(text, lock.of(artifact.name, "shape", "contextLength"))


def of_port(run: Run, cohort: Cohort) -> Iterator[Ground]:
    yield Ground(f"the first free port from {FIRST_PORT} on, in the order of the runs of a device")
    for other in cohort.runs:
        if other.name != run.name and FIRST_PORT <= other.port < run.port:
            yield Ground(f"`{other.name}` has {other.port}", str(other.place))


def of_artifact(run: Run, artifact: Artifact, lock: LockText, field: str) -> Iterator[Ground]:
    """Of an artifact's digest, folder, size, files: what it was made from."""
    name = artifact.name
    if field == "folder":
        yield Ground(f"{ARTIFACT_ROOT}/ and the hex digits of the digest")
    if field == "size":
        parts = " + ".join(f"{file.size:,}" for file in artifact.files)
        yield Ground(f"bytes of its files: {parts}", lock.of(name, "files"))
    if field == "name":
        yield Ground("the model's name, its version and the recipe's name")
    yield Ground(f"digest: {artifact.digest}", lock.of(name, "digest"))
    entry = lock.lock.artifacts[name]
    yield Ground(f"made of `{run.model.source}`, {entry.source}", lock.of(name, "inputs", "source"))
    yield Ground(f"the source of model `{run.model.id}`", str(run.model.place))
    for step in run.recipe.steps:
        parameters = "".join(
            f", {key}: {json.dumps(value)}" for key, value in step.parameters.items() if value is not None
        )
        yield Ground(f"step of recipe `{run.recipe.name}`: {step.kind}{parameters}", str(step.place))
    tools = ", ".join(f"{tool} {version}" for tool, version in sorted(lock.lock.tools.items()))
    yield Ground(f"with {tools}", lock.place("tools"))
