"""Recipe steps on the example's model: the same bytes every time, an effect, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.steps.table import STEPS
from compiler.artifact.steps.versions import step_versions, tool_versions
from tests.artifact import encoder_graph, tiny
from tests.artifact.generating import generated
from tests.artifact.stepping import chained

OPTIMIZE = {"name": "optimize", "parameters": {"level": "extended"}}
DYNAMIC = {"name": "quantize/int8-dynamic", "parameters": {"scheme": "int8-dynamic", "perChannel": True}}
INT4 = {"name": "quantize/int4", "parameters": {"scheme": "int4", "blockSize": 32, "symmetric": False}}
INT8 = {"name": "quantize/int8", "parameters": {"scheme": "int8", "blockSize": 64, "symmetric": True}}

_BUILD = """
import json, sys
from pathlib import Path
from tests.artifact.stepping import chained
source, target, steps = sys.argv[1:]
print(json.dumps(chained(Path(source), Path(target), json.loads(steps))))
"""


@pytest.fixture
def model(repository: Path) -> Path:
    return repository / "blueprints" / "hello" / "models" / "pydoc-1.0"


def make(folder: Path, target: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    return chained(folder / "model.onnx", target / "model.onnx", list(steps))


def operators(folder: Path) -> dict[str, int]:
    return dict(graphs.operators(onnx.load(folder / "model.onnx")))


@pytest.mark.parametrize(
    ("steps", "made"),
    [
        ((DYNAMIC,), {"DynamicQuantizeLinear", "MatMulInteger", "GatherBlockQuantized"}),
        ((INT4,), {"MatMulNBits", "GatherBlockQuantized"}),
        ((INT8,), {"MatMulNBits", "GatherBlockQuantized"}),
        ((OPTIMIZE, DYNAMIC), {"DynamicQuantizeLinear", "MatMulInteger"}),
        ((OPTIMIZE, INT4), {"MatMulNBits", "GatherBlockQuantized"}),
    ],
    ids=["int8-dynamic", "int4", "int8", "optimize,int8-dynamic", "optimize,int4"],
)
def test_quantizes_every_weight_and_leaves_none_behind(
    model: Path, tmp_path: Path, steps: tuple[dict[str, Any], ...], made: set[str]
) -> None:
    result = make(model, tmp_path / "a", *steps)
    assert result["idle"] == []
    found = operators(tmp_path / "a")
    assert made <= set(found)
    assert "MatMul" not in found
    after = onnx.load(tmp_path / "a" / "model.onnx")
    read = {name for node in after.graph.node for name in node.input}
    assert [tensor.name for tensor in after.graph.initializer if tensor.name not in read] == []
    largest_float = max(t.ByteSize() for t in after.graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    assert largest_float < 256 * 1024
    assert result["weight_bytes"] == graphs.weight_bytes(after)


def test_optimize_fuses_and_keeps_the_model(model: Path, tmp_path: Path) -> None:
    before, result = operators(model), make(model, tmp_path / "a", OPTIMIZE)
    assert result["idle"] == []
    assert sum(operators(tmp_path / "a").values()) < sum(before.values())


def test_steps_without_effect_are_named(model: Path, tmp_path: Path) -> None:
    assert make(model, tmp_path / "a", OPTIMIZE, OPTIMIZE)["idle"] == [1]


def test_what_is_quantized_already_is_refused(model: Path, tmp_path: Path) -> None:
    for first, second in ((INT4, INT4), (DYNAMIC, INT8), (DYNAMIC, DYNAMIC)):
        result = make(model, tmp_path / first["name"] / second["name"], first, second)
        assert (result["failed"], result["refused"]) == (1, "STEP_INAPPLICABLE")
        assert "uantized already" in result["reason"]
        assert "`/model/layers.0/" in result["reason"]


def test_a_step_that_raises_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.onnx").write_bytes(b"garbage")
    result = make(tmp_path / "m", tmp_path / "a", OPTIMIZE, INT4)
    assert result["failed"] == 0
    assert result["reason"]
    assert "\n" not in result["reason"]


FIX_SHAPES = {"name": "fix-shapes", "parameters": {"dimensions": {"batch_size": 1}}}
CONVERT = {"name": "convert-opset", "parameters": {"opset": 23}}
EXTRACT = {
    "name": "extract",
    "parameters": {
        "inputs": ["input_ids", "attention_mask", *(f"past_key_values.0.{half}" for half in ("key", "value"))],
        "outputs": ["/model/layers.0/mlp/down_proj/MatMul/output_0", "present.0.key", "present.0.value"],
    },
}
ORT_FORMAT = {"name": "ort-format", "parameters": {}}


@pytest.mark.parametrize(
    "steps",
    [(OPTIMIZE, INT4), (OPTIMIZE, DYNAMIC), (INT8,), (FIX_SHAPES,), (CONVERT, OPTIMIZE), (EXTRACT,), (ORT_FORMAT,)],
    ids=["int4", "dynamic", "int8", "fix-shapes", "convert-opset", "extract", "ort-format"],
)
def test_same_bytes_in_another_folder_under_another_hash_seed(
    model: Path, tmp_path: Path, steps: tuple[dict[str, Any], ...]
) -> None:
    _same_bytes(model / "model.onnx", tmp_path, steps)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_same_fusions_in_another_folder_under_another_hash_seed(tmp_path: Path, kind: str) -> None:
    fuse = {"name": "optimize", "parameters": {"transformer": kind}}
    _same_bytes(encoder_graph.write(tmp_path / "encoder"), tmp_path, (fuse,))


def _same_bytes(source: Path, tmp_path: Path, steps: tuple[dict[str, Any], ...]) -> None:
    found = []
    for seed, place in (("1", "short"), ("4242", "a/rather/longer/place")):
        target = tmp_path / place / "model.onnx"
        target.parent.mkdir(parents=True)
        copy = tmp_path / place / "source.onnx"
        copy.write_bytes(source.read_bytes())
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(copy), str(target), json.dumps(steps)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            check=True,
        )
        made = {path.name: path.read_bytes() for path in target.parent.iterdir() if path != copy}
        found.append((done.stdout, made))
    assert found[0] == found[1]
    assert "model.onnx" in found[0][1]
    assert [name for name, data in found[0][1].items() if str(tmp_path).encode() in data] == []


def test_notes_of_the_maker_are_stripped(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    noted = onnx.load(folder / "model.onnx")
    noted.producer_name, noted.doc_string = "/home/someone/export.py", "made on a laptop"
    onnx.helper.set_model_props(noted, {"where": "/home/someone"})
    for node in noted.graph.node:
        node.doc_string = "/home/someone/model.py:12"
        node.metadata_props.add(key="trace", value="/home/someone")
    (folder / "model.onnx").write_bytes(noted.SerializeToString())
    make(folder, tmp_path / "a", INT4)
    assert b"someone" not in (tmp_path / "a" / "model.onnx").read_bytes()
    assert b"laptop" not in (tmp_path / "a" / "model.onnx").read_bytes()


@pytest.mark.parametrize("steps", [(OPTIMIZE, DYNAMIC), (OPTIMIZE, INT4)], ids=["dynamic", "int4"])
def test_large_models_keep_their_weights_beside_the_graph(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[dict[str, Any], ...]
) -> None:
    """The same logits as from one file. Large means more than a GiB, here more than 100 bytes."""
    make(model, tmp_path / "one", *steps)
    (tmp_path / "external").mkdir()
    whole = onnx.load(model / "model.onnx")
    onnx.save(whole, tmp_path / "external" / "model.onnx", save_as_external_data=True, location="weights.bin")
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    result = make(tmp_path / "external", tmp_path / "two", *steps)
    assert (tmp_path / "two" / "model.onnx").stat().st_size < (tmp_path / "two" / "model.onnx.data").stat().st_size
    assert result["weight_bytes"] == graphs.weight_bytes(onnx.load(tmp_path / "one" / "model.onnx"))
    ids = [3, 1, 4, 1, 5]
    found = []
    for name in ("one", "two"):
        (tmp_path / name / "genai_config.json").write_bytes((model / "genai_config.json").read_bytes())
        decoder = Decoder(tmp_path / name, threads=1)
        found.append(decoder(ids, 0, decoder.empty_cache())[0])
    assert np.array_equal(found[0], found[1])


def test_other_lookups_keep_their_tables(tmp_path: Path) -> None:
    """Rotary positions, learned positions: looked up by something else than the tokens."""
    made = tiny.graph(tiny.Weights.random())
    made.graph.initializer.append(numpy_helper.from_array(np.ones((24, 16), np.float32), "cos"))
    made.graph.node.append(onnx.helper.make_node("Gather", ["cos", "attention_mask"], ["positions"]))
    made.graph.output.append(onnx.helper.make_tensor_value_info("positions", onnx.TensorProto.FLOAT, None))
    made.graph.node.insert(0, onnx.helper.make_node("Cast", ["input_ids"], ["tokens"], to=onnx.TensorProto.INT32))
    made.graph.node[1].input[1] = "tokens"
    (tmp_path / "m").mkdir()
    onnx.save(made, tmp_path / "m" / "model.onnx")
    for name, step in (("a", DYNAMIC), ("b", INT4)):
        make(tmp_path / "m", tmp_path / name, step)
        nodes = [node for node in onnx.load(tmp_path / name / "model.onnx").graph.node if "Gather" in node.op_type]
        assert {node.output[0]: (node.op_type, node.input[1]) for node in nodes} == {
            "hidden": ("GatherBlockQuantized", "tokens"),
            "positions": ("Gather", "attention_mask"),
        }


@pytest.mark.parametrize("block_size", [16, 32], ids=["whole-blocks", "last-block-partial"])
def test_quantized_embeddings_run(tmp_path: Path, block_size: int) -> None:
    folder = tiny.write(tmp_path / "m")
    parameters = {"scheme": "int8", "blockSize": block_size}
    make(folder, tmp_path / "a", {"name": "quantize/int8", "parameters": parameters})
    (folder / "model.onnx").write_bytes((tmp_path / "a" / "model.onnx").read_bytes())
    decoder = Decoder(folder, threads=1)
    ids = list(range(20))
    assert decoder(ids, 0, decoder.empty_cache())[0] == pytest.approx(tiny.Weights.random().logits(ids), abs=0.8)


def test_versions_cover_the_table() -> None:
    assert step_versions() == {name: step.VERSION for name, step in STEPS.items()}
    assert set(tool_versions()) == {"numpy", "onnx", "onnx-ir", "onnxruntime", "slmc-artifact", "slmc-export"}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(OPTIMIZE, INT4), (OPTIMIZE, DYNAMIC), (INT8,)], ids=["int4", "dynamic", "int8"])
def test_onnxruntime_genai_generates_from_what_was_made(
    model: Path, tmp_path: Path, steps: tuple[dict[str, Any], ...]
) -> None:
    make(model, tmp_path / "a", *steps)
    for name in ("genai_config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "a" / name).write_bytes((model / name).read_bytes())
    assert "statement" in generated(tmp_path / "a", "The import statement")
