"""The digests of targets: whether bundles change because their templates do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from compiler.base import digests
from compiler.bundle.targets import DEFINITION, Target, template_names


def template_digests(targets: Mapping[str, Target]) -> dict[str, str]:
    """By target, the digest of the names and contents of its folder's files and of the templates that it borrows."""
    return {name: template_digest(target) for name, target in targets.items()}


def template_digest(target: Target) -> str:
    names = (DEFINITION, *template_names(target.folder), *target.borrowed)
    found = [(name, target.template(name)) for name in names]
    return digests.of_value([[name, _digest(path)] for name, path in found if path is not None])


def _digest(path: Path) -> str:
    """Of a file; nothing where the system refuses, which rendering reports."""
    try:
        return digests.of_file(path)
    except OSError:
        return ""
