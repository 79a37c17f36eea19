"""Unquoted scalars mean what the core schema of YAML 1.2 says (chapter 10.3.2), and nothing more."""

from __future__ import annotations

import math

import pytest

from compiler.syntax.scalars import Scalar, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nULL", "nULL"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"), ("on", "on"), ("y", "y"),
        ("0", 0), ("-3", -3), ("+7", 7), ("010", 10), ("0o17", 15), ("0x1F", 31), ("0b1", "0b1"), ("1_000", "1_000"),
        ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("-1e3", -1000.0), ("1.4.0", "1.4.0"), ("1:30", "1:30"),
        (".inf", math.inf), ("-.INF", -math.inf), ("inf", "inf"), ("nan", "nan"), ("-", "-"), (".", "."), ("+", "+"),
        ("2026-11-24", "2026-11-24"), ("95%", "95%"), ("450MiB", "450MiB"), ("٣", "٣"), ("1٣", "1٣"),
        ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_resolve(text: str, value: Scalar) -> None:
    resolved = resolve(text)
    assert (type(resolved), resolved) == (type(value), value)


def test_not_a_number() -> None:
    resolved = resolve(".nan")
    assert isinstance(resolved, float)
    assert math.isnan(resolved)


def test_a_number_of_thousands_of_digits_is_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000
