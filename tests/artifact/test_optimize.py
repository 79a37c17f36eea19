"""`optimize`: portable graphs, fusions that say what they found, weights that stay where quantizers look."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.steps import fusions
from tests.artifact import encoder_graph, tiny
from tests.artifact.stepping import applied

REFUSED = "STEP_INAPPLICABLE"


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return encoder_graph.write(tmp_path / "encoder")


@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_fuses_a_transformer_and_says_what(encoder: Path, tmp_path: Path, kind: str) -> None:
    made = applied("optimize", {"transformer": kind}, encoder, tmp_path / "a")
    fused = {"BiasGelu": 1, "MultiHeadAttention": 1, "SkipLayerNormalization": 2}
    assert made == {
        "graph": "model.onnx",
        "changed": True,
        "remarks": [],
        "report": {"nodes": {"before": 41, "after": 13}, "made": fused, "fused": fused},
        "weight_bytes": graphs.weight_bytes(onnx.load(tmp_path / "a" / "model.onnx")),
    }


@pytest.mark.parametrize("kind", ["bert", "vit", "bart", "gpt2", "t5"])
def test_fused_attention_heeds_padding_on_both_sides(encoder: Path, tmp_path: Path, kind: str) -> None:
    """The library's defaults turn the mask into a length (bert) or drop it (vit)."""
    applied("optimize", {"transformer": kind}, encoder, tmp_path / "a")
    found = encoder_graph.run(tmp_path / "a" / "model.onnx")
    assert found == pytest.approx(encoder_graph.run(encoder), abs=1e-5)
    assert np.abs(found).max() > 0.1


def test_weights_stay_where_quantizers_find_them(encoder: Path, tmp_path: Path) -> None:
    """Packed into Attention and EmbedLayerNormalization they would stay float32, without a word."""
    before = encoder_graph.operators(encoder)
    applied("optimize", {"transformer": "bert"}, encoder, tmp_path / "a")
    after = encoder_graph.operators(tmp_path / "a" / "model.onnx")
    products_of_activations = 2
    assert after["MatMul"] == before["MatMul"] - products_of_activations
    assert after["Gather"] == before["Gather"]
    made = applied("quantize/int8", {"scheme": "int8"}, tmp_path / "a" / "model.onnx", tmp_path / "b")
    assert made["changed"]
    quantized = encoder_graph.operators(tmp_path / "b" / "model.onnx")
    assert (quantized["MatMulNBits"], quantized["GatherBlockQuantized"]) == (6, 1)
    assert "MatMul" not in quantized


