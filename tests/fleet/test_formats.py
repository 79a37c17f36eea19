"""Formats under the names that they had before."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.blueprint.merge import merge
from compiler.fleet.declared import Declared
from compiler.syntax.read import read_all
from tests.fleet.workspaces import HEAD


@pytest.mark.parametrize(("before", "now"), [("tensorflow-lite", "litert"), ("pytorch-mobile", "executorch")])
def test_an_older_name_is_the_same_step(tmp_path: Path, before: str, now: str) -> None:
    steps = "{{steps: [{{kind: convert, format: {}, precision: int8}}]}}"
    text = f"{HEAD}recipes:\n  old: {steps.format(before)}\n  new: {steps.format(now)}\n"
    (tmp_path / "a.slmc.yaml").write_text(text)
    blueprint, diagnostics = merge(read_all(tmp_path)[0])
    assert diagnostics == []
    recipes = Declared(blueprint).recipes
    [old], [new] = recipes["old"].steps, recipes["new"].steps
    assert old.parameters == new.parameters == {"format": now, "precision": "int8", "sequenceLength": 128}
