"""What stands in the output folder now."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


@dataclass(slots=True)
class Disk:
    """The output folder; each folder in it is looked at once."""

    output: Path
    _folders: dict[str, str | None] = field(default_factory=dict)

    def in_the_way(self, path: str) -> str | None:
        """What keeps a file from being at `path`: a folder there, a file or a link in the place of a folder.

        Relative to the output folder; empty for that folder itself.
        """
        blocked = self._folder(path.rpartition("/")[0])
        if blocked is not None:
            return blocked
        return path if (self.output / path).is_dir() else None

    def _folder(self, name: str) -> str | None:
        """The first of the folders down to `name` that is none."""
        if name not in self._folders:
            above = self._folder(name.rpartition("/")[0]) if name else None
            self._folders[name] = self._blocked(name) if above is None else above
        return self._folders[name]

    def _blocked(self, name: str) -> str | None:
        """A folder that is no folder. A link inside would lead the writing elsewhere; the output folder may be one."""
        folder = self.output / name
        try:
            if folder.is_symlink() and name:
                return name
            return None if folder.is_dir() or not (folder.exists() or folder.is_symlink()) else name
        except OSError:
            return name


def read_bytes(path: Path) -> bytes | None:
    """The file's content, or None when there is none. Raises Stop when the system refuses."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise Stop(
            Diagnostic(Code.CANNOT_READ, f"`{path}` cannot be read: {error.strerror}.", file=str(path))
        ) from error
