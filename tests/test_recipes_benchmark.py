"""The recipes benchmark judges its goals, and its encoder's half runs on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet.measure import Figure
from benchmarks.recipes import encoder, encoder_table, rebuild
from benchmarks.recipes.encoder import Found, Line
from benchmarks.recipes.encoder_rows import EIGHT, FOUR, Recipe
from benchmarks.recipes.rebuild import Same
from tests.artifact import tiny_bert
from tests.conftest import REPOSITORY
from tests.minilm import minilm

_POSITIONS = 128
"""As many as the text has whose latency is measured."""


def line(name: str, tool: str, megabytes: float, cosine: float, speed: float | None, aim: object = None) -> Line:
    figures = {"cosineMean": cosine, "cosineMin": 0.9, "neighbourAgreement": 0.95}
    size = round(megabytes * 1e6)
    return Line(name, tool, Figure(1.5, 80_000_000, 1), size, size, figures, None, speed, 15.0, aim)  # type: ignore[arg-type]


def test_goals_are_judged() -> None:
    lines = [
        line("fp32", "as it came", 90.4, 1, 1),
        line("reached", "slmc", 24.5, 0.999, 0.6, EIGHT),
        line("missed", "slmc", 24.6, 0.9989, 0.61, EIGHT),
        line("small", "slmc", 15.1, 0.98, 2, FOUR),
        line("int8", "LiteRT", 23, 0.9899, None),
        Line("broken", "onnxruntime", Figure(failed="does not load")),
    ]
    text = encoder_table.markdown(Found(lines, 206, Same(3, ["small"])))
    judged = {row.split(" | ")[1]: row.split(" | ")[-1].strip("| ") for row in text.splitlines() if row[:2] == "| "}
    assert judged["reached"] == "reached"
    assert judged["missed"] == "not ≤ 24.5 MB, ≥ 0.999, time ≤ 0.6"
    assert judged["small"] == "not ≤ 15 MB"
    assert judged["int8"] == "not ≥ 0.99"
    assert "| onnxruntime | broken | failed: does not load |" in text
    assert text.endswith(
        "3 recipes rebuilt from two checkouts, under two hash seeds, into two empty stores: not the same: small.\n"
    )


@pytest.mark.slow
def test_quick_run_measures_the_real_model(tmp_path: Path) -> None:
    found = encoder.run(encoder.Extent(minilm(), quick=True, peers=False), tmp_path)
    assert [(one.tool, one.figure.failed) for one in found.lines] == [("as it came", ""), ("slmc", ""), ("slmc", "")]
    _, dynamic, blocks = found.lines
    assert dynamic.figures["cosineMean"] < 0.998 < blocks.figures["cosineMean"]
    assert (found.texts, found.same) == (206, None)


@pytest.mark.slow
def test_two_checkouts_build_the_same(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    positions = np.zeros((_POSITIONS, tiny_bert.HIDDEN), np.float32)
    weights = tiny_bert.weights() | {"embeddings.position_embeddings.weight": positions}
    tiny_bert.write(tmp_path / "model", weights, max_position_embeddings=_POSITIONS)
    texts = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": " ".join(tiny_bert.WORDS[number : number + 6])}) for number in range(8)]
    texts.write_text("\n".join(lines))
    static = {"kind": "quantize", "scheme": "int8-static", "calibrate": {"data": "calibration.jsonl"}}
    recipes = [Recipe("half", ({"kind": "quantize", "scheme": "fp16"},)), Recipe("calibrated", (static,))]
    work = tmp_path / "work"
    assert rebuild.twice(REPOSITORY, tmp_path / "model", recipes, texts, work) == Same(2, [])
