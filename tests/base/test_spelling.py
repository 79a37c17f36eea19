"""Keys, both ways, for every field that goes into the lock."""

from __future__ import annotations

import pytest

from compiler.base.spelling import camel, fields, plain, snake
from tests.values import ARTIFACT, QUALITY, SHAPE


@pytest.mark.parametrize(("python", "json"), [("size", "size"), ("kl_divergence", "klDivergence"), ("a_b_c", "aBC")])
def test_names(python: str, json: str) -> None:
    assert (camel(python), snake(json)) == (json, python)


@pytest.mark.parametrize("value", [SHAPE, QUALITY])
def test_fields_undo_plain(value: object) -> None:
    assert type(value)(**fields(plain(value))) == value  # type: ignore[arg-type]


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
