"""The data that comes with slmc: built-in targets, device classes, the example workspace."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """The folder `name` of slmc's own data.

    A wheel carries it in `compiler/shipped/`; in a checkout it stands beside the package.
    """
    inside = _PACKAGE / "shipped" / name
    return inside if inside.exists() else _PACKAGE.parent / name
