"""Files that are larger than what a target hands them to can take."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.manifest import ARTIFACTS, GOLDEN, SUMS
from compiler.bundle.serving import SERVE
from compiler.bundle.targets import TargetFile, Use

_NAMES = (ARTIFACTS, GOLDEN, SERVE, SUMS)
OWN = ", ".join(f"`{name}`" for name in _NAMES)
"""What slmc itself writes into a bundle, for messages."""


def too_large(path: str, size: int, file: TargetFile, use: Use, cohort: str) -> list[Diagnostic]:
    """A file of a template, against `maxBytes`."""
    if file.max_bytes is None or size <= file.max_bytes:
        return []
    message = f"`{path}` of cohort `{cohort}` has {size:,} bytes; what reads it takes at most {file.max_bytes:,}."
    help = "Give the cohort fewer or smaller runs, environment variables above all, or another target."
    related = ((file.path_place, "the limit is declared here"),)
    return [Diagnostic(Code.FILE_TOO_LARGE, message, use.place, help, related)]


def own_too_large(use: Use, files: Mapping[str, bytes], cohort: str) -> list[Diagnostic]:
    """The files that no template writes, together, against `maxOwnFiles`."""
    size, most = sum(len(files.get(name, b"")) for name in _NAMES), use.target.max_own_files
    if most is None or size <= most:
        return []
    message = f"{OWN} of cohort `{cohort}` have {size:,} bytes, and target `{use.target.name}` carries {most:,}."
    help = "Give the devices fewer runs, or leave the target out."
    return [Diagnostic(Code.FILE_TOO_LARGE, message, use.place, help)]
