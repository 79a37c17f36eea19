"""Evaluation data: what is wrong has a line; the rest is read one text after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.artifact import texts
from compiler.base.codes import Code
from tests.values import MODEL

FORM = "The line is not an object with a string `text`."


def found(workspace: Path, data: bytes) -> list[tuple[Code, str, str]]:
    path = workspace / MODEL.evaluation_data
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return [(d.code, d.message, str(d.span)) for d in texts.check(workspace, MODEL)]


def test_reads_every_text_and_skips_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes('{"text": "a\\nb"}\r\n\n  \n{"text": "ä", "id": 7}'.encode())
    assert list(texts.read(tmp_path / "t.jsonl")) == ["a\nb", "ä"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', "The line is not JSON in UTF-8."),
        (b'{"text": "\xe4"}', "The line is not JSON in UTF-8."),
        (b"[" * 100_000, "The line is not JSON in UTF-8."),
        (b'["a"]', FORM),
        (b'{"txt": "a"}', FORM),
        (b'{"text": 3}', FORM),
        (b"null", FORM),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, line: bytes, message: str) -> None:
    data = b'{"text": "good"}\n\n' + line + b"\n"
    assert found(tmp_path, data) == [(Code.BAD_EVALUATION_DATA, message, "data/a.jsonl:3:1")]


def test_several_bad_lines_are_told_together_but_not_all_of_many(tmp_path: Path) -> None:
    assert [place for _, _, place in found(tmp_path, b"x\n" * 100)] == [f"data/a.jsonl:{n}:1" for n in range(1, 6)]


@pytest.mark.parametrize("data", [b"", b"\n\n", b'{"text": ""}\n'])
def test_data_without_text_is_told_where_the_blueprint_names_it(tmp_path: Path, data: bytes) -> None:
    message = "`data/a.jsonl` has no text of two tokens or more."
    assert found(tmp_path, data) == [(Code.BAD_EVALUATION_DATA, message, str(MODEL.evaluation_place))]
