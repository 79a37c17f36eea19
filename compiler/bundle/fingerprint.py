"""The digests of targets: whether bundles change because their templates do."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.base import digests
from compiler.bundle.targets import DEFINITION, Target, inside, template_names


def template_digests(targets: Mapping[str, Target]) -> dict[str, str]:
    """By target, the digest of the names and contents of its folder's files."""
    return {name: _digest(target) for name, target in targets.items()}


def _digest(target: Target) -> str:
    found = [(name, inside(target.folder, name)) for name in (DEFINITION, *template_names(target.folder))]
    return digests.of_value([[name, digests.of_file(path)] for name, path in found if path is not None])
