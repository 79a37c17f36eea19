"""ruamel's C parser and its Python one give the same values, marks and diagnostics; no text breaks either."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.base.span import Span
from compiler.blueprint.merge import merge
from compiler.report.text import diagnostics_text
from compiler.syntax.read import parse
from tests.archive import Archive
from tests.syntax.test_parse import marks

CASES = sorted((Path(__file__).parent.parent / "cases").glob("*/*.case"))
assert CASES

WRITTEN = [
    "a: b: c\n", "a: 1\n b: 2\n", "a:b\nc: d\n", "a\nb: c\n", "- a\nb: c\n", "a:\n  b: 1\n c: 2\n", "  a: 1\n b: 2\n",
    "a: [1,\n", "a: [1, 2\nb: c\n", "a: {x: 1\nb: c\n", "a: {b: c]\n", "a: [b]c\n", "a: [b,,c]\n", "a: ]\n", "a: }\n",
    "[a: b", "a: {b", "a: 'x\n", 'a: "x\n', "a: 'x'y\n", "a: 'it's'\n", 'a: "x" y: z\n', "a: - b\n", ": x\n", "? a\n",
    'a: "\\xZZ"\n', 'a: "\\q"\n', 'a: "\\ud800"\n', 'a: "\\0"\n', 'a: "\\u0000 \\\\0"\n', 'a: "\\u00e9"\n', "a: @b\n",
    "a: `b\n", "a: %b\n", "a: &\n", "a: *\n", "a: *b\n", "a: &a [*a]\n", "a: *y z\n", "a: !<x\n", "a: |x\n  b\n",
    "a: |2\n x\n", "a: >2-\n  b\n", "a: !!int 3\n", "a: !x &y 3\n", "a: &y !x 3\n", "a: !!map {b: c}\n", "a: ! b\n",
    "%YAML 1.1\n---\na: yes\n", "# c\n%TAG ! t:\n---\na: b\n", "---\na: 1\n---\nb: 2\n", "a: b\n...\nc: d\n",
    "a: b\n...\n# c\n", "--- # c\na: b\n", "---\n", "", "# c\n", "~\n", "a: b\n---", "a: 1\na: 2\nb: {c: 1, c: 2}\n",
    "1: a\n", "~: a\n", "true: a\n", "? [a]\n: b\n", "? {a: b}\n: c\n", "<<: {a: b}\n", "'<<': a\n", "a: &x\nb: *x\n",
    "*a : b\n", "a:\n-\n- \n- b\n-\n", "- a\n", "a\n", "---\n- a\n", "a: |\n  x\n\n  y\nb: >\n  z\n",
    "{a: 1}\n{b: 2}\n",
    "\ta: 1\n", "a:\n\t- b\n", "a:\n  b: c\n  \td: e\n", "a: [\n\t1]\n", "a: |\n\tb\n", "a: 1\n\t\n", "-\ta: 1\n",
    "a: \x07\n", "a: \x00\n", "a: b\x85c: d\n", "a: b\u2028c\n", "a: 1\rb: 2\r", "a: \ufeff\n", "\ufeffa: b\n",
]  # fmt: skip


def outcome(data: bytes, *, pure: bool) -> tuple[object, object, str]:
    """The values, their marks, and everything said about them."""
    document, diagnostics = parse(data, "a.slmc.yaml", pure=pure)
    merged = merge([document])[1] if document else []
    for diagnostic in diagnostics + merged:
        assert diagnostic.span is None or inside(diagnostic.span), diagnostic
    values = document and (document.data, document.complete)
    return values, marks(document.data if document else None), diagnostics_text(diagnostics + merged)


def inside(span: Span) -> bool:
    """Whether a span lies on a line of its text, or right behind it."""
    return 1 <= span.line <= len(span.source.lines) and 1 <= span.column <= len(span.source.line(span.line)) + 1


@pytest.mark.parametrize("text", WRITTEN)
def test_same_outcome_of_a_text(text: str) -> None:
    assert outcome(text.encode(), pure=False) == outcome(text.encode(), pure=True)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_same_outcome_of_a_case(path: Path) -> None:
    for section in Archive.parse(path.read_text(encoding="utf-8")).sections:
        if section.name.endswith(".yaml"):
            assert outcome(section.data, pure=False) == outcome(section.data, pure=True)


FRAGMENTS = st.sampled_from([
    "a", "b: ", "c: 1\n", "\n", "  ", "- ", "[", "]", "{", "}", ", ", ": ", "?", "'", '"', ">-\n", "|\n", "|2\n",
    "# x\n",
    "&a ", "*a", "*b", "!t ", "---\n", "...\n", "\t", "é", "😀", "\\", "\\x41", "\\ud800", "~", "1.5", "true",
    "<<: ", "%Y",
    "@", "`", "\r\n", "\r", "- - ", "a: b\n", "\\\n", "x y", "k:v", "[]", "{}", "\ufeff", "\x85", "\0", "models:\n",
    "  m: ", "fleets: ", "apiVersion: ",
])  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(FRAGMENTS, max_size=20).map("".join) | st.text(max_size=60))
def test_no_text_breaks_a_parser(text: str) -> None:
    for pure in (False, True):
        outcome(text.encode("utf-8", "surrogatepass"), pure=pure)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xff\xfe\0\0"]), st.binary(max_size=40))
def test_no_bytes_break_the_reader(mark: bytes, data: bytes) -> None:
    outcome(mark + data, pure=False)
