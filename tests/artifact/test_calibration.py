"""Texts that a step cannot be calibrated with, each refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.artifact import bert, tiny
from tests.artifact.calibrated import make


def _lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _text(words: str) -> str:
    return json.dumps({"text": words})


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "`bad.jsonl` has 0 texts; calibration takes at least 8."),
        ([_text("w1 w2")] * 7 + [_text("")], "`bad.jsonl` has 7 texts; calibration takes at least 8."),
        ([_text("w1"), "", "w2"], "Line 3 of `bad.jsonl` is no text: The line is not JSON in UTF-8."),
        (
            [_text("w1"), '{"txt": "w2"}'],
            "Line 2 of `bad.jsonl` is no text: The line has no `text`.",
        ),
    ],
    ids=["empty", "few", "not-json", "no-text"],
)
def test_unusable_data_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    path = _lines(tmp_path / "bad.jsonl", *lines)
    found = make(tiny.write(tmp_path / "m"), tmp_path / "a", path)
    told = {"refused": "BAD_CALIBRATION_DATA", "reason": reason, "parameter": "calibrate.data"}
    assert found == {"failed": 0, **told}


def test_few_samples_are_enough_if_no_more_are_asked_for(tmp_path: Path) -> None:
    path = _lines(tmp_path / "few.jsonl", _text("w1 w2"), _text("w3"))
    assert "failed" not in make(tiny.write(tmp_path / "m"), tmp_path / "a", path, calibrate={"samples": 2})


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    weights = tiny.Weights.random()
    weights.embeddings[9], weights.cache_in[:] = 1e38, 100
    path = _lines(tmp_path / "bad.jsonl", _text("w1 w2"), "", _text("w3 w9"))
    assert make(tiny.write(tmp_path / "m", weights), tmp_path / "a", path) == {
        "failed": 0,
        "refused": "BAD_CALIBRATION_DATA",
        "reason": "The text on line 3 of `bad.jsonl` makes `context` NaN or infinite.",
        "parameter": "calibrate.data",
    }


def test_text_that_the_model_does_not_take_is_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "bad.jsonl", _text("w1 w2"), _text("w3 " * (bert.POSITIONS + 1)))
    found = make(bert.write(tmp_path / "m"), tmp_path / "a", path, calibrate={"maxTokens": 128})
    assert found["refused"] == "BAD_CALIBRATION_DATA"
    assert found["reason"].startswith("The text on line 2 of `bad.jsonl` does not go through the model: ")
    assert "/places" in found["reason"]
