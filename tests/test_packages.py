"""What every package of the compiler says of itself, for who reads the code for the first time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [path for depth in ("*", "artifact/*") for path in sorted((ROOT / "compiler").glob(f"{depth}/__init__.py"))]
assert PACKAGES


@pytest.mark.parametrize("file", PACKAGES, ids=lambda path: path.parent.name)
def test_it_says_what_it_reads_gives_and_never_does(file: Path) -> None:
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    begun = [line.partition(":")[0] for line in said.splitlines()[2:] if not line.startswith(" ") and ":" in line]
    assert begun == ["Reads", "Gives", "Never"]
