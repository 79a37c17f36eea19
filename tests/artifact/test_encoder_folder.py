"""What an encoder's folder has to be: a graph with the inputs and outputs of its task, labels, a length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.artifact.inference.encoder import Encoder
from compiler.artifact.model.export import export
from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny_bert

EMBEDDINGS, CLASSIFICATION = "embeddings", "text-classification"
UNSUPPORTED, NOT_ONNX = "UNSUPPORTED_MODEL", "NOT_ONNX"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """By task, the files of a folder."""
    found = {}
    for task, labels in ((EMBEDDINGS, 0), (CLASSIFICATION, 3)):
        folder = tmp_path_factory.mktemp(task)
        names = {"id2label": {"0": "no", "1": "yes", "2": "perhaps"}} if labels else {}
        source = tiny_bert.write(folder / "m", tiny_bert.weights(labels), **names)
        (folder / "e").mkdir()
        assert export(str(source), task, str(folder / "e")) == {}
        found[task] = {path.name: path.read_bytes() for path in (folder / "e").iterdir()}
    return found


Edit = Callable[[Path], None]


def graph(change: Callable[[Any], None]) -> Edit:
    def edit(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model.graph)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return edit


def config(**changes: Any) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def write(name: str, value: Any) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).write_text(json.dumps(value))

    return edit


def renamed(old: str, new: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        for value in (*graph.input, *graph.output):
            value.name = new if value.name == old else value.name
        for node in graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return change


LENGTH = tiny_bert.POSITIONS - 1


def fixed(graph: Any) -> None:
    for value in graph.input:
        value.type.tensor_type.shape.dim[1].dim_value = LENGTH


def summed(graph: Any) -> None:
    """One number for all texts and tokens."""
    name = graph.output[0].name
    graph.node[-1].output[0] = "all"
    graph.node.append(helper.make_node("ReduceSum", ["all"], [name], keepdims=0))
    graph.output[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))


def not_a_number(graph: Any) -> None:
    name = graph.output[0].name
    graph.node[-1].output[0] = "all"
    graph.node.append(helper.make_node("Sub", ["all", "all"], ["nothing"]))
    graph.node.append(helper.make_node("Div", ["nothing", "nothing"], [name]))


def operator(graph: Any) -> None:
    graph.node[3].op_type = "NoSuchOperator"


def inspected(folder: Path, files: dict[str, bytes], task: str, edit: Edit) -> dict[str, Any]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    edit(folder)
    return inspect(str(folder), task)


@pytest.mark.parametrize(
    ("task", "edit", "code", "message"),
    [
        (
            EMBEDDINGS,
            graph(renamed("input_ids", "tokens")),
            UNSUPPORTED,
            "`model.onnx` has no input `input_ids`; embeddings needs one.",
        ),
        (
            EMBEDDINGS,
            graph(renamed("token_type_ids", "pixels")),
            UNSUPPORTED,
            "`model.onnx` has an input `pixels`; an encoder has input_ids, attention_mask, token_type_ids, "
            "position_ids at most.",
        ),
        (
            CLASSIFICATION,
            graph(renamed("logits", "scores")),
            UNSUPPORTED,
            "`model.onnx` has no output `logits`; text-classification needs one.",
        ),
        (
            CLASSIFICATION,
            config(id2label={"0": "no", "1": "yes"}),
            UNSUPPORTED,
            "`model.onnx` has scores for 3 labels; `config.json` names 2.",
        ),
        (
            CLASSIFICATION,
            config(id2label={"1": "no", "2": "yes"}),
            UNSUPPORTED,
            "`config.json` has no `id2label` that names a label for each number from 0 on.",
        ),
        (
            CLASSIFICATION,
            config(id2label=None),
            UNSUPPORTED,
            "`config.json` has no `id2label` that names a label for each number from 0 on.",
        ),
        (
            EMBEDDINGS,
            config(max_position_embeddings="12"),
            UNSUPPORTED,
            "`config.json` has no usable `max_position_embeddings`.",
        ),
        (EMBEDDINGS, graph(not_a_number), UNSUPPORTED, "`model.onnx` gives values that are no finite numbers."),
        (
            CLASSIFICATION,
            graph(not_a_number),
            UNSUPPORTED,
            "`model.onnx` gives values that are no finite numbers.",
        ),
        (EMBEDDINGS, graph(summed), UNSUPPORTED, "onnxruntime does not run `model.onnx`: …"),
        (EMBEDDINGS, graph(operator), "CUSTOM_OPERATOR", "…"),
        (
            EMBEDDINGS,
            write("tokenizer.json", {}),
            UNSUPPORTED,
            "`tokenizer.json` is no tokenizer of the `tokenizers` library.",
        ),
        (
            EMBEDDINGS,
            write("model.onnx", "text"),
            NOT_ONNX,
            "`model.onnx` is no ONNX model, or only a part of one.",
        ),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, exported: dict[str, dict[str, bytes]], task: str, edit: Edit, code: str, message: str
) -> None:
    problem, *_ = inspected(tmp_path, exported[task], task, edit)["problems"]
    assert problem["code"] == code
    beginning, cut, _ = message.partition("…")
    assert problem["message"].startswith(beginning)
    assert cut or problem["message"] == message


def test_a_fixed_length_is_padded_and_hidden(tmp_path: Path, exported: dict[str, dict[str, bytes]]) -> None:
    """The same vectors as from a graph that takes any length, of texts that are shorter."""
    texts = ["One.", "A text of more words than that."]
    vectors = []
    for number, edit in enumerate((lambda folder: None, graph(fixed))):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert "problems" not in inspected(folder, exported[EMBEDDINGS], EMBEDDINGS, edit)
        encoder = Encoder(folder, threads=1)
        assert encoder.longest == (tiny_bert.POSITIONS, LENGTH)[number]
        vectors.append(list(encoder.embeddings(texts)))
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "length"),
    [
        (lambda folder: None, tiny_bert.POSITIONS),
        (write("sentence_bert_config.json", {"max_seq_length": 8}), 8),
        (write("sentence_bert_config.json", {"max_seq_length": None}), tiny_bert.POSITIONS),
        (write("tokenizer_config.json", {"model_max_length": 10**30}), tiny_bert.POSITIONS),
        (write("tokenizer_config.json", {"model_max_length": 6}), 6),
    ],
)
def test_the_least_length_holds(tmp_path: Path, exported: dict[str, dict[str, bytes]], edit: Edit, length: int) -> None:
    found = inspected(tmp_path, exported[EMBEDDINGS], EMBEDDINGS, edit)
    assert found["shape"]["context_length"] == length
    assert found["shape"]["kv_bytes_per_token"] == 0


def test_token_types_are_no_must(tmp_path: Path, exported: dict[str, dict[str, bytes]]) -> None:
    def without(graph: Any) -> None:
        renamed("token_type_ids", "zeros")(graph)
        del graph.input[2]
        graph.node.insert(0, helper.make_node("Sub", ["input_ids", "input_ids"], ["zeros"]))

    assert "problems" not in inspected(tmp_path, exported[EMBEDDINGS], EMBEDDINGS, lambda f: graph(without)(f))


def test_a_folder_with_neither_graph_nor_weights(tmp_path: Path) -> None:
    assert [problem["message"] for problem in inspect(str(tmp_path), EMBEDDINGS)["problems"]] == [
        "The folder has no `config.json`.",
        "The folder has no `tokenizer.json`.",
        "`model.onnx` does not exist in the model's folder.",
    ]
