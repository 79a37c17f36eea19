"""What is wrong with a model's folder is found before anything is built, several things at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny

TASK = "text-generation"
UNSUPPORTED, NOT_ONNX, EXTERNAL = "UNSUPPORTED_MODEL", "NOT_ONNX", "EXTERNAL_DATA"


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(problem["code"], problem["message"]) for problem in inspect(str(folder), TASK)["problems"]]


def edit(folder: Path, change: Callable[[Any], None]) -> Path:
    """The tiny model after `change` of its graph."""
    tiny.write(folder)
    model = onnx.load(folder / "model.onnx")
    change(model.graph)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def configure(folder: Path, **changes: Any) -> Path:
    tiny.write(folder)
    config = tiny.config()
    config["model"]["decoder"].update(changes)
    (folder / "genai_config.json").write_text(json.dumps(config))
    return folder


def test_facts_of_a_model(tmp_path: Path) -> None:
    words, hidden, head = len(tiny.WORDS), tiny.HIDDEN, tiny.HEAD
    floats = words * hidden + hidden * head + head * words + hidden * words
    assert inspect(str(tiny.write(tmp_path)), TASK) == {
        "model": "model.onnx",
        "data": [],
        "shape": {
            "parameters": floats + 4,
            "weight_bytes": 4 * floats + 8 * 4,
            "kv_bytes_per_token": 2 * head * 4,
            "context_length": tiny.CONTEXT,
        },
    }


def test_facts_of_the_example(repository: Path) -> None:
    found = inspect(str(repository / "blueprints" / "hello" / "models" / "pydoc-1.0"), TASK)
    # 5 layers x key and value x 2 heads x 32 x 4 bytes
    assert (found["shape"]["kv_bytes_per_token"], found["shape"]["context_length"]) == (5 * 2 * 2 * 32 * 4, 512)


def test_names_of_external_data(tmp_path: Path) -> None:
    found = inspect(str(tiny.write_external(tmp_path / "m", "weights.bin")), TASK)
    assert found["data"] == ["weights.bin"]
    assert found["shape"] == inspect(str(tiny.write(tmp_path / "plain")), TASK)["shape"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "`model.onnx` does not exist in the model's folder."),
        (b"", "`model.onnx` has no graph."),
        (b"This is text, and no model at all.\n", "`model.onnx` is no ONNX model, or only a part of one."),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "`model.onnx` is no ONNX model, or only a part of one."),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "`model.onnx` is a pointer of Git LFS, not the model: `git lfs pull` gets that.",
        ),
    ],
    ids=["missing", "empty", "text", "image", "git-lfs-pointer"],
)
def test_not_onnx(tmp_path: Path, data: bytes | None, message: str) -> None:
    tiny.write(tmp_path)
    (tmp_path / "model.onnx").unlink()
    if data is not None:
        (tmp_path / "model.onnx").write_bytes(data)
    assert problems(tmp_path) == [(NOT_ONNX, message)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_no_model(tmp_path: Path, share: float) -> None:
    data = (tiny.write(tmp_path) / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(data[: int(share * len(data))])
    assert problems(tmp_path) == [(NOT_ONNX, "`model.onnx` is no ONNX model, or only a part of one.")]


def test_every_cut_is_refused_and_none_crashes(tmp_path: Path) -> None:
    data = (tiny.write(tmp_path) / "model.onnx").read_bytes()
    for end in range(0, len(data), 37):
        (tmp_path / "model.onnx").write_bytes(data[:end])
        assert {code for code, _ in problems(tmp_path)} <= {NOT_ONNX, UNSUPPORTED}


def test_missing_external_data_names_file_and_tensor(tmp_path: Path) -> None:
    (tiny.write_external(tmp_path) / "weights.bin").unlink()
    assert problems(tmp_path) == [(EXTERNAL, "`weights.bin` does not exist; tensor `E` lies in it.")]


def test_short_external_data_names_the_sizes(tmp_path: Path) -> None:
    data = tiny.write_external(tmp_path) / "weights.bin"
    data.write_bytes(data.read_bytes()[:3000])
    assert problems(tmp_path) == [(EXTERNAL, "`weights.bin` has 3000 bytes; tensor `W` ends at 4096.")]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("offset", "-4", "Tensor `E` is said to start at -4 in `weights.bin`."),
        ("length", "-2048", "Tensor `E` is said to have -2048 bytes in `weights.bin`; by shape and type it has 2048."),
        ("length", "2047", "Tensor `E` is said to have 2047 bytes in `weights.bin`; by shape and type it has 2048."),
    ],
)
def test_places_in_external_data_that_cannot_be(tmp_path: Path, key: str, value: str, said: str) -> None:
    folder = tiny.write_external(tmp_path)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    [tensor] = [tensor for tensor in model.graph.initializer if tensor.name == "E"]
    [entry] = [entry for entry in tensor.external_data if entry.key == key]
    entry.value = value
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert problems(folder) == [(EXTERNAL, said)]


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../b", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tiny.write_external(tmp_path)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert problems(folder) == [(EXTERNAL, f"Tensor `E` lies in `{location}`, outside the model's folder.")]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tiny.write_external(tmp_path / "m")
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "weights.bin").symlink_to("../weights.bin")
    assert problems(folder) == [
        (EXTERNAL, "`weights.bin`, which holds tensor `E`, is a link out of the model's folder.")
    ]


def _only_last(graph: Any) -> None:
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1


def _rename_input(graph: Any) -> None:
    graph.input[0].name = "tokens"
    for node in graph.node:
        node.input[:] = ["tokens" if name == "input_ids" else name for name in node.input]


def _silent_last(graph: Any) -> None:
    """Logits of the last position, behind a shape that says nothing."""
    graph.node[-1].output[0] = "all"
    graph.node.append(onnx.helper.make_node("Slice", ["all", "minus", "end", "one"], ["logits"]))
    graph.initializer.append(onnx.helper.make_tensor("minus", onnx.TensorProto.INT64, [1], [-1]))
    graph.output[0].type.tensor_type.shape.dim[1].dim_param = "some"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rename_input, "`model.onnx` has no input `input_ids`; text-generation needs one."),
        (_only_last, "`model.onnx` gives logits for the last position only; evaluation needs all of them."),
        (
            _silent_last,
            "onnxruntime does not run `model.onnx`: ValueError: the model gives logits for 1 of 2 positions; "
            "evaluation needs all",
        ),
    ],
)
def test_unsupported_graph(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    assert problems(edit(tmp_path, change)) == [(UNSUPPORTED, message)]


def test_a_graph_that_onnxruntime_does_not_load_is_refused(tmp_path: Path) -> None:
    def change(graph: Any) -> None:
        graph.node[1].input.pop()

    [(code, message)] = problems(edit(tmp_path, change))
    assert code == NOT_ONNX
    assert message.startswith("onnxruntime does not load `model.onnx`: ")


def test_a_classifier_lacks_several_things_and_they_are_said_together(tmp_path: Path) -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "neg", [x], [y])
    (tmp_path / "model.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert problems(tmp_path) == [
        (UNSUPPORTED, "The folder has no `genai_config.json`, which onnxruntime-genai needs."),
        (UNSUPPORTED, "The folder has no `tokenizer.json`."),
        (UNSUPPORTED, "`model.onnx` has no input `input_ids`; text-generation needs one."),
        (UNSUPPORTED, "`model.onnx` has no inputs `past_key_values.*`: it has no KV cache."),
        (UNSUPPORTED, "`model.onnx` has no output `logits`; text-generation needs one."),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"model": 3}', '{"model": {"decoder": 3}}', "[" * 99999])
def test_configuration_of_another_kind(tmp_path: Path, text: str) -> None:
    (tiny.write(tmp_path) / "genai_config.json").write_text(text)
    assert problems(tmp_path) == [(UNSUPPORTED, "`genai_config.json` is not a configuration of onnxruntime-genai.")]


@pytest.mark.parametrize("name", ["../model.onnx", "/model.onnx", 7])
def test_model_file_outside_the_folder(tmp_path: Path, name: Any) -> None:
    assert problems(configure(tmp_path, filename=name)) == [
        (UNSUPPORTED, "`genai_config.json` names a model file outside its folder.")
    ]


def test_model_file_of_another_name(tmp_path: Path) -> None:
    configure(tmp_path, filename="decoder.onnx")
    (tmp_path / "model.onnx").rename(tmp_path / "decoder.onnx")
    assert inspect(str(tmp_path), TASK)["model"] == "decoder.onnx"


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tiny.write(tmp_path) / "tokenizer.json").write_text("{}")
    assert problems(tmp_path) == [(UNSUPPORTED, "`tokenizer.json` is no tokenizer of the `tokenizers` library.")]


@pytest.mark.parametrize("length", [None, 0, 1, "512", True])
def test_context_length_has_to_be_usable(tmp_path: Path, length: Any) -> None:
    tiny.write(tmp_path)
    config = tiny.config()
    config["model"]["context_length"] = length
    (tmp_path / "genai_config.json").write_text(json.dumps(config))
    assert problems(tmp_path) == [(UNSUPPORTED, "`genai_config.json` has no usable `model.context_length`.")]
