"""`quantize` int4 and int8: onnxruntime's bits, in pieces of any size, and words for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.steps.quantization.blockwise import stream
from tests.artifact.products import TOKENS, applied, by_output, chain, model, node, run, tensors


@pytest.mark.parametrize("method", ["rtn", "k-quant", "hqq"])
def test_pieces_of_any_size_by_any_number_of_threads_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    made = _tied(chain(80, 100, 300, 80))
    found = set()
    for number, (room, slice_, threads) in enumerate([(2**23, 2**17, 2), (2**13, 2**9, 1), (2**14, 2**11, 5)]):
        for name, value in (("_MEMORY", room), ("_MOST", room), ("_LEAST", room), ("_SLICE", slice_), ("_EVEN", 32)):
            monkeypatch.setattr(stream, name, value)
        _, quantized = applied(
            made, tmp_path / str(number), "quantize/int4", threads, scheme="int4", method=method, blockSize=16
        )
        found.add(quantized.SerializeToString(deterministic=True))
    assert len(found) == 1


def _tied(made: Any) -> Any:
    """The model with a head that reads the embeddings, transposed."""
    made.graph.node[-1].output[0], made.graph.node[-1].name = "last", "/last"
    made.graph.node.extend([node("Transpose", ["E"], "Et"), node("MatMul", ["last", "Et"], "logits")])
    return made


@pytest.mark.parametrize("symmetric", [False, True], ids=["asymmetric", "symmetric"])
@pytest.mark.parametrize("embeddings", ["int8", "int4"])
@pytest.mark.parametrize("width", [64, 40], ids=["whole blocks", "last block not full"])
def test_embeddings_are_off_by_half_a_step_at_most(
    tmp_path: Path, symmetric: bool, embeddings: str, width: int
) -> None:
    made = model([node("Gather", ["E", "input_ids"], "logits")], {"E": tensors(chain(width, 8))["E"]})
    _, quantized = applied(
        made, tmp_path / "a", "quantize/int4", scheme="int4", embeddings=embeddings, symmetric=symmetric, blockSize=32
    )
    scales = np.repeat(np.abs(tensors(quantized)["E_scales"]), 32, axis=1)[:, :width]
    off = np.abs(run(quantized)[0] - run(made)[0])
    largest = 1 if symmetric else 0.5
    """The largest value of a symmetric block may lie a whole step beyond what there is room for."""
    assert (off <= scales * largest * 1.001).all()
    assert off.max() > 0
    assert {name.removeprefix("E_") for name in tensors(quantized)} == {
        f"Q{embeddings[-1]}", "scales", *([] if symmetric else ["zero_points"])
    }  # fmt: skip


def test_what_a_recipe_says_is_what_is_made(tmp_path: Path) -> None:
    """Both kinds of activations, and each of embeddings and head kept."""
    made = chain(64, 64, 32)
    found = {}
    for number, parameters in enumerate(
        [{}, {"activations": "float32"}, {"head": "keep"}, {"embeddings": "keep"}, {"embeddings": "int4"}]
    ):
        said, quantized = applied(made, tmp_path / str(number), "quantize/int4", scheme="int4", **parameters)
        assert said["remarks"] == []
        found[json.dumps(parameters)] = [
            (
                n.op_type,
                {a.name: helper.get_attribute_value(a) for a in n.attribute if a.name in ("bits", "accuracy_level")},
            )
            for n in quantized.graph.node
        ]
    product, lookup = ("MatMulNBits", {"bits": 4, "accuracy_level": 4}), ("GatherBlockQuantized", {"bits": 8})
    assert found == {
        "{}": [lookup, product, product],
        '{"activations": "float32"}': [lookup, *[("MatMulNBits", {"bits": 4})] * 2],
        '{"head": "keep"}': [lookup, product, ("MatMul", {})],
        '{"embeddings": "keep"}': [("Gather", {}), product, product],
        '{"embeddings": "int4"}': [("GatherBlockQuantized", {"bits": 4}), product, product],
    }


def test_gemm_with_bias_and_turned_weights(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    constants = {
        "E": draw.standard_normal((TOKENS, 64)).astype(np.float32),
        "W": draw.standard_normal((48, 64)).astype(np.float32),
        "b": draw.standard_normal(48).astype(np.float32) * 10,
        "axes": np.array([0]),
    }
    nodes = [node("Gather", ["E", "input_ids"], "h"), node("Squeeze", ["h", "axes"], "flat")]
    gemm = model([*nodes, node("Gemm", ["flat", "W", "b"], "logits", transB=1)], constants)
    said, quantized = applied(gemm, tmp_path / "a", "quantize/int8", scheme="int8", embeddings="keep")
    assert said["remarks"] == []
    assert [n.op_type for n in quantized.graph.node] == ["Gather", "Squeeze", "MatMulNBits", "Add"]
    assert run(quantized) == pytest.approx(run(gemm), abs=0.4)
    turned = {name.replace("W_transposed", "V"): array for name, array in tensors(quantized).items()}
    straight = model(
        [*nodes, node("MatMul", ["flat", "V"], "logits")],
        {"E": constants["E"], "axes": constants["axes"], "V": np.ascontiguousarray(constants["W"].T)},
    )
    _, same = applied(straight, tmp_path / "b", "quantize/int8", scheme="int8", embeddings="keep")
    assert {n: a.tobytes() for n, a in turned.items() if n.startswith("V_")} == {
        n: a.tobytes() for n, a in tensors(same).items() if n.startswith("V_")
    }


def test_a_tied_head_is_quantized_and_said_to_be_stored_twice(tmp_path: Path) -> None:
    made = _tied(chain(64, 64, 64))
    said, quantized = applied(made, tmp_path / "a", "quantize/int8", scheme="int8")
    assert said["remarks"] == [
        ["STEP_PARTIAL", "`E` is stored twice: as embeddings and, turned, as weights of a product."]
    ]
    assert [n.op_type for n in quantized.graph.node] == ["GatherBlockQuantized", *["MatMulNBits"] * 3]
    assert "E" not in tensors(quantized)
    assert np.abs(run(quantized) - run(made)).max() < 0.02 * np.abs(run(made)).max()
    said, kept = applied(made, tmp_path / "b", "quantize/int8", scheme="int8", head="keep")
    assert said["remarks"][0][1].startswith("`E` stays as it was beside its quantized form: the head")
    assert {"E", "E_Q8"} <= set(tensors(kept))


def test_products_in_the_branches_of_an_if(tmp_path: Path) -> None:
    """With weights of the graph around them, and of their own."""
    outer = chain(32, 32, 32)
    own = numpy_helper.from_array(tensors(chain(32, 32, seed=9))["W1"], "own")
    output = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    one = helper.make_graph([node("MatMul", ["h1", "W2"], "out")], "one", [], output)
    two = helper.make_graph([node("MatMul", ["h1", "own"], "out")], "two", [], output, [own])
    del outer.graph.node[-1]
    outer.graph.initializer.append(numpy_helper.from_array(np.array(False), "no"))
    outer.graph.node.append(node("If", ["no"], "logits", then_branch=one, else_branch=two))
    _, quantized = applied(outer, tmp_path / "a", "quantize/int8", scheme="int8")
    assert graphs.operators(quantized) == {"GatherBlockQuantized": 1, "MatMulNBits": 3, "If": 1}
    inner = [[tensor.name for tensor in graph.initializer] for graph in graphs.all_graphs(quantized.graph)]
    assert sorted(map(len, inner)) == [0, 3, 10]
    assert run(quantized) == pytest.approx(run(outer), abs=0.1)


def test_what_is_left_is_named(tmp_path: Path) -> None:
    made = chain(32, 32, 32)
    made.graph.node[-1].output[0], made.graph.node[-1].name = "h2", "/h2"
    stacked = np.ones((2, 32, 32), np.float32)
    made.graph.initializer.append(numpy_helper.from_array(stacked, "S"))
    made.graph.node.extend([node("MatMul", ["h2", "S"], "logits")])
    made.graph.node[0].input[1] = "other_ids"
    made.graph.input[0].name = "other_ids"
    said, quantized = applied(made, tmp_path / "a", "quantize/int4", scheme="int4", head="keep")
    assert [sentence for _, sentence in said["remarks"]] == [
        "Left as they are: `/logits` (its weights have 3 dimensions).",
        "No embeddings were quantized: no Gather looks up `input_ids` in a constant float matrix.",
        "`head: keep` kept nothing: no product with constant weights gives an output `logits`.",
    ]
    assert graphs.operators(quantized) == {"Gather": 1, "MatMulNBits": 2, "MatMul": 1}


def test_refuses_what_is_quantized_already(tmp_path: Path) -> None:
    _, once = applied(chain(32, 32, 32), tmp_path / "a", "quantize/int4", scheme="int4")
    said, _ = applied(once, tmp_path / "b", "quantize/int8", scheme="int8")
    assert said == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "Quantized already: `/h1_Q4`, `/logits_Q4`; nothing else is left to quantize.",
    }


def test_a_second_step_takes_what_the_first_one_kept(tmp_path: Path) -> None:
    _, once = applied(chain(32, 32, 32), tmp_path / "a", "quantize/int4", scheme="int4", head="keep", embeddings="keep")
    said, twice = applied(once, tmp_path / "b", "quantize/int8", scheme="int8")
    assert said["changed"]
    assert {n: list(e.input)[1] for n, e in by_output(twice).items()} == {
        "h0": "input_ids", "h1": "W1_Q4", "logits": "W2_Q8"
    }  # fmt: skip


def test_refuses_a_graph_without_constant_products(tmp_path: Path) -> None:
    made = model([node("Gather", ["E", "input_ids"], "logits")], {"E": np.ones((TOKENS, 4, 2), np.float32)})
    said, _ = applied(made, tmp_path / "a", "quantize/int4", scheme="int4")
    assert said["reason"] == "No node multiplies matrices; the last one, `/logits`, is Gather."


@pytest.mark.parametrize("method", ["rtn", "k-quant", "hqq"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W2", "E"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, method: str, value: float, name: str) -> None:
    made = chain(64, 64, 64)
    for tensor in made.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            array[11, 13] = value
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    said, _ = applied(made, tmp_path / "a", "quantize/int4", scheme="int4", method=method)
    assert said == {
        "refused": "NON_FINITE_WEIGHTS",
        "reason": f"`{name}` has weights that are NaN or infinite.",
    }


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"scheme": "int4", "method": "k-quant", "symmetric": True}, "which `symmetric: true` does without"),
        ({"scheme": "int4", "method": "hqq", "symmetric": True}, "which `symmetric: true` does without"),
        ({"scheme": "int8", "method": "hqq"}, "with 4 bits only"),
        ({"scheme": "int4", "method": "gptq"}, "needs texts"),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    said, _ = applied(chain(32, 32), tmp_path / "a", f"quantize/{parameters['scheme']}", **parameters)
    assert said["refused"] == "STEP_INAPPLICABLE"
    assert words in said["reason"]


def test_hqq_finds_better_blocks_than_rounding(tmp_path: Path) -> None:
    """By the norm that it minimizes, of weights with outliers, as the runtime multiplies with them."""
    made = chain(128, 128)
    weights = np.random.default_rng(4).standard_t(3, (128, 128)).astype(np.float32)
    lookup = {"E": np.eye(TOKENS, 128, dtype=np.float32), "W1": weights}
    made = model(list(made.graph.node), lookup)
    errors = {}
    for method in ("rtn", "hqq"):
        _, quantized = applied(
            made,
            tmp_path / method,
            "quantize/int4",
            scheme="int4",
            method=method,
            embeddings="keep",
            activations="float32",
        )
        errors[method] = float((np.abs(run(quantized) - run(made)) ** 0.7).sum())
    assert errors["hqq"] < 0.97 * errors["rtn"]
    assert errors["hqq"] > 0


def test_float16_weights_keep_their_type(tmp_path: Path) -> None:
    made = chain(64, 64, 64, kind=np.float16)
    _, quantized = applied(made, tmp_path / "a", "quantize/int8", scheme="int8")
    assert {array.dtype for name, array in tensors(quantized).items() if name.endswith("_scales")} == {
        np.dtype(np.float16)
    }
    found = run(quantized)
    assert found.dtype == np.float16
    assert found == pytest.approx(run(made), abs=0.2)
