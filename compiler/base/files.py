"""Reading and writing files. This is the only code of slmc that writes.

A write is temp file, fsync, rename: a kill at any moment leaves the old file or the new
one. The system's refusals (read-only folder, full disk) come back as diagnostics.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop

TEMPORARY_PREFIX = ".slmc-tmp-"
MANY = 100
"""Files from which on one sync of everything is cheaper than one of each."""


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path` in one step, making its folders. Raises Stop when refused."""
    write_pieces(path, (data,), mode)


def write_pieces(path: Path, pieces: Iterable[bytes], mode: int = 0o644) -> None:
    """The same for what is too large to hold at once. What `pieces` raises leaves everything as it was."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            _let_read(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(path.parent)


def move(source: Path, path: Path) -> None:
    """Bring the finished file `source` to `path` in one step. Both lie on one file system."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(source, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _let_read(source)
        os.replace(source, path)
        _sync_folder(path.parent)


def bring(source: Path, path: Path) -> None:
    """Rename a finished file, or a folder of which nothing is there yet, to `path`, beside what is there."""
    with refusals(path):
        os.replace(source, path)
        _sync_folder(path.parent)


def _let_read(path: str | Path, mode: int = 0o644) -> None:
    """Everybody may read it; where the file system has no such rights (FAT), it stays as it is."""
    with contextlib.suppress(PermissionError):
        os.chmod(path, mode)


@contextlib.contextmanager
def extend(path: Path) -> Iterator[BinaryIO]:
    """An unfinished file of a scratch folder, to be written on from its end. Raises Stop when refused."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            yield file


def remove(path: Path) -> None:
    """Remove a file, and its folders as far as that empties them. A missing file is fine."""
    with refusals(path):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            try:
                folder.rmdir()
            except OSError:
                return


def left_over(*folders: Path) -> bool:
    """Whether a killed run left something unfinished in one of `folders`, or another run is at work there."""
    return any(next(folder.glob(f"{TEMPORARY_PREFIX}*"), None) is not None for folder in folders)


def sweep(folder: Path) -> None:
    """Remove what a killed run left unfinished in `folder`."""
    for found in list(folder.glob(f"{TEMPORARY_PREFIX}*")):
        with refusals(found):
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink(missing_ok=True)


def stays_below(path: str) -> bool:
    """Whether a relative path with `/` that was read from somewhere, perhaps not slmc's, keeps to its folder."""
    return "\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))


def remove_folder(folder: Path) -> None:
    """Remove a folder of unfinished work with all that is in it, as far as the system lets it."""
    shutil.rmtree(folder, ignore_errors=True)


def copy(source: Path, path: Path) -> None:
    """Put what is in `source` at `path` in one step, a piece at a time. Raises Stop when refused."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file, source.open("rb") as read:
                shutil.copyfileobj(read, file, 2**20)
            move(Path(temporary), path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def link(source: Path, path: Path) -> None:
    """Give a file a second name on the same file system; a copy where names are single. Raises Stop when refused."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError:
            copy(source, path)


def touch(path: Path) -> None:
    """Note on a file that it was used now. Where that is refused, nothing happens."""
    with contextlib.suppress(OSError):
        os.utime(path)


def settle(folder: Path, files: Collection[str]) -> None:
    """Wait until new `files` below `folder` are on the disk: each of a few, of many the whole file system."""
    with refusals(folder):
        if len(files) > MANY and (sync := _sync_file_system()) is not None:
            _with_descriptor(folder, sync)
            return
        for path in files:
            _with_descriptor(path, os.fsync)


def _sync_file_system() -> Callable[[int], object] | None:
    """syncfs(2), where the C library has it."""
    import ctypes  # slow to load, and only needed for many files

    return getattr(ctypes.CDLL(None), "syncfs", None)


def _with_descriptor(path: str | Path, call: Callable[[int], object]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        call(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What is written meanwhile can be read by everybody, whatever the user's mask is."""
    mask = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(mask)


def plant(path: Path, data: bytes) -> None:
    """Write a file of a scratch folder, which nothing has to outlive: no fsync. Raises Stop when refused."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def plant_link(path: Path, target: str) -> None:
    """Make a symbolic link in a scratch folder. Raises Stop when refused."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder for unfinished work inside `parent`, gone afterwards."""
    with refusals(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_scratch(folder: Path) -> bool:
    """Whether it is a folder for unfinished work, by its name."""
    return folder.name.startswith(TEMPORARY_PREFIX)


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write at `path` into a diagnostic (Stop)."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or path)
        where = path if TEMPORARY_PREFIX in named else named
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Stop(
                Diagnostic(
                    Code.DISK_FULL,
                    f"No space is left for `{path}`.",
                    file=str(path),
                    help="Free some space and run again: `slmc cache prune --keep WORKSPACE` drops the rest.",
                )
            ) from error
        raise Stop(
            Diagnostic(
                Code.CANNOT_WRITE,
                f"`{where}` cannot be written: {error.strerror}.",
                file=str(path),
                help="Every file is whole, the old or the new. Make it writable, or choose `--out` or `SLMC_STORE`.",
            )
        ) from error


def _sync_folder(folder: Path) -> None:
    _with_descriptor(folder, os.fsync)
