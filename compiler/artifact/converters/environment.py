"""Environments of converters: `<store>/converters/NAME-<start of the requirements' digest>/`.

A virtual environment cannot be moved, since its paths are written into it: it is made in its place, and the file READY
is written last. Without that file there is no environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.base import files
from compiler.base.shipped import shipped

FOLDER = "converters"
READY = "slmc-ready"
_DIGITS = 12
_LAST_LINES = 12
_PYTHON = (3, 11)
"""The version of CPython that the requirements were resolved for."""


class Failed(Exception):
    """The environment could not be made; the text is one line, `said` the last lines of what failed."""

    def __init__(self, why: str, said: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.said = said


@dataclass(frozen=True, slots=True)
class Installed:
    """A folder of environments: `current` when its requirements are those of this slmc, `ready` when it is whole."""

    name: str
    folder: Path
    current: bool
    ready: bool


def requirements() -> Path:
    """The folder with the pinned requirements, `NAME.txt`."""
    return shipped("catalogue") / FOLDER


def names() -> list[str]:
    return sorted(path.stem for path in requirements().glob("*.txt"))


def digest(name: str) -> str:
    """Of what is installed for the converter: it is part of the key of all that the converter makes."""
    return hashlib.sha256((requirements() / f"{name}.txt").read_bytes()).hexdigest()[:_DIGITS]


def folder(root: Path, name: str) -> Path:
    """Where the environment lies, if it was made. `root` is the folder of all: `<store>/converters`."""
    return root / f"{name}-{digest(name)}"


def python(root: Path, name: str) -> Path | None:
    """The environment's interpreter; None when it was not made, or its Python has gone."""
    found = folder(root, name) / "bin" / "python"
    return found if found.exists() and (folder(root, name) / READY).exists() else None


def listed(root: Path) -> list[Installed]:
    """All environments below `root`, also old and unfinished ones, by name."""
    known = {folder(root, name): name for name in names()}
    found = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    return [
        Installed(known.get(path) or path.name.rpartition("-")[0], path, path in known, (path / READY).exists())
        for path in sorted(found)
    ]


def install(root: Path, name: str, tell: Callable[[str], None]) -> Path:
    """Make the environment of converter `name` unless it is there, and give its folder.

    `tell` gets a line for each package. Two at once: the second waits, and finds it made. What a killed run left is
    made anew. Raises Failed, and Stop when the disk refuses.
    """
    made = folder(root, name)
    if python(root, name):
        return made
    with _held(root, name, tell):
        if not python(root, name):
            shutil.rmtree(made, ignore_errors=True)
            try:
                _make(made, requirements() / f"{name}.txt", tell)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            files.write(made / READY, f"{digest(name)}\n".encode())
    return made


def remove(root: Path, name: str) -> list[Path]:
    """Remove every environment of the converter, old ones too, and give their folders. Waits for what uses them."""
    found = [one.folder for one in listed(root) if one.name == name]
    if found:
        with _held(root, name, lambda line: None):
            for path in found:
                (path / READY).unlink(missing_ok=True)
                shutil.rmtree(path, ignore_errors=True)
    return found


@contextlib.contextmanager
def in_use(root: Path, name: str) -> Iterator[None]:
    """Keep the environment from being removed meanwhile."""
    with _lock(root, name) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def _held(root: Path, name: str, tell: Callable[[str], None]) -> Iterator[None]:
    with _lock(root, name) as descriptor:
        # What `_run` starts inherits the lock: when slmc is killed, pip goes on, and nobody may come between.
        os.set_inheritable(descriptor, True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"{name}: waiting for another slmc that works with this environment")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _lock(root: Path, name: str) -> Iterator[int]:
    """The descriptor of a file that is locked; a kill lets go of it."""
    with files.refusals(root):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make(made: Path, pinned: Path, tell: Callable[[str], None]) -> None:
    total = sum(1 for line in pinned.read_text(encoding="utf-8").splitlines() if "==" in line)
    tell(f"{pinned.stem}: making an environment for {total} packages")
    _run([_interpreter(), "-m", "venv", str(made)], "venv", lambda line: None)
    collected = 0

    def follow(line: str) -> None:
        nonlocal collected
        word, _, rest = line.strip().partition(" ")
        if word in ("Collecting", "Processing"):
            collected += 1
            tell(f"{pinned.stem}: {collected}/{total} {rest.partition(' (')[0].rpartition('/')[2]}")
        elif word == "Installing":
            tell(f"{pinned.stem}: installing what was downloaded")

    pip = [str(made / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-compile", "--no-input"]
    _run([*pip, "--disable-pip-version-check", "--progress-bar=off", "-r", str(pinned)], "pip", follow)


def _interpreter() -> str:
    """Python as the requirements want it, else this one, whose pip will say what is missing."""
    if sys.version_info[:2] == _PYTHON:
        return sys.executable
    return shutil.which(f"python{_PYTHON[0]}.{_PYTHON[1]}") or sys.executable


def _run(command: list[str], name: str, follow: Callable[[str], None]) -> None:
    """Run `command`, telling each line that it prints. Raises Failed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    said: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        close_fds=False,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if not line.startswith("WARNING"):
                    said.append(line.rstrip())
                    follow(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise Failed(f"{name} ended with exit code {process.returncode}", tuple(said))
