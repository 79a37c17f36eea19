"""What recipes share on their way, kept in the store under the key of the steps that made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import File
from compiler.artifact.store import layout
from compiler.artifact.store.blobs import Corrupt
from compiler.artifact.store.store import Label, Store
from compiler.base import digests, files
from compiler.base.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Told:
    """What a step said of itself: `remarks` as pairs of a Code's name and a sentence, `report` as plain JSON values,
    `shape` the fields of Shape that it changed."""

    step: str
    changed: bool
    remarks: tuple[tuple[str, str], ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, step: str, made: Mapping[str, Any]) -> Told:
        """From what `apply_step` gives, or from what was kept of it."""
        remarks = tuple((code, words) for code, words in made["remarks"])
        return cls(step, bool(made["changed"]), remarks, _finite(made["report"]), made["shape"])


@dataclass(frozen=True, slots=True)
class Intermediate:
    """The files that some steps made; `graph` is the one that the next step reads, `told` has an entry for each."""

    files: tuple[File, ...]
    graph: str
    weight_bytes: int
    told: tuple[Told, ...]

    def lay_out(self, store: Store, folder: Path) -> Path:
        """Give the files their names in `folder`, below the store's root; gives the path of the graph."""
        for file in self.files:
            files.link(store.path_of(file.digest), folder / file.name)
        return folder / self.graph


def find(store: Store, key: str) -> tuple[Intermediate | None, list[Diagnostic]]:
    """The one with this key, every blob of it checked. One that is damaged is reported and forgotten."""
    entry, diagnostics = store.lookup(layout.INTERMEDIATE, key)
    if entry is None:
        return None, diagnostics
    try:
        return _read(store, entry), diagnostics
    except Corrupt as corrupt:
        return None, [*diagnostics, store.forget(entry, corrupt)]


def put(store: Store, label: Label, made: Intermediate, folder: Path) -> None:
    """Take in the files of `folder`, which is gone afterwards if it lies in a scratch folder of the store.

    Raises Stop when the disk refuses.
    """
    config = digests.canonical(
        {"graph": made.graph, "weightBytes": made.weight_bytes, "told": [asdict(told) for told in made.told]}
    )
    manifest = layout.intermediate_manifest(config, made.files)
    with store.alone():
        for file in made.files:
            store.blobs.take(folder / file.name, file.digest)
        for blob in (config, manifest):
            store.blobs.put(blob)
        store.add(layout.entry(layout.INTERMEDIATE, manifest, label.notes()))


def _finite(value: Any) -> Any:
    """Plain values without the floats that JSON has no words for: null instead."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _read(store: Store, entry: Mapping[str, Any]) -> Intermediate:
    manifest = json.loads(store.blobs.read(entry))
    try:
        config = json.loads(store.blobs.read(manifest["config"]))
        told = tuple(Told.of(one["step"], one) for one in config["told"])
        made = Intermediate(layout.files_of(manifest), config["graph"], config["weightBytes"], told)
    except (KeyError, TypeError, ValueError):
        raise Corrupt(entry["digest"], "is not the manifest of an intermediate result") from None
    for layer in manifest["layers"]:
        store.blobs.check(layer)
    return made
