"""Finds the blueprint files of a workspace and reads them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.base.workspace import OUTPUT
from compiler.syntax.build import Builder
from compiler.syntax.document import Document, Mapping
from compiler.syntax.events import HAVE_C, events
from compiler.syntax.text import decode

SUFFIX = ".slmc.yaml"
_NOT_BLUEPRINTS = (OUTPUT, "models", "targets")
"""Folders at the top of a workspace that hold output, weights and templates."""
_ENVIRONMENT = "pyvenv.cfg"
"""Marks a virtual environment of Python; one with slmc in it has blueprints of its own."""


def read_all(workspace: Path) -> tuple[list[Document], list[Diagnostic]]:
    """Every `*.slmc.yaml` file below `workspace`, in the order of their paths.

    A file that cannot be used still gives a document, an empty one that is not complete, so
    that later stages do not take its names for undeclared.
    """
    paths, diagnostics = _find(workspace)
    if not paths and not diagnostics:
        return [], [_no_blueprint(workspace)]
    documents = []
    for path in paths:
        name = _shown(path.relative_to(workspace))
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(workspace)):
            diagnostics.append(_leads_out(name))
            continue
        document, of_file = read(path, name)
        documents.append(document or Document(Source(name, ""), Mapping(), complete=False))
        diagnostics += of_file
    return documents, diagnostics


def read(path: Path, name: str) -> tuple[Document | None, list[Diagnostic]]:
    """One file; `name` is what diagnostics call it. None when its values cannot be used."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None, [_unreadable(name, "it is not a file")]
        data = path.read_bytes()
    except OSError as error:
        return None, [_unreadable(name, str(error.strerror))]
    return parse(data, name)


def parse(data: bytes, name: str, *, pure: bool = not HAVE_C) -> tuple[Document | None, list[Diagnostic]]:
    """The bytes of one file → its document, by ruamel's C parser or the pure one."""
    source, diagnostics, readable = decode(data, name)
    if not readable:
        return None, diagnostics
    builder = Builder(source, events(source.text, pure=pure))
    root = builder.build()
    diagnostics += builder.diagnostics
    if not builder.usable:
        return None, diagnostics
    if root is None:
        return None, [*diagnostics, _empty(source)]
    if not isinstance(root, Mapping):
        return None, [*diagnostics, _not_a_mapping(source, root)]
    return Document(source, root, builder.complete), diagnostics


def _find(workspace: Path) -> tuple[list[Path], list[Diagnostic]]:
    """The blueprint files, in the order of their names, and the folders that cannot be read."""
    found: list[Path] = []
    refused: list[OSError] = []
    for parent, folders, names in os.walk(workspace, onerror=refused.append):
        skipped = _NOT_BLUEPRINTS if Path(parent) == workspace else ()
        found += [Path(parent, name) for name in folders + names if name.endswith(SUFFIX) and name[0] != "."]
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(SUFFIX)
            and name not in skipped
            and not Path(parent, name, _ENVIRONMENT).exists()
        ]
    return sorted(found, key=lambda path: path.as_posix()), [_refused(workspace, error) for error in refused]


def _refused(workspace: Path, error: OSError) -> Diagnostic:
    folder = Path(str(error.filename))
    if folder != workspace:
        return _unreadable(_shown(folder.relative_to(workspace)), str(error.strerror))
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return _unreadable(_shown(workspace), str(error.strerror))
    what = "does not exist" if error.errno == errno.ENOENT else "is a file"
    way = "Give the folder of a workspace. `slmc init DIR` writes one."
    return Diagnostic(Code.NO_BLUEPRINT, f"`{_shown(workspace)}` {what}.", help=way)


def _shown(path: Path) -> str:
    """A path with `/`, and with `?` for bytes that are no text."""
    return path.as_posix().encode(errors="replace").decode()


def _unreadable(name: str, why: str) -> Diagnostic:
    message = f"`{name}` cannot be read: {why}."
    return Diagnostic(Code.CANNOT_READ, message, file=name, help="Make it readable for the user who runs slmc.")


def _leads_out(name: str) -> Diagnostic:
    message = f"`{name}` leads out of the workspace through a symbolic link."
    return Diagnostic(Code.OUTSIDE_WORKSPACE, message, file=name, help="Copy the file into the workspace.")


def _no_blueprint(workspace: Path) -> Diagnostic:
    others = sorted(_shown(path.relative_to(workspace)) for path in workspace.glob("*.y*ml"))
    if others:
        way = f"The names of blueprint files end in `{SUFFIX}`; `{others[0]}` does not."
    else:
        way = f"`slmc init {_shown(workspace)}` writes a small workspace to start from."
    message = f"No file below `{_shown(workspace)}` has a name that ends in `{SUFFIX}`."
    return Diagnostic(Code.NO_BLUEPRINT, message, help=way)


def _empty(source: Source) -> Diagnostic:
    if not source.text:
        message = "The file holds nothing."
    elif all(line.split("#")[0].strip(" \r") in ("", "---", "...") for line in source.lines):
        message = "The file holds comments and blanks only."
    else:
        message = "The file holds null, which is no value."
    way = "Begin with `apiVersion: slmc.dev/v1alpha1` and `kind: Blueprint`, or remove the file."
    return Diagnostic(Code.EMPTY_FILE, message, file=source.path, help=way)


def _not_a_mapping(source: Source, root: Any) -> Diagnostic:
    written = [number for number, line in enumerate(source.lines, 1) if line.split("#")[0].strip(" \r")]
    first = next((number for number in written if not source.line(number).startswith("---")), 1)
    text = source.line(first)
    column = len(text) - len(text.lstrip()) + 1
    what = "a list" if isinstance(root, list) else "a single value"
    return Diagnostic(
        Code.WRONG_TYPE,
        f"The file holds {what}; a mapping of keys to values was expected.",
        Span(source, first, column, max(1, len(text.split("#")[0].strip()))),
        help="Begin with `apiVersion: slmc.dev/v1alpha1` and `kind: Blueprint`.",
    )
