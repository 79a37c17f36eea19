"""New files on their way: written beside the tree, then brought into it by renames."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.base import files
from compiler.lock.disk import signature, state_of

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_FOLDER = os.O_RDONLY | os.O_DIRECTORY


@dataclass(slots=True)
class Stage:
    """A copy of the output folder's shape with the new files alone, in a scratch folder inside it.

    Until `moves` are carried out nothing of the tree has changed. A `dry` stage keeps nothing.
    """

    output: Path
    dry: bool = False
    _files: list[str] = field(default_factory=list)
    """As many as `settle` needs to know."""
    _root: Path | None = None
    _folders: set[str] = field(default_factory=set)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, folder: str, contents: Mapping[str, bytes]) -> str:
        """Write files of one folder (names may have folders of their own); gives what `signature` will say of them."""
        if self.dry:
            return ""
        path = f"{self._open()}/{folder}"
        try:
            self._make(path)
            inside = os.open(path, _FOLDER)  # so that the system need not find the way to it again for each file
            try:
                return signature([state_of(name, self._write(inside, path, name, contents[name])) for name in contents])
            finally:
                os.close(inside)
        except OSError:
            with files.refusals(self.output / folder):
                raise

    def moves(self) -> list[tuple[Path, str]]:
        """What to rename to which path below the output folder: whole folders where there is none of that name yet."""
        return list(_moves(self._root, self.output, "")) if self._root else []

    def settle(self) -> None:
        """Wait until all is on the disk."""
        if self._root:
            files.settle(self._root, self._files)

    def hold(self) -> None:
        """Keep other compiles of this output folder waiting until the stage is left, and make the folder."""
        self._open()

    def _open(self) -> Path:
        if self._root is None:
            self._stack.enter_context(_alone(self.output))
            files.sweep(self.output)
            self._stack.enter_context(files.readable())
            self._root = self._stack.enter_context(files.scratch(self.output))
            self._folders.add(str(self._root))
        return self._root

    def _write(self, inside: int, folder: str, name: str, data: bytes) -> os.stat_result:
        """Write a file of `folder`, which is open as `inside`."""
        if "/" in name:
            self._make(f"{folder}/{name.rpartition('/')[0]}")
        descriptor = os.open(name, _NEW, 0o644, dir_fd=inside)
        try:
            written = os.write(descriptor, data)
            while written < len(data):  # a disk that is almost full takes a part
                written += os.write(descriptor, data[written:])
            if len(self._files) <= files.MANY:
                self._files.append(f"{folder}/{name}")
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _make(self, folder: str) -> None:
        """Make a folder of the stage, and those above it."""
        if folder not in self._folders:
            self._make(folder.rpartition("/")[0])
            os.mkdir(folder)  # noqa: PTH102 - a Path for each of thousands takes as long as the folder
            self._folders.add(folder)


def _moves(source: Path, output: Path, inside: str) -> Iterator[tuple[Path, str]]:
    with os.scandir(source) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False) and (output / path).exists():
                yield from _moves(Path(entry.path), output, f"{path}/")
            else:
                yield Path(entry.path), path


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the output folder, so that two compiles of one workspace write one after the other."""
    new = not output.exists()
    with files.refusals(output):
        output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
        if new:
            with contextlib.suppress(OSError):  # it is not empty: the compile went well
                output.rmdir()
