"""How all that a compile may read of a workspace looks to the system: sizes, times, inodes; nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.base.files import TEMPORARY_PREFIX
from compiler.lock.disk import signature, state_of

_GIT = ".git"
"""Git's own: no compile reads it. It may be told to read from any other folder with a dot, `.github` say."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The state of every file by its path below the workspace, and the newest time among them in nanoseconds."""

    files: Mapping[str, str]
    newest: int

    @classmethod
    def look(cls, workspace: Path, outputs: Iterable[Path], beside: Iterable[str] = ()) -> Inputs:
        """All but what is written to and Git's own, and all in the folders `beside`, wherever they are.

        Links to folders are followed, each folder once.
        """
        root = os.path.realpath(workspace)
        skipped = {os.path.realpath(path) for path in outputs} - {root}
        found: dict[str, str] = {}
        newest = 0
        seen: set[str] = set()
        waiting = [root, *beside]
        while waiting:
            folder = waiting.pop()
            if folder in seen or folder in skipped:
                continue
            seen.add(folder)
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name == _GIT or entry.name.startswith(TEMPORARY_PREFIX) or entry.path in skipped:
                            continue
                        if entry.is_symlink():  # what is behind it may be seen already, by another way
                            found[f"{entry.path} "] = os.path.realpath(entry.path)
                        if entry.is_dir():
                            waiting.append(os.path.realpath(entry.path))
                            continue
                        stat = entry.stat(follow_symlinks=entry.is_file())
                        newest = max(newest, stat.st_ctime_ns, stat.st_mtime_ns)
                        found[entry.path.removeprefix(f"{root}/")] = state_of("", stat)
            except OSError as error:
                found[folder] = str(error.errno)
        return cls(found, newest)

    @property
    def signature(self) -> str:
        return signature(f"{path}{state}" for path, state in self.files.items())

    def changed(self, before: Mapping[str, str]) -> set[str] | None:
        """The files that are not as they were `before`; None when some came or went."""
        if before.keys() != self.files.keys():
            return None
        return {path for path, state in self.files.items() if before[path] != state}
