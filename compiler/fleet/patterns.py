"""Patterns of paths: `inventory/eu/*.csv`, `inventory/**/*.jsonl`."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.base.workspace import OUTPUT
from compiler.fleet.paths import normal

_WILD = re.compile(r"[*?[]")
_ANY_FOLDERS = "**"
_NOT_SEARCHED = (OUTPUT, "models", "targets")
"""Folders at the top of a workspace that hold output, weights and templates: no wildcard stands for them."""
_SHOWN = 5


def is_pattern(path: str) -> bool:
    return _WILD.search(path) is not None


def matching(workspace: Path, pattern: str) -> list[str]:
    """The files that a pattern stands for, as paths relative to the workspace, in order.

    `*`, `?` and `[a-z]` match within a name, `**` any number of folders. Names that begin
    with a dot do not match, and `**` follows no symbolic link.
    """
    return sorted(set(_walk(workspace, (), normal(pattern).split("/"))))


def _walk(folder: Path, above: tuple[str, ...], steps: list[str]) -> Iterator[str]:
    step, *rest = steps
    if step == _ANY_FOLDERS:
        yield from _walk(folder, above, rest or ["*"])
        for entry in _entries(folder, above):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), (*above, entry.name), steps)
    elif not is_pattern(step):
        if rest and (folder / step).is_dir():
            yield from _walk(folder / step, (*above, step), rest)
        elif not rest and (folder / step).exists():
            yield "/".join((*above, step))
    else:
        wanted = re.compile(fnmatch.translate(step))
        for entry in _entries(folder, above):
            if wanted.match(entry.name) and entry.is_dir() is bool(rest):
                if rest:
                    yield from _walk(Path(entry.path), (*above, entry.name), rest)
                else:
                    yield "/".join((*above, entry.name))


def _entries(folder: Path, above: tuple[str, ...]) -> list[os.DirEntry[str]]:
    """What a wildcard can stand for, by name."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
    hidden = () if above else _NOT_SEARCHED
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in hidden]


def nothing(workspace: Path, pattern: str, place: Span) -> Diagnostic:
    """The diagnostic for a pattern that matches no file: how far it leads, and what is there instead."""
    folder = Path()
    *parents, last = normal(pattern).split("/")
    for step in parents:
        if is_pattern(step) or not (workspace / folder / step).is_dir():
            last = step
            break
        folder /= step
    entries = [entry.name for entry in _entries(workspace / folder, folder.parts)]
    where = f"`{folder.as_posix()}`" if folder.parts else "The workspace"
    if near := None if is_pattern(last) else did_you_mean(last, entries, ""):
        help = f"{where} has no `{last}`. {near}"
    elif entries:
        shown = ", ".join(f"`{name}`" for name in entries[:_SHOWN])
        help = f"{where} has {shown}{', …' if len(entries) > _SHOWN else ''}."
    else:
        help = f"{where} is empty."
    return Diagnostic(Code.MISSING_FILE, f"No file matches `{pattern}`.", place, help=help)
