"""What is in the output folder now."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
_PIECE = 2**20
_READ = os.O_RDONLY | os.O_NONBLOCK
_LINK = b"\0"
"""In the place of the content of a link: what no template gives."""


@dataclass(slots=True)
class Disk:
    """The output folder; each folder in it is looked at once. Paths are relative to it; empty is the folder itself."""

    output: str
    _folders: dict[str, str | None] = field(default_factory=dict)
    _absent: set[str] = field(default_factory=set)

    def in_the_way(self, path: str) -> str | None:
        """What keeps a file from being at `path`: a folder there, a file or a link in the place of a folder."""
        blocked = self.blocked(path.rpartition("/")[0])
        if blocked is not None:
            return blocked
        return path if _is_folder(f"{self.output}/{path}") else None

    def blocked(self, name: str) -> str | None:
        """The first of the folders down to `name` that is none."""
        if name not in self._folders:
            parent = name.rpartition("/")[0]
            above = self.blocked(parent) if name else None
            if parent in self._absent and name:
                self._absent.add(name)
            self._folders[name] = self._blocked(name) if above is None and name not in self._absent else above
        return self._folders[name]

    def has(self, folder: str) -> bool:
        """Whether there is such a folder, when nothing is in its way."""
        self.blocked(folder)
        return folder not in self._absent

    def read(self, path: str) -> bytes | None:
        """The file's content, or None when there is none. Raises Stop when the system refuses.

        A link is no file of slmc's, wherever it leads: it counts as one that somebody edited.
        """
        return read_bytes(f"{self.output}/{path}", links=_LINK)

    def _blocked(self, name: str) -> str | None:
        """A folder that is no folder. A link inside would lead the writing elsewhere; the output folder may be one."""
        folder = f"{self.output}/{name}" if name else self.output
        try:
            mode = (os.lstat if name else os.stat)(folder).st_mode
        except OSError as error:
            if error.errno != errno.ENOENT or os.path.lexists(folder):
                return name
            self._absent.add(name)
            return None
        return None if stat.S_ISDIR(mode) else name


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def read_bytes(path: str | Path, *, links: bytes | None = None) -> bytes | None:
    """The file's content, or None when there is none; of a link `links`, if given. Raises Stop when the system refuses.

    A pipe is like an empty file: nobody waits for it.
    """
    try:
        descriptor = os.open(path, _READ if links is None else _READ | os.O_NOFOLLOW)
        try:
            data = os.read(descriptor, _PIECE)
            while len(data) % _PIECE == 0 and (more := os.read(descriptor, _PIECE)):
                data += more
            return data
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        if error.errno == errno.ELOOP and links is not None:
            return links
        raise Stop(
            Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", file=str(path))
        ) from error


def state_of(name: str, found: os.stat_result) -> str:
    """One file as the system sees it: any write, and any other file in its place, gives another text."""
    return f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def signature(states: Iterable[str]) -> str:
    """Many of them in one text, whatever their order."""
    return blake2b("\n".join(sorted(states)).encode(errors="surrogateescape"), digest_size=12).hexdigest()


def states(folder: str, inside: str = "") -> list[str]:
    """The state of every file below `folder`, by its name behind `inside`. The times of folders do not count."""
    found = []
    try:
        # Behind a descriptor, the system looks up one name for each file, not the whole path.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        return [f"{inside} {error.errno}"]
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found += states(f"{folder}/{entry.name}", f"{inside}{entry.name}/")
                else:
                    found.append(state_of(inside + entry.name, entry.stat(follow_symlinks=False)))
    except OSError as error:
        found.append(f"{inside} {error.errno}")
    finally:
        os.close(descriptor)
    return found
