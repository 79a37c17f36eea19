"""What is wrong with a BERT checkpoint is found before its weights are read, and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.artifact.model.export import export
from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny_bert as tiny

EMBEDDINGS = "embeddings"
UNSUPPORTED, DATA = "UNSUPPORTED_MODEL", "EXTERNAL_DATA"


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Changes one tensor of the weights."""

    def edit(folder: Path) -> None:
        weights = tiny.weights()
        weights[name] = change(weights[name])
        tiny.write(folder, weights)

    return edit


def configured(**config: Any) -> Callable[[Path], None]:
    return lambda folder: void(tiny.write(folder, **config))


def file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: void((folder / name).write_bytes(change((folder / name).read_bytes())))


def void(value: object) -> None:
    """For its effect alone."""


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: void(tiny.write(folder, {n: a for n, a in tiny.weights().items() if n not in names}))


def pooling(mode: str, *modules: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tiny.write_pooling(folder, mode, normalize=True)
        if modules:
            listed = [{"path": "1_Pooling", "type": f"sentence_transformers.models.{kind}"} for kind in modules]
            (folder / "modules.json").write_text(json.dumps(listed))

    return edit


QUERY = "encoder.layer.1.attention.self.query.weight"
TRUNCATED = "`model.safetensors` is no safetensors file, or only a part of one."


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (file("model.safetensors", lambda data: b""), [(DATA, TRUNCATED)]),
        (file("model.safetensors", lambda data: data[:200]), [(DATA, TRUNCATED)]),
        (file("model.safetensors", lambda data: b"\xff" * 8 + data[8:]), [(DATA, TRUNCATED)]),
        (file("model.safetensors", lambda data: data.replace(b'ets": [0', b'ets": [4', 1)), [(DATA, TRUNCATED)]),
        (file("model.safetensors", lambda data: data.replace(b'"F32"', b'"F31"', 1)), [(DATA, TRUNCATED)]),
        (
            file("model.safetensors", lambda data: data[:-1]),
            [(DATA, "`model.safetensors` has SIZE bytes; tensor `pooler.dense.bias` ends at END.")],
        ),
        (
            file("model.safetensors", lambda data: b"version https://git-lfs.github.com/spec/v1\n"),
            [(DATA, "`model.safetensors` is a pointer of Git LFS, not the model: `git lfs pull` gets that.")],
        ),
        (without(QUERY), [(UNSUPPORTED, f"The weights have no tensor `{QUERY}`.")]),
        (
            changed(QUERY, lambda array: array[:, :8]),
            [(UNSUPPORTED, f"Tensor `{QUERY}` is 16 × 8; `config.json` asks for 16 × 16.")],
        ),
        (
            changed(QUERY, lambda array: array.astype(np.float64)),
            [(UNSUPPORTED, f"Tensor `{QUERY}` is F64; known are F32, F16, BF16.")],
        ),
        (
            configured(num_hidden_layers=4),
            [
                (UNSUPPORTED, f"The weights have no tensor `encoder.layer.2.attention.self.{name}`.")
                for name in ("query.weight", "query.bias", "key.weight", "key.bias")
            ]
            + [(UNSUPPORTED, "So it is with 28 more of its tensors.")],
        ),
        (configured(hidden_size=None), [(UNSUPPORTED, "`config.json` has no usable `hidden_size`.")]),
        (
            configured(num_attention_heads=3),
            [(UNSUPPORTED, "`config.json`: `hidden_size` is no multiple of `num_attention_heads`.")],
        ),
        (
            configured(hidden_act="silu"),
            [(UNSUPPORTED, "`config.json`: `hidden_act` is none of gelu, gelu_new, gelu_pytorch_tanh, relu.")],
        ),
        (
            configured(position_embedding_type="relative_key"),
            [(UNSUPPORTED, "`config.json`: positions are not absolute.")],
        ),
        (
            configured(model_type="mpnet"),
            [(UNSUPPORTED, "`config.json` says that the model's type is `mpnet`; those with embeddings are: bert.")],
        ),
        (
            lambda folder: (folder / "config.json").unlink(),
            [(UNSUPPORTED, "The folder has no `config.json`.")],
        ),
        (file("config.json", lambda data: b"[]"), [(UNSUPPORTED, "`config.json` is no JSON object.")]),
        (
            lambda folder: (folder / "tokenizer.json").unlink(),
            [(UNSUPPORTED, "The folder has no `tokenizer.json`.")],
        ),
        (
            pooling("max"),
            [
                (
                    UNSUPPORTED,
                    "`1_Pooling/config.json` asks for pooling `pooling_mode_max_tokens`; known are mean and cls.",
                )
            ],
        ),
        (
            pooling("mean", "Transformer", "Pooling", "Dense"),
            [
                (
                    UNSUPPORTED,
                    "`modules.json` lists `Transformer`, `Pooling`, `Dense`; known are `Transformer`, `Pooling` and "
                    "perhaps `Normalize`, in this order.",
                )
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, edit: Callable[[Path], None], expected: list[tuple[str, str]]) -> None:
    folder = tiny.write(tmp_path / "m")
    edit(folder)
    size = (folder / "model.safetensors").stat().st_size
    wanted = [(code, text.replace("SIZE", str(size)).replace("END", str(size + 1))) for code, text in expected]
    found = [(problem["code"], problem["message"]) for problem in inspect(str(folder), EMBEDDINGS)["problems"]]
    assert found == wanted


def test_every_cut_of_the_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    data = (folder / "model.safetensors").read_bytes()
    for end in range(0, len(data), 997):
        (folder / "model.safetensors").write_bytes(data[:end])
        [problem] = inspect(str(folder), EMBEDDINGS)["problems"]
        assert problem["code"] == DATA


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    weights = tiny.weights()
    weights[QUERY][3, 2] = value
    (tmp_path / "e").mkdir()
    found = export(str(tiny.write(tmp_path / "m", weights)), EMBEDDINGS, str(tmp_path / "e"))
    message = f"Tensor `{QUERY}` has values that are no finite numbers."
    assert found == {"problems": [{"code": UNSUPPORTED, "message": message}]}
