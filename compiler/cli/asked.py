"""Which generated file a question means: people name it from where they stand, as an editor or Git shows it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from compiler.base.workspace import OUTPUT
from compiler.lock.text import NAME as LOCK

_LINE = re.compile(r"(.+?):([0-9]+)(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class AskedFile:
    """A file below the output folder of a workspace. `path` is relative to that folder, with `/`."""

    workspace: Path
    path: str
    line: int | None

    @property
    def name(self) -> str:
        """What answers call it."""
        return f"{OUTPUT}/{self.path}"

    @property
    def on_disk(self) -> Path:
        return self.workspace / OUTPUT / self.path


def asked_file(text: str, directory: str | None) -> AskedFile | None:
    """The file that `text` names, with `:LINE` or without; None where it is a path inside a blueprint.

    It may be absolute, or relative to the current folder or to the workspace. Without `directory` a path that
    leads into the `deploy/` of another workspace means that one. Raises Stop when it leads to no such folder.
    """
    found = _LINE.fullmatch(text)
    path, line = (found[1], int(found[2])) if found else (text, None)
    if text.startswith("fleets.") or not (found or "/" in path or Path(path).is_file()):
        return None
    workspace = _whole(Path.cwd(), directory or ".")
    for start in (Path.cwd(), workspace):
        whole = _whole(start, path)
        if whole.is_relative_to(workspace / OUTPUT) and whole != workspace / OUTPUT:
            return AskedFile(Path(directory or "."), whole.relative_to(workspace / OUTPUT).as_posix(), line)
    whole = _whole(Path.cwd(), path)
    if directory is None and OUTPUT in whole.parts[:-1]:
        index = len(whole.parts) - 1 - whole.parts[::-1].index(OUTPUT)
        other = Path(*whole.parts[:index])
        return AskedFile(Path(os.path.relpath(other)), "/".join(whole.parts[index + 1 :]), line)
    raise Stop(_elsewhere(path, workspace, whole))


def _whole(start: Path, path: str) -> Path:
    """Absolute and without `..`; links stay, for the output folder may be one."""
    return Path(os.path.normpath(start / path))


def _elsewhere(path: str, workspace: Path, whole: Path) -> Diagnostic:
    within = any(file.is_file() and file.is_relative_to(workspace) for file in (whole, workspace / path))
    why = "people write it, not slmc" if within else f"it is not below `{OUTPUT}/`, or the workspace is another"
    if workspace / LOCK in (whole, workspace / path):
        why = "it is the lock, to which answers lead"
    help = f"Ask for a file below `{OUTPUT}/`, with `:LINE` or without, or for a path such as `fleets.NAME`."
    return Diagnostic(Code.UNKNOWN_REFERENCE, f"`{path}` is no generated file: {why}.", help=help)
