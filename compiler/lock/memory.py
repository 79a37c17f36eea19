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
from hashlib import sha256
from pathlib import Path
from typing import Any

from compiler.base import files
from compiler.base.diagnostics import Stop
from compiler.base.shipped import shipped
from compiler.lock.changes import Seen, Tree
from compiler.lock.commit import Destination
from compiler.lock.disk import read_bytes, signature, state_of, states
from compiler.lock.ours import JOURNAL

FOLDER = "compiles"
"""In the store."""
_VERSION = 1
_UNREAD = (".git", files.TEMPORARY_PREFIX)
"""How names begin of what no compile reads. It may be told to read from any other folder with a dot."""
_TICK = 20_000_000
"""Nanoseconds in which a file may be written twice with one time stamp."""


@dataclass(slots=True)
class Memory:
    """What was remembered, and what is to be."""

    workspace: Path
    to: Destination
    store: Path
    tools: Mapping[str, str]
    """Versions of the libraries that shape artifacts."""
    began: int = field(default_factory=time.time_ns)
    _stamp: str = ""
    _inputs: str = ""
    _newest: int = 0
    _last: dict[str, Any] = field(default_factory=dict)

    def recall(self) -> Memory:
        """Read what the last run left, and look at the inputs before anything reads them."""
        self._stamp = _stamp(self.tools)
        last = _read(self._path)
        self._last = last if last.get("stamp") == self._stamp else {}
        self._inputs, self._newest = _inputs(self.workspace, {self.to.output, self.store, self.to.lock})
        return self

    @property
    def bundles(self) -> dict[str, Seen]:
        """The bundles as they lay in the output folder when it was last right."""
        return {folder: Seen(*seen) for folder, seen in self._last.get("bundles", {}).items()}

    def said(self, mode: str) -> str | None:
        """What the last compile in this mode said, when nothing that it read or wrote has changed since; else None."""
        last = self._last
        same = self.to.scope.everything and (
            mode in last.get("said", {})
            and last["inputs"] == self._inputs
            and last["lock"] == _state(self.to.lock)
            and last["store"] == self._store()
            and not files.left_over(self.to.output, self.to.lock.parent)
            and all(_state(self.to.output / path) == state for path, state in last["beside"].items())
            and all(
                signature(states(f"{self.to.output}/{folder}")) == seen[2] for folder, seen in last["bundles"].items()
            )
        )
        return str(last["said"][mode]) if same else None

    def keep(self, tree: Tree, said: Mapping[str, str]) -> None:
        """Remember that the output folder is as `tree` says, and what was `said`, by mode: nothing where there is
        something to report at every run."""
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
        before = self._last.get("said", {}) if self._last.get("inputs") == self._inputs and not tree.pending else {}
        data = {
            "stamp": self._stamp,
            "inputs": self._inputs,
            "lock": _state(self.to.lock),
            "store": self._store(),
            "beside": {path: _state(self.to.output / path) for path in tree.beside},
            "bundles": bundles,
            "said": {**before, **said} if said and self._newest < self.began - _TICK else {},
        }
        try:
            files.write(self._path, json.dumps(data, separators=(",", ":")).encode())
        except Stop:
            return  # a cache that cannot be written costs time alone

    def _signature(self, folder: str) -> str:
        return signature(states(f"{self.to.output}/{folder}"))

    @property
    def _path(self) -> Path:
        both = "\0".join(os.path.realpath(path) for path in (self.workspace, self.to.output))
        return self.store / FOLDER / f"{sha256(both.encode(errors='surrogateescape')).hexdigest()[:32]}.json"

    def _store(self) -> str:
        """What the store has beside memories like this one."""
        try:
            names = sorted(entry.path for entry in os.scandir(self.store) if entry.name != FOLDER)
        except OSError:
            return ""
        return signature([state for name in names for state in (*states(name, name), _state(Path(name)))])


def _stamp(tools: Mapping[str, str]) -> str:
    """The compiler itself: its code and data, Python, the libraries."""
    folders = (str(Path(__file__).parent.parent), str(shipped("targets")), str(shipped("catalogue")))
    code = [state for folder in folders for state in states(folder, folder) if "__pycache__" not in state]
    return signature([*code, sys.version, str(_VERSION), repr(sorted(tools.items()))])


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    kinds = {"said": dict, "inputs": str, "lock": str, "store": str, "beside": dict, "bundles": dict}
    sound = isinstance(data, dict) and all(isinstance(data.get(key), kind) for key, kind in kinds.items())
    return data if sound and all(isinstance(seen, list) and len(seen) == 3 for seen in data["bundles"].values()) else {}


def _state(path: Path) -> str:
    try:
        return state_of("", path.lstat())
    except OSError as error:
        return str(error.errno)


def _inputs(workspace: Path, outputs: set[Path]) -> tuple[str, int]:
    """All that a compile may read of the workspace, and the newest time among it in nanoseconds."""
    waiting = [os.path.realpath(workspace)]
    skipped = {os.path.realpath(path) for path in outputs} - {*waiting}
    found: list[str] = []
    newest = 0
    seen: set[str] = set()
    while waiting:
        folder = waiting.pop()
        if folder in seen or folder in skipped:
            continue
        seen.add(folder)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(_UNREAD) or entry.path in skipped:
                        continue
                    if entry.is_symlink():  # what is behind it may be seen already, by another way
                        found.append(f"{entry.path} {os.path.realpath(entry.path)}")
                    if entry.is_dir():
                        waiting.append(os.path.realpath(entry.path))
                    else:
                        stat = entry.stat(follow_symlinks=entry.is_file())
                        newest = max(newest, stat.st_ctime_ns, stat.st_mtime_ns)
                        found.append(state_of(entry.path, stat))
        except OSError as error:
            found.append(f"{folder} {error.errno}")
    return signature(found), newest
