"""Calibration on a graph whose configuration is not the model's own, but what an earlier step left beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from compiler.artifact.steps.apply import apply_step
from tests.artifact.stepping import chained

CALIBRATE = {"samples": 8, "maxTokens": 20}
SCHEMES = [
    ("quantize/int4", {"scheme": "int4", "method": "gptq", "calibrate": CALIBRATE}),
    ("quantize/int8-static", {"scheme": "int8-static", "calibrate": CALIBRATE}),
    (
        "quantize/mixed",
        {"scheme": "mixed", "calibrate": CALIBRATE, "target": {"klDivergence": 0.1}},
    ),
]


@pytest.fixture
def hello(repository: Path) -> Path:
    return repository / "blueprints" / "hello"


@pytest.mark.parametrize(("name", "parameters"), SCHEMES, ids=[name for name, _ in SCHEMES])
def test_a_packaged_graph_has_its_configuration_and_tokenizer_beside_it(
    tmp_path: Path, hello: Path, name: str, parameters: dict[str, Any]
) -> None:
    """As `package` leaves it: the folder of the model has neither, only weights."""
    for folder in ("checkpoint", "made", "scratch"):
        (tmp_path / folder).mkdir()
    shutil.copytree(hello / "models" / "pydoc-1.0", tmp_path / "packaged", copy_function=shutil.copyfile)
    bench = {
        "model": str(tmp_path / "checkpoint"),
        "scratch": str(tmp_path / "scratch"),
        "threads": 2,
        "files": {"calibrate.data": str(hello / "data" / "heldout.jsonl")},
        "before": 1,
    }
    source = tmp_path / "packaged" / "model.onnx"
    made = apply_step(name, parameters, str(source), str(tmp_path / "made"), bench, lambda share: None)
    assert made.get("reason") is None
    assert made["weight_bytes"] < 0.7 * source.stat().st_size
    for kept in ("genai_config.json", "tokenizer.json"):
        assert (tmp_path / "made" / kept).read_bytes() == (tmp_path / "packaged" / kept).read_bytes()


def test_a_decoder_that_lost_heads_is_calibrated_with_those_that_are_left(tmp_path: Path, hello: Path) -> None:
    """Its graph leaves the heads of the cache to the configuration, which the step has changed."""
    model = shutil.copytree(hello / "models" / "pydoc-1.0", tmp_path / "model", copy_function=shutil.copyfile)
    _open_heads(model / "model.onnx")
    steps = [
        {"name": "prune/heads", "parameters": {"method": "heads", "share": 0.5}},
        {"name": "optimize", "parameters": {}},
        {
            "name": SCHEMES[0][0],
            "parameters": SCHEMES[0][1],
            "files": {"calibrate.data": str(hello / "data" / "heldout.jsonl")},
        },
    ]
    made = chained(model / "model.onnx", tmp_path / "made" / "model.onnx", steps)
    assert made.get("reason") is None
    config = json.loads((tmp_path / "made" / "genai_config.json").read_bytes())["model"]["decoder"]
    assert (config["num_key_value_heads"], config["num_attention_heads"]) == (1, 3)


def test_a_graph_of_float16_is_calibrated_too(tmp_path: Path, hello: Path) -> None:
    files = {"files": {"calibrate.data": str(hello / "data" / "heldout.jsonl")}}
    steps = [
        {"name": "quantize/fp16", "parameters": {"scheme": "fp16"}},
        {"name": SCHEMES[0][0], "parameters": SCHEMES[0][1], **files},
    ]
    made = chained(hello / "models" / "pydoc-1.0" / "model.onnx", tmp_path / "made" / "model.onnx", steps)
    assert (made.get("reason"), made.get("idle")) == (None, [])


def _open_heads(graph: Path) -> None:
    model = onnx.load(graph)
    for value in (*model.graph.input, *model.graph.output):
        if "." in value.name:
            value.type.tensor_type.shape.dim[1].dim_param = "heads"
    onnx.save(model, graph)
