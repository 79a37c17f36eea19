"""What a document holds, and where its parts stand."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.base.diagnostics import Diagnostic
from compiler.syntax.document import Document, Mapping, Sequence
from compiler.syntax.read import parse

PARSERS = pytest.mark.parametrize("pure", [False, True], ids=["c", "python"])


def document_of(text: str, pure: bool = False) -> Document:
    document, diagnostics = parse(text.encode(), "a.slmc.yaml", pure=pure)
    assert diagnostics == []
    assert document is not None
    return document


def findings_of(text: str, pure: bool = False) -> list[tuple[str, str, str]]:
    """Code, place and message of each finding."""
    return [shown(diagnostic) for diagnostic in parse(text.encode(), "a", pure=pure)[1]]


def shown(diagnostic: Diagnostic) -> tuple[str, str, str]:
    span = diagnostic.span
    place = f"{span.line}:{span.column}+{span.length}" if span else ""
    return diagnostic.code.id, place, diagnostic.message


def marks(value: Any) -> Any:
    """The marks of a value as plain data, in its shape."""
    if isinstance(value, Mapping):
        return {key: (value.key_marks[key], value.value_marks[key], marks(value[key])) for key in value}
    if isinstance(value, Sequence):
        return [(mark, marks(item)) for mark, item in zip(value.item_marks, value, strict=True)]
    return None


@PARSERS
def test_marks_count_characters_after_characters_of_many_bytes(pure: bool) -> None:
    document = document_of("ä😀: [é, 'ü😀']\nk: {ß: 1}\n", pure)
    assert document.data == {"ä😀": ["é", "ü😀"], "k": {"ß": 1}}
    assert marks(document.data) == {
        "ä😀": ((1, 1, 2), (1, 5, 9), [((1, 6, 1), None), ((1, 9, 4), None)]),
        "k": ((2, 1, 1), (2, 4, 6), {"ß": ((2, 5, 1), (2, 8, 1), None)}),
    }


@PARSERS
def test_marks_of_every_style(pure: bool) -> None:
    text = (
        "plain: two words # comment\r\n"
        "folded: >-\r\n  one\r\n  two\r\n"
        'quoted: "one\r\n  two"\r\n'
        "list:\r\n- a\r\n-\r\n- {b: c}\r\n-  d: e\r\n   f: [g,\r\n     h]\r\n"
        "none:\r\n"
        "anchored: &x value\r\n"
        "alias: *x\r\n"
    )
    document = document_of(text, pure)
    assert document.data == {
        "plain": "two words", "folded": "one two", "quoted": "one two",
        "list": ["a", None, {"b": "c"}, {"d": "e", "f": ["g", "h"]}],
        "none": None, "anchored": "value", "alias": "value",
    }  # fmt: skip
    assert marks(document.data) == {
        "plain": ((1, 1, 5), (1, 8, 9), None),
        "folded": ((2, 1, 6), (2, 9, 2), None),
        "quoted": ((5, 1, 6), (5, 9, 4), None),
        "list": (
            (7, 1, 4),
            (8, 1, 1),
            [
                ((8, 3, 1), None),
                ((9, 1, 1), None),
                ((10, 3, 6), {"b": ((10, 4, 1), (10, 7, 1), None)}),
                ((11, 4, 1), {
                    "d": ((11, 4, 1), (11, 7, 1), None),
                    "f": ((12, 4, 1), (12, 7, 3), [((12, 8, 1), None), ((13, 6, 1), None)]),
                }),
            ],
        ),
        "none": ((14, 1, 4), (14, 1, 4), None),
        "anchored": ((15, 1, 8), (15, 14, 5), None),
        "alias": ((16, 1, 5), (16, 8, 2), None),
    }  # fmt: skip


@PARSERS
def test_the_place_of_a_path(pure: bool) -> None:
    document = document_of("a:\n  b: [x, {c: y}]\n  d:\n  - e\n", pure)
    places = {
        path: (str(document.key(path)), str(document.value(path)))
        for path in [(), ("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1), ("a", "b", 1, "c"), ("a", "d", 0), ("z",)]
    }
    assert places == {
        (): ("a.slmc.yaml:1:1", "a.slmc.yaml:1:1"),
        ("a",): ("a.slmc.yaml:1:1", "a.slmc.yaml:1:1"),
        ("a", "b"): ("a.slmc.yaml:2:3", "a.slmc.yaml:2:3"),
        ("a", "b", 0): ("a.slmc.yaml:2:7", "a.slmc.yaml:2:7"),
        ("a", "b", 1): ("a.slmc.yaml:2:10", "a.slmc.yaml:2:10"),
        ("a", "b", 1, "c"): ("a.slmc.yaml:2:11", "a.slmc.yaml:2:14"),
        ("a", "d", 0): ("a.slmc.yaml:4:5", "a.slmc.yaml:4:5"),
        ("z",): ("a.slmc.yaml:1:1", "a.slmc.yaml:1:1"),
    }


@PARSERS
def test_aliases_share_a_value_up_to_the_limit(pure: bool) -> None:
    document = document_of("a: &a {b: [1, 2]}\nc: [*a, *a]\n", pure)
    assert document.data == {"a": {"b": [1, 2]}, "c": [{"b": [1, 2]}, {"b": [1, 2]}]}
    row = "[" + ", ".join(["x"] * 999) + "]"  # 1,000 values with the list itself
    assert len(document_of(f"a: &a {row}\nb: [{', '.join(['*a'] * 100)}]\n", pure).data["b"]) == 100
    assert findings_of(f"a: &a {row}\nb: [{', '.join(['*a'] * 101)}]\n", pure) == [
        ("SLM107", "2:405+2", "With `*a`, the aliases of this file add more than 100,000 values.")
    ]


@PARSERS
def test_nesting_up_to_the_limit(pure: bool) -> None:
    def nested(levels: int) -> str:
        return "a: " + "[" * (levels - 1) + "]" * (levels - 1)

    assert document_of(nested(100), pure).data
    assert findings_of(nested(101), pure) == [("SLM108", "1:103+1", "Values are nested more than 100 levels deep.")]
    assert [code for code, _, _ in findings_of("[" * 100_000, pure)] == ["SLM108"]
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert findings_of(chain, pure) == [
        ("SLM107", "100:12+4", "With `*a98`, the aliases of this file nest more than 100 levels deep.")
    ]


@PARSERS
def test_tabs_are_counted_beyond_the_twentieth(pure: bool) -> None:
    found = findings_of("a:\n" + "\tb: c\n" * 23, pure)
    assert found[:19] == [("SLM103", f"{n}:1+1", "A tab stands in the indentation of this line.") for n in range(2, 21)]
    assert found[19:] == [
        ("SLM103", "21:1+1", "A tab stands in the indentation of this line. 3 further lines have one.")
    ]


def test_both_parsers_are_there() -> None:
    from compiler.syntax.events import HAVE_C

    assert HAVE_C, "the tests that compare the two parsers need ruamel.yaml.clib"
