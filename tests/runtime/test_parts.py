"""Parts of the runtime by themselves: text with stop strings, chat templates, the model's process, its imports."""

from __future__ import annotations

import ast
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slmc_runtime.channel import Channel, encoded
from slmc_runtime.chat import template
from slmc_runtime.generation import Continuation
from slmc_runtime.text import TextStream
from slmc_runtime.worker import _Orders
from tokenizers import Tokenizer, decoders, models

from tests.conftest import REPOSITORY

PIECES = ["a", "b", "ab", "abc", "x"]


def tokenizer() -> Tokenizer:
    """Each token is its text, nothing between."""
    made = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(PIECES)}, unk_token="x"))
    made.decoder = decoders.Fuse()
    return made


@pytest.mark.parametrize(
    ("said", "stops", "pieces", "stopped"),
    [
        (["a", "b", "x"], [], ["a", "b", "x", ""], False),
        (["a", "b", "x"], ["bx"], ["a", "", ""], True),
        (["a", "b", "a"], ["bx"], ["a", "", "ba", ""], False),
        (["a", "b"], ["bx"], ["a", "", "b"], False),
        (["abc"], ["c", "b"], ["a"], True),
        (["a", "ab", "abc"], ["aaba"], ["", "", ""], True),
        (["a", "a", "ab", "x"], ["aabx"], ["", "", "a", ""], True),
    ],
)
def test_text_up_to_a_stop_string(said: list[str], stops: list[str], pieces: list[str], stopped: bool) -> None:
    stream = TextStream(tokenizer(), stops)
    found = []
    for piece in said:
        found.append(stream.add(PIECES.index(piece)))
        if stream.stopped:
            break
    else:
        found.append(stream.rest())
    assert (found, stream.stopped) == (pieces, stopped)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"tokenizer_config.json": "{"}, None),
        ({"tokenizer_config.json": "[]"}, None),
        ({"tokenizer_config.json": '{"chat_template": "one"}'}, "one"),
        ({"tokenizer_config.json": '{"chat_template": [{"name": "tools", "template": "t"},'
          ' {"name": "default", "template": "d"}]}'}, "d"),
        ({"tokenizer_config.json": '{"chat_template": "one"}', "chat_template.jinja": "file"}, "file"),
    ],
)  # fmt: skip
def test_where_a_chat_template_stands(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert template(tmp_path) == expected


def test_generation_stops_when_it_is_cancelled() -> None:
    """After one more token, however many were wanted."""
    generated: list[int] = []

    def pieces() -> Iterator[str]:
        for number in range(10**6):
            generated.append(number)
            yield "x"

    ours, theirs = socket.socketpair()
    with ours, theirs:
        model = SimpleNamespace(continued=lambda wanted: Continuation(3, pieces()))
        orders = _Orders(Channel(theirs), model)
        ours.sendall(encoded({"cancel": 6}) + encoded({"cancel": 7}))
        order = {"prompt": "x", "most": None, "stops": [], "temperature": None, "topP": None, "seed": None}
        orders.carry_out({"id": 7, "kind": "generate", **order})
        assert json.loads(ours.recv(4096)) == {"id": 7, "cancelled": True}
        assert generated == [0]


def test_a_failure_is_told_without_what_was_asked() -> None:
    def fail(wanted: Any) -> Continuation:
        raise ValueError(f"cannot read {wanted.prompt}")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        orders = _Orders(Channel(theirs), SimpleNamespace(continued=fail))
        order = {"prompt": "secret", "most": None, "stops": [], "temperature": None, "topP": None, "seed": None}
        orders.carry_out({"id": 1, "kind": "generate", **order})
        said = json.loads(ours.recv(4096))
    assert said["id"] == 1
    assert said["failed"].startswith("ValueError at test_parts.py:")
    assert "secret" not in said["failed"]


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return named | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_the_runtime_stands_by_itself() -> None:
    """Devices have no compiler; onnxruntime is imported in one place, which has switched its telemetry off."""
    imports = {path.name: _imports(path) for path in (REPOSITORY / "runtime" / "slmc_runtime").glob("*.py")}
    assert len(imports) > 20
    tops = {name: {module.partition(".")[0] for module in found} for name, found in imports.items()}
    assert [name for name, found in tops.items() if "compiler" in found] == []
    libraries = {"onnxruntime", "onnxruntime_genai"}
    assert [name for name, found in tops.items() if found & libraries] == ["libraries.py"]
