"""`fix-shapes`: names become numbers everywhere, and numbers that contradict the graph are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from compiler.artifact.graph import graphs
from tests.artifact import encoder_graph, tiny
from tests.artifact.stepping import applied


def shapes(model: Path) -> dict[str, list[Any]]:
    graph = onnx.load(model).graph
    return {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def without_logits(folder: Path) -> Path:
    """A graph with a cache that generates no text: its sizes may be fixed."""
    source = tiny.write(folder) / "model.onnx"
    model = onnx.load(source)
    [logits] = [value for value in model.graph.output if value.name == "logits"]
    model.graph.output.remove(logits)
    onnx.save(model, source)
    return source


def test_inputs_and_outputs_get_their_sizes(tmp_path: Path) -> None:
    source = encoder_graph.write(tmp_path / "m")
    made = applied("fix-shapes", {"dimensions": {"batch": 2, "sequence": 8}}, source, tmp_path / "a")
    assert made == {
        "graph": "model.onnx",
        "changed": True,
        "remarks": [],
        "report": {"dimensions": {"batch": 2, "sequence": 8}},
        "weight_bytes": graphs.weight_bytes(onnx.load(source)),
    }
    assert shapes(tmp_path / "a" / "model.onnx") == {
        "input_ids": [2, 8],
        "attention_mask": [2, 8],
        "last_hidden_state": [2, 8, 16],
    }
    assert encoder_graph.run(tmp_path / "a" / "model.onnx") == pytest.approx(encoder_graph.run(source), abs=1e-5)


def test_output_sizes_that_follow_are_filled_in(tmp_path: Path) -> None:
    """`total` is the sum of two; as an output it follows, as an input it has to be given."""
    source = without_logits(tmp_path / "m")
    made = applied("fix-shapes", {"dimensions": {"batch": 1, "past": 3, "new": 2}}, source, tmp_path / "a")
    assert made["remarks"] == [["STEP_PARTIAL", "dimensions that stay open: `total` (of `attention_mask`)."]]
    assert shapes(tmp_path / "a" / "model.onnx") == {
        "input_ids": [1, 2],
        "attention_mask": [1, "total"],
        "past_key_values.0.key": [1, 1, 3, 4],
        "past_key_values.0.value": [1, 1, 3, 4],
        "present.0.key": [1, 1, 5, 4],
        "present.0.value": [1, 1, 5, 4],
    }


GROWS = (
    "cannot be fixed: a text generator with a cache (`past_key_values.0.key`) gets a text at once and then one token "
    "at a time."
)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"new": 1}, f"`new` of input `input_ids` {GROWS}"),
        ({"past": 8}, f"`past` of input `past_key_values.0.key` {GROWS}"),
        ({"total": 9}, f"`total` of input `attention_mask` {GROWS}"),
        ({"batch": 2}, "`batch` of input `input_ids` can be 1 alone: one text is generated at a time."),
    ],
)
def test_a_generator_s_texts_are_of_any_length(tmp_path: Path, sizes: dict[str, int], why: str) -> None:
    made = applied("fix-shapes", {"dimensions": sizes}, tiny.write(tmp_path / "m") / "model.onnx", tmp_path / "a")
    assert made == {"refused": "STEP_INAPPLICABLE", "reason": why, "parameter": f"dimensions.{next(iter(sizes))}"}


def test_a_name_that_the_graph_does_not_have(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    assert applied("fix-shapes", {"dimensions": {"batch_size": 1, "new": 1}}, source, tmp_path / "a") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "no input or output has a dimension `batch_size`; it has `batch`, `new`, `total`, `past`.",
        "parameter": "dimensions",
    }
    assert list((tmp_path / "a").iterdir()) == []


def test_a_graph_whose_sizes_are_fixed(tmp_path: Path) -> None:
    source = encoder_graph.write(tmp_path / "m")
    applied("fix-shapes", {"dimensions": {"batch": 1, "sequence": 8}}, source, tmp_path / "a")
    again = applied("fix-shapes", {"dimensions": {"batch": 1}}, tmp_path / "a" / "model.onnx", tmp_path / "b")
    assert again["reason"] == (
        "no input or output has a dimension `batch`; all of its dimensions are fixed or have no name."
    )


def test_numbers_that_contradict_the_graph(tmp_path: Path) -> None:
    source = without_logits(tmp_path / "m")
    sizes = {"batch": 1, "past": 3, "new": 2, "total": 9}
    assert applied("fix-shapes", {"dimensions": sizes}, source, tmp_path / "a") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "the numbers contradict the graph: node `/present.0.key`: Inferred shape and existing shape differ "
        "in dimension 2: (5) vs (9).",
    }


def test_dimensions_without_a_name_are_told(tmp_path: Path) -> None:
    model = encoder_graph.graph()
    model.graph.input[0].type.tensor_type.shape.dim[1].Clear()
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    made = applied("fix-shapes", {"dimensions": {"batch": 1}}, tmp_path / "model.onnx", tmp_path / "a")
    assert made["remarks"] == [
        [
            "STEP_PARTIAL",
            "dimensions that stay open: `sequence` (of `attention_mask`), dimension 1 of `input_ids`, which has no "
            "name.",
        ]
    ]


def test_what_an_exporter_wrote_about_inner_values_decides_nothing(tmp_path: Path, repository: Path) -> None:
    """The model builder of onnxruntime-genai gives its constants the wrong rank."""
    source = repository / "blueprints" / "hello" / "models" / "pydoc-1.0" / "model.onnx"
    made = applied("fix-shapes", {"dimensions": {"batch_size": 1}}, source, tmp_path / "a")
    assert made["changed"]
    assert shapes(tmp_path / "a" / "model.onnx")["input_ids"] == [1, "sequence_length"]


def test_weights_outside_the_graph_are_copied_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    source = tiny.write_external(tmp_path / "m") / "model.onnx"
    applied("fix-shapes", {"dimensions": {"batch": 1}}, source, tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"model.onnx", "model.onnx.data"}
    before, after = onnx.load(source), onnx.load(tmp_path / "a" / "model.onnx")
    assert [onnx.numpy_helper.to_array(tensor).tolist() for tensor in after.graph.initializer] == [
        onnx.numpy_helper.to_array(tensor).tolist() for tensor in before.graph.initializer
    ]
