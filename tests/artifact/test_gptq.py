"""`method: gptq`: what rounding costs, made up for on texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.steps import quantize_blockwise
from tests.artifact.products import applied, chain
from tests.artifact.stepping import chained


@pytest.mark.slow
def test_gptq_comes_closer_than_rounding_and_is_not_promised_to_be_the_same_everywhere(
    tmp_path: Path, repository: Path
) -> None:
    """By the KL divergence from the original's predictions, on other texts than those it is calibrated on."""
    hello = repository / "blueprints" / "hello"
    lines = (hello / "data" / "heldout.jsonl").read_text().splitlines()
    (tmp_path / "texts.jsonl").write_text("\n".join(lines[:-6]))
    held = [json.loads(line)["text"] for line in lines[-6:]]
    expected, found = log_probabilities(hello / "models" / "pydoc-1.0", held), {}
    for method in ("rtn", "gptq"):
        step = {
            "name": "quantize/int4",
            "parameters": {"scheme": "int4", "method": method, "calibrate": {"samples": 20, "maxTokens": 100}},
            "files": {"calibrate.data": str(tmp_path / "texts.jsonl")},
        }
        made = chained(hello / "models" / "pydoc-1.0" / "model.onnx", tmp_path / method / "model.onnx", [step])
        assert made["idle"] == []
        config = (hello / "models" / "pydoc-1.0" / "genai_config.json").read_bytes()
        (tmp_path / method / "genai_config.json").write_bytes(config)
        (tmp_path / method / "tokenizer.json").symlink_to(hello / "models" / "pydoc-1.0" / "tokenizer.json")
        got = log_probabilities(tmp_path / method, held)
        found[method] = float((np.exp(expected) * (expected - got)).sum(axis=1).mean())
    assert 0 < found["gptq"] < 0.75 * found["rtn"]
    promise = quantize_blockwise.REPRODUCIBLE
    assert [promise(quantize_blockwise.Configuration("int4", method)) for method in ("rtn", "gptq")] == [True, False]


def log_probabilities(folder: Path, texts: list[str]) -> Any:
    """Of every next token in these texts, float64: tokens × words."""
    decoder, tokenizer = Decoder(folder, threads=1), Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = []
    for text in texts:
        logits = decoder(tokenizer.encode(text).ids[:200], 0, decoder.empty_cache())[0].astype(np.float64)
        logits = logits.reshape(-1, logits.shape[-1])
        logits -= logits.max(axis=1, keepdims=True)
        rows.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "`texts.jsonl` has 0 texts; calibration takes at least 8."),
        ("{}", "Line 1 of `texts.jsonl` is no text: The line has no `text`."),
    ],
)
def test_texts_that_cannot_be_used(tmp_path: Path, repository: Path, line: str, words: str) -> None:
    (tmp_path / "texts.jsonl").write_text(line)
    model = repository / "blueprints" / "hello" / "models" / "pydoc-1.0" / "model.onnx"
    step = {
        "name": "quantize/int4",
        "parameters": {"scheme": "int4", "method": "gptq"},
        "files": {"calibrate.data": str(tmp_path / "texts.jsonl")},
    }
    result = chained(model, tmp_path / "a" / "model.onnx", [step])
    told = {"refused": "BAD_CALIBRATION_DATA", "reason": words, "parameter": "calibrate.data"}
    assert result == {"failed": 0, **told}


def test_without_texts_it_is_refused(tmp_path: Path) -> None:
    said, _ = applied(chain(32, 32), tmp_path / "a", "quantize/int4", scheme="int4", method="gptq")
    assert said["reason"] == "`method: gptq` needs texts: `calibrate: {data: …}`."
