"""`ort-format`: a file that onnxruntime loads and that is the same every time, with the operators it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compiler.artifact.graph import ort_file
from compiler.artifact.inference import runtime
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.inference.encoder import Encoder
from compiler.artifact.store.store import Store
from compiler.fleet.graph import Recipe, Step
from tests.artifact import encoder_graph, tiny
from tests.artifact.building import built
from tests.artifact.generating import generated
from tests.artifact.stepping import applied
from tests.values import MODEL, PLACE

IDS = [3, 1, 4, 1, 5]


@pytest.fixture
def example(repository: Path) -> Path:
    return repository / "blueprints" / "hello" / "models" / "pydoc-1.0"


def logits(folder: Path) -> Any:
    decoder = Decoder(folder, threads=1)
    return decoder(IDS, 0, decoder.empty_cache())[0]


def test_the_decoder_runs_from_it(example: Path, tmp_path: Path) -> None:
    made = applied("ort-format", {}, example / "model.onnx", tmp_path / "a")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"model.ort", "required_operators.config", "genai_config.json"}
    assert (made["graph"], made["changed"], made["remarks"]) == ("model.ort", True, [])
    assert made["weight_bytes"] == (tmp_path / "a" / "model.ort").stat().st_size
    assert logits(tmp_path / "a") == pytest.approx(logits(example), abs=1e-4)


def test_the_configuration_differs_in_the_name_alone(example: Path, tmp_path: Path) -> None:
    applied("ort-format", {}, example / "model.onnx", tmp_path / "a")
    before, after = (json.loads((folder / "genai_config.json").read_bytes()) for folder in (example, tmp_path / "a"))
    assert after["model"]["decoder"].pop("filename") == "model.ort"
    assert before["model"]["decoder"].pop("filename") == "model.onnx"
    assert after == before


def test_operators_for_a_reduced_build(example: Path, tmp_path: Path) -> None:
    made = applied("ort-format", {}, example / "model.onnx", tmp_path / "a")
    text = (tmp_path / "a" / "required_operators.config").read_text()
    assert text == (
        "# Operators of model.ort\n"
        "ai.onnx;1;SimplifiedLayerNormalization\n"
        "ai.onnx;13;Gather,MatMul,ReduceSum\n"
        "ai.onnx;14;Mul,Sub\n"
        "ai.onnx;21;Cast,Shape\n"
        "com.microsoft;1;GroupQueryAttention,QuickGelu,SkipSimplifiedLayerNormalization\n"
    )
    from onnxruntime.tools.reduced_build_config_parser import parse_config

    required, _ = parse_config(str(tmp_path / "a" / "required_operators.config"))
    listed = {domain: {int(v): sorted(names) for v, names in versions.items()} for domain, versions in required.items()}
    assert listed == {d: {int(v): names for v, names in of.items()} for d, of in made["report"]["operators"].items()}


def test_onnxruntime_writes_its_table_in_any_order_and_this_does_not(example: Path, tmp_path: Path) -> None:
    """Put another order into the table, as another run of onnxruntime would, and settle both."""
    written = tmp_path / "written.ort"
    runtime.save_optimized(example / "model.onnx", written, "extended", ort=True)
    ort_file.settle(written, tmp_path / "one.ort")
    swapped = bytearray(written.read_bytes())
    resolver = runtime.ort_schema().InferenceSession.InferenceSession.GetRootAs(swapped, 0).KernelTypeStrResolver()
    first, last = (resolver._tab.Vector(resolver._tab.Offset(4)) + 4 * number for number in (0, 1))
    offsets = [int.from_bytes(swapped[at : at + 4], "little") + at for at in (first, last)]
    for at, offset in zip((first, last), reversed(offsets), strict=True):
        swapped[at : at + 4] = (offset - at).to_bytes(4, "little")
    (tmp_path / "swapped.ort").write_bytes(swapped)
    ort_file.settle(tmp_path / "swapped.ort", tmp_path / "two.ort")
    assert swapped != written.read_bytes()
    assert (tmp_path / "one.ort").read_bytes() == (tmp_path / "two.ort").read_bytes()


def test_an_encoder_has_no_configuration(tmp_path: Path) -> None:
    source = encoder_graph.write(tmp_path / "m")
    (source.parent / "tokenizer.json").write_bytes((tiny.write(tmp_path / "t") / "tokenizer.json").read_bytes())
    applied("ort-format", {}, source, tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"model.ort", "required_operators.config"}
    (tmp_path / "a" / "tokenizer.json").write_bytes((source.parent / "tokenizer.json").read_bytes())
    found = [next(iter(Encoder(folder, 1).embeddings(["w1 w2 w3"]))) for folder in (source.parent, tmp_path / "a")]
    assert found[1] == pytest.approx(found[0], abs=1e-5)


def test_weights_beside_the_graph_go_into_it(tmp_path: Path) -> None:
    source = tiny.write_external(tmp_path / "m") / "model.onnx"
    applied("ort-format", {}, source, tmp_path / "a")
    assert logits(tmp_path / "a") == pytest.approx(tiny.Weights.random().logits(IDS), abs=1e-4)


def test_more_than_the_format_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    monkeypatch.setattr(ort_file, "LARGEST", 4096)
    assert applied("ort-format", {}, source, tmp_path / "a") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "the graph has 0.0 GiB of weights; onnxruntime's own format ends at 2 GiB.",
    }


def test_half_precision_is_remarked(tmp_path: Path) -> None:
    model = tiny.graph(tiny.Weights.random())
    for tensor in model.graph.initializer:
        if tensor.name == "E":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), "E"))
    model.graph.node[0].output[0] = "half"
    model.graph.node.insert(1, onnx.helper.make_node("Cast", ["half"], ["hidden"], to=onnx.TensorProto.FLOAT))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    made = applied("ort-format", {}, tmp_path / "model.onnx", tmp_path / "a")
    assert [code for code, _ in made["remarks"]] == ["STEP_PARTIAL"]
    assert "node `/hidden` computes on 16-bit floats" in made["remarks"][0][1]


def test_nothing_reads_it_but_a_runtime(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    applied("ort-format", {}, source, tmp_path / "a")
    assert applied("optimize", {}, tmp_path / "a" / "model.ort", tmp_path / "b") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "`model.ort` is the format of a runtime; the other steps go before that one.",
    }


@pytest.mark.slow
@pytest.mark.parametrize("at", ["", "onnx/"], ids=["beside", "below"])
def test_an_artifact_in_it_is_built_and_measured(workspace: Path, store: Store, at: str) -> None:
    folder = workspace / MODEL.source
    if at:
        said = json.loads((folder / "genai_config.json").read_bytes())
        said["model"]["decoder"]["filename"] = f"{at}model.onnx"
        (folder / "genai_config.json").write_text(json.dumps(said))
        (folder / at).mkdir()
        (folder / "model.onnx").rename(folder / at / "model.onnx")
    recipe = Recipe("mobile", (Step("ort-format", {}, PLACE),), (), PLACE)
    artifacts, diagnostics, _ = built(workspace, store, recipe)
    assert diagnostics == []
    [artifact] = artifacts.artifacts.values()
    assert {file.name for file in artifact.files} == {
        f"{at}model.ort",
        f"{at}required_operators.config",
        "genai_config.json",
        "tokenizer.json",
        "LICENSE",
    }
    assert artifact.quality.figures["klDivergence"].value == 0


@pytest.mark.slow
def test_onnxruntime_genai_generates_from_it(example: Path, tmp_path: Path) -> None:
    applied("ort-format", {}, example / "model.onnx", tmp_path / "a")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "a" / name).write_bytes((example / name).read_bytes())
    assert "statement" in generated(tmp_path / "a", "The import statement")