def test_fusions_that_find_nothing_are_named(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    made = applied("optimize", {"transformer": "bert"}, source, tmp_path / "a")
    assert made["remarks"] == [
        [
            "STEP_PARTIAL",
            "`transformer: bert` found no attention to fuse; it would have made `Attention`, `MultiHeadAttention`, "
            "`GroupQueryAttention`.",
        ],
        [
            "STEP_PARTIAL",
            "`transformer: bert` found no layer normalization to fuse; it would have made `LayerNormalization`, "
            "`SkipLayerNormalization`.",
        ],
        [
            "STEP_PARTIAL",
            "`transformer: bert` found no GELU to fuse; it would have made `Gelu`, `FastGelu`, `BiasGelu`, "
            "`QuickGelu`.",
        ],
    ]


def test_what_is_fused_already_is_said_to_be(encoder: Path, tmp_path: Path) -> None:
    applied("optimize", {"transformer": "bert"}, encoder, tmp_path / "a")
    made = applied("optimize", {"transformer": "bert"}, tmp_path / "a" / "model.onnx", tmp_path / "b")
    assert not made["changed"]
    assert [message for _, message in made["remarks"]] == [
        "`transformer: bert` found no attention to fuse; the graph had `MultiHeadAttention` already.",
        "`transformer: bert` found no layer normalization to fuse; the graph had `LayerNormalization`, "
        "`SkipLayerNormalization` already.",
        "`transformer: bert` found no GELU to fuse; the graph had `BiasGelu` already.",
    ]


@pytest.mark.parametrize(
    ("name", "config", "sizes"),
    [
        ("config.json", {"num_attention_heads": 4, "hidden_size": 64}, (4, 64)),
        ("config.json", {"n_head": 12, "n_embd": 768}, (12, 768)),
        ("config.json", {"num_heads": 8, "d_model": 512}, (8, 512)),
        ("genai_config.json", {"model": {"decoder": {"num_attention_heads": 6, "hidden_size": 192}}}, (6, 192)),
        ("config.json", {"num_attention_heads": 5, "hidden_size": 64}, (2, 16)),
        ("config.json", ["no object"], (2, 16)),
        ("README.md", {}, (2, 16)),
    ],
    ids=["bert", "gpt2", "t5", "genai", "does-not-divide", "broken", "by-the-graph"],
)
def test_sizes_of_attention(tmp_path: Path, name: str, config: object, sizes: tuple[int, int]) -> None:
    (tmp_path / name).write_text(json.dumps(config))
    assert fusions.sizes(encoder_graph.graph().graph, tmp_path) == sizes


@pytest.mark.parametrize(("heads", "size"), [(-1, 8), (2, -1)], ids=["heads-open", "size-open"])
def test_sizes_of_attention_that_the_exporter_left_to_reshape(tmp_path: Path, heads: int, size: int) -> None:
    graph = encoder_graph.graph().graph
    shape = next(tensor for tensor in graph.initializer if tensor.name == "heads_shape")
    parts = {"batch_size": 0, "length": 0, "heads": heads, "size": size}
    graph.initializer.remove(shape)
    graph.initializer.extend(numpy_helper.from_array(np.array([value]), name) for name, value in parts.items())
    graph.node.insert(0, helper.make_node("Concat", list(parts), ["heads_shape"], axis=0))
    assert fusions.sizes(graph, tmp_path) == (2, 16)


def test_sizes_of_attention_that_nothing_says(tmp_path: Path) -> None:
    assert fusions.sizes(tiny.graph(tiny.Weights.random()).graph, tmp_path) == (0, 0)


def test_a_graph_for_one_processor_is_refused(tmp_path: Path) -> None:
    """What level `all` makes of a convolution: channels in blocks as wide as this processor's vectors."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, 8, 8]) for name in "xy"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="/conv", domain="com.microsoft.nchwc")
    weight = numpy_helper.from_array(np.zeros((64, 64, 1, 1), np.float32), "w")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft.nchwc", 1)]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:], [weight]), opset_imports=opsets)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert applied("optimize", {}, tmp_path / "model.onnx", tmp_path / "a") == {
        "refused": REFUSED,
        "reason": "node `/conv` (`Conv`) is made for the processor that optimized the graph.",
    }


def test_half_precision_is_refused(tmp_path: Path) -> None:
    """On x86 onnxruntime writes casts to float32 around every such node, and they would go to every device."""
    model = tiny.graph(tiny.Weights.random())
    for tensor in model.graph.initializer:
        if tensor.name == "K":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), "K"))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert applied("optimize", {}, tmp_path / "model.onnx", tmp_path / "a") == {
        "refused": REFUSED,
        "reason": "node `/keys` (`MatMul`) computes on 16-bit floats; onnxruntime would write casts into the graph "
        "that only some processors need. `optimize` goes before `quantize: fp16`.",
    }


def test_fusions_that_fail_are_the_graphs_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.artifact.inference import runtime

    def fail(*_: object) -> None:
        raise TypeError("'method' object is not iterable")

    monkeypatch.setattr(runtime, "fuse_transformer", fail)
    source = tiny.write(tmp_path / "m") / "model.onnx"
    assert applied("optimize", {"transformer": "gpt2"}, source, tmp_path / "a") == {
        "refused": REFUSED,
        "reason": "onnxruntime's fusions for `gpt2` fail on this graph: TypeError: 'method' object is not iterable.",
    }


@pytest.mark.parametrize("transformer", [None, "bert"])
def test_weights_outside_the_graph_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transformer: str | None
) -> None:
    """The weights' order and places do not depend on where they came from. Large is here what has 100 bytes."""
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    whole, apart = tiny.write(tmp_path / "one"), tiny.write_external(tmp_path / "two")
    results = []
    for folder in (whole, apart):
        target = tmp_path / f"{folder.name}-made"
        applied("optimize", {"transformer": transformer}, folder / "model.onnx", target)
        results.append({path.name: path.read_bytes() for path in target.iterdir()})
    assert set(results[0]) == {"model.onnx", "model.onnx.data"}
    assert results[0] == results[1]


def test_unused_initializers_go(tmp_path: Path) -> None:
    model = tiny.graph(tiny.Weights.random())
    model.graph.initializer.append(numpy_helper.from_array(np.ones(500, np.float32), "dead"))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    applied("optimize", {}, tmp_path / "model.onnx", tmp_path / "a")
    names = [tensor.name for tensor in onnx.load(tmp_path / "a" / "model.onnx").graph.initializer]
    assert "dead" not in names
    assert {"E", "W"} <= set(names)
