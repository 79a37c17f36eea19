"""What the last compile of a workspace saw, so that the next one reads what changed.

Like the index of Git, it trusts a file whose size, times and inode are as they were. It is a cache beside the store:
without it, or with a damaged one, a compile reads and compares everything, and comes to the same result.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from compiler.artifact.store.store import Store
from compiler.base import files
from compiler.base.diagnostics import Stop
from compiler.base.shipped import shipped
from compiler.lock.changes import Seen, Tree
from compiler.lock.commit import Destination
from compiler.lock.disk import read_bytes, signature, state_of, states
from compiler.lock.inputs import Inputs
from compiler.lock.lock import Lock
from compiler.lock.ours import JOURNAL
from compiler.lock.world import World

FOLDER = "compiles"
"""In the store."""
_VERSION = 2
_TICK = 20_000_000
"""Nanoseconds in which a file may be written twice with one time stamp."""


@dataclass
class Memory:
    """What was remembered, and what is to be."""

    workspace: Path
    to: Destination
    store: Path
    tools: Mapping[str, str]
    """Versions of the libraries that shape artifacts."""
    began: int = field(default_factory=time.time_ns)
    _stamp: str = ""
    _inputs: Inputs = field(default_factory=lambda: Inputs({}, 0))
    _last: dict[str, Any] = field(default_factory=dict)
    _watched: list[str] = field(default_factory=list)

    def recall(self) -> Memory:
        """Read what the last run left, and look at the inputs before anything reads them."""
        self._stamp = _stamp(self.tools)
        last = _read(self._path)
        self._last = last if last.get("stamp") == self._stamp else {}
        self._watched = self._last.get("watched", [])
        self._inputs = Inputs.look(self.workspace, (self.to.output, self.store, self.to.lock), self._watched)
        return self

    def watch(self, folders: list[str]) -> None:
        """The compile read `folders` too, outside the workspace."""
        self._watched = folders

    @cached_property
    def bundles(self) -> dict[str, Seen]:
        """The bundles as they lay in the output folder when it was last right."""
        # Lines of one text: as values of their own, JSON takes three times as long to write and read them.
        lines = (line.split(" ") for line in self._last.get("bundles", "").splitlines())
        return {line[0]: Seen(*line[1:]) for line in lines if len(line) == 4}

    @property
    def beside(self) -> list[str]:
        """The files that lay beside them."""
        return list(self._last.get("beside", {}))

    def said(self, mode: str) -> str | None:
        """What the last compile in this mode said, when nothing that it read or wrote has changed since; else None."""
        said: dict[str, str] = self._last.get("said", {})
        same = mode in said and self._last["inputs"] == self._inputs.signature
        return said[mode] if same and self.to.scope.everything and self.intact() else None

    def world(self) -> tuple[World, set[str]] | None:
        """What is known of a large fleet, and the paths of the inputs that have changed since."""
        data = _read_json(self._world_path)
        if not self._last or data.get("of") != self._last["inputs"] or not self.to.scope.everything:
            return None
        changed, world = self._inputs.changed(data["files"]), World.read(data["world"])
        return (world, changed) if world is not None and changed is not None else None

    def intact(self) -> bool:
        """Whether lock, artifacts in the store and all files of the output folder are as the last run left them."""
        last, store = self._last, Store(self.store)
        return (
            last["lock"] == _state(self.to.lock)
            and not files.left_over(self.to.output, self.to.lock.parent)
            and all(_blob_state(store, digest) == state for digest, state in last["needed"].items())
            and all(_state(self.to.output / path) == state for path, state in last["beside"].items())
            and all(self._signature(folder) == seen.signature for folder, seen in self.bundles.items())
        )

    def keep(self, tree: Tree, said: Mapping[str, str], world: World | None) -> None:
        """Remember that the output folder is as `tree` says, what was `said`, by mode, and a large fleet's `world`.

        Where there is something to report at every run, `said` is empty and `world` None.
        """
        unsettled = tree.pending and self.to.dry
        if unsettled or not self.to.scope.everything or not self.store.is_dir():
            return
        if tree.pending:
            time.sleep(_TICK / 1e9)  # a later edit then has a later time than what was just written
        bundles = {
            folder: seen if seen.signature else seen._replace(signature=self._signature(folder))
            for folder, seen in tree.bundles.items()
        }
        if (self.to.output / JOURNAL).exists() or read_bytes(self.to.lock) != tree.lock:
            return  # another compile came in between
        inputs = self._inputs.signature
        before = self._last.get("said", {}) if self._last.get("inputs") == inputs and not tree.pending else {}
        # What was not watched from the beginning may have changed since it was read.
        certain = self._inputs.newest < self.began - _TICK and self._watched == self._last.get("watched", [])
        store = Store(self.store)
        data = {
            "stamp": self._stamp,
            "inputs": inputs,
            "watched": self._watched,
            "lock": _state(self.to.lock),
            "needed": {digest: _blob_state(store, digest) for digest in _blobs(tree.described)},
            "beside": {path: _state(self.to.output / path) for path in tree.beside},
            "bundles": "\n".join([" ".join((folder, *seen)) for folder, seen in bundles.items()]),
            "said": {**before, **said} if said and certain else {},
        }
        try:
            _write(self._path, data)
            if world is not None and certain:
                _write(self._world_path, {"of": inputs, "files": self._inputs.files, "world": world.plain()})
        except Stop:
            return  # a cache that cannot be written costs time alone

    def _signature(self, folder: str) -> str:
        return signature(states(f"{self.to.output}/{folder}"))

    @property
    def _world_path(self) -> Path:
        return self._path.with_suffix(".world.json")

    @property
    def _path(self) -> Path:
        both = "\0".join(os.path.realpath(path) for path in (self.workspace, self.to.output))
        return self.store / FOLDER / f"{sha256(both.encode(errors='surrogateescape')).hexdigest()[:32]}.json"


def _stamp(tools: Mapping[str, str]) -> str:
    """The compiler itself: its code and data, Python, the libraries."""
    folders = (str(Path(__file__).parent.parent), str(shipped("targets")), str(shipped("catalogue")))
    code = [state for folder in folders for state in states(folder, folder) if "__pycache__" not in state]
    return signature([*code, sys.version, str(_VERSION), repr(sorted(tools.items()))])


def _read(path: Path) -> dict[str, Any]:
    data = _read_json(path)
    kinds = {"watched": list, "said": dict, "inputs": str, "lock": str, "needed": dict, "beside": dict, "bundles": str}
    sound = all(isinstance(data.get(key), kind) for key, kind in kinds.items())
    return data if sound else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    files.write(path, json.dumps(data, separators=(",", ":")).encode())


def _blobs(lock: Lock) -> set[str]:
    """The digests of what the lock's artifacts are in the store."""
    artifacts = [entry.artifact for entry in lock.artifacts.values()]
    return {digest for one in artifacts for digest in (one.digest, *(file.digest for file in one.files))}


def _blob_state(store: Store, digest: str) -> str:
    """A blob as the system sees it. Its times do not count: other workspaces note on it that they use it."""
    try:
        found = store.path_of(digest).stat()
    except OSError as error:
        return str(error.errno)
    return f"{found.st_size} {found.st_ino}"


def _state(path: Path) -> str:
    try:
        return state_of("", path.lstat())
    except OSError as error:
        return str(error.errno)
