"""Keys, both ways, for every field that goes into the lock."""

from __future__ import annotations

import pytest

from compiler.artifact.artifact import Shape
from compiler.base.spelling import camel, fields, plain, snake
from tests.values import ARTIFACT, SHAPE


@pytest.mark.parametrize(("python", "json"), [("size", "size"), ("kl_divergence", "klDivergence"), ("a_b_c", "aBC")])
def test_names(python: str, json: str) -> None:
    assert (camel(python), snake(json)) == (json, python)


def test_fields_undo_plain() -> None:
    assert Shape(**fields(plain(SHAPE))) == SHAPE


def test_values_inside_values() -> None:
    data = plain(ARTIFACT)
    assert data["shape"] == {
        "parameters": 2_000_000,
        "weightBytes": 104857600,
        "kvBytesPerToken": 1024,
        "contextLength": 2048,
    }
    assert data["files"] == [{"name": "model.onnx", "size": 104857600, "digest": ARTIFACT.files[0].digest}]
    assert data["speed"] is None
