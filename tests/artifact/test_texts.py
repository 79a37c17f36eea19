"""Evaluation data: what is wrong has a line; the rest is read one text after the other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.evaluation import texts
from compiler.artifact.evaluation.texts import Entry
from compiler.base.codes import Code
from tests.values import MODEL

NO_TEXT = "The line has no `text`."
ONLY_PROMPT = "The line has a `prompt` and no `text`."
FORM = "The line is not an object with a string `text`."
CHOICES = "`choices` is not a list of two texts or more."
NO_ANSWER = "The line has a `prompt` and no `answer`, which is a text."
SURROGATE = "The line has half of a character: a surrogate (`\\ud800` to `\\udfff`) that has no other beside it."
NO_LABEL = "The line has no `label`: a text, or the label's number."
ANSWER = "`answer` is not the number of one of the `choices`, 0 to 1."


def found(workspace: Path, data: bytes) -> list[tuple[Code, str, str]]:
    path = workspace / MODEL.evaluation_data
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return [(d.code, d.message, str(d.span)) for d in texts.check(workspace, MODEL)]


def test_two_surrogates_are_a_character(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"text": "\\ud83d\\ude00"}')
    assert list(texts.read(tmp_path / "t.jsonl")) == ["\U0001f600"]


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
        (b'{"txt": "a"}', NO_TEXT),
        (b'{"prompt": 3}', ONLY_PROMPT),
        (b'{"text": 3}', FORM),
        (b"null", FORM),
        (b'{"text": "a \\ud83d b"}', SURROGATE),
        (b'{"text": "a", "\\udc00": 1}', SURROGATE),
        (b'{"text": "\xed\xa0\xbd"}', SURROGATE),
        (b'{"prompt": "a", "choices": ["b", "c\\ud800"], "answer": 0}', SURROGATE),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, line: bytes, message: str) -> None:
    data = b'{"text": "good"}\n\n' + line + b"\n"
    assert found(tmp_path, data) == [(Code.BAD_EVALUATION_DATA, message, "data/a.jsonl:3:1")]


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        ("text-generation", {"prompt": "a"}, NO_ANSWER),
        (
            "text-generation",
            {"prompt": "a", "answer": " "},
            "The line has a `prompt` and no `answer`, which is a text.",
        ),
        ("text-generation", {"prompt": "a", "answer": 1}, NO_ANSWER),
        ("text-generation", {"prompt": "a", "choices": ["b"], "answer": 0}, CHOICES),
        ("text-generation", {"prompt": "a", "choices": ["b", ""], "answer": 0}, CHOICES),
        ("text-generation", {"prompt": "a", "choices": "bc", "answer": 0}, CHOICES),
        ("text-generation", {"prompt": "a", "choices": ["b", "c"], "answer": 2}, ANSWER),
        ("text-generation", {"prompt": "a", "choices": ["b", "c"], "answer": -1}, ANSWER),
        ("text-generation", {"prompt": "a", "choices": ["b", "c"], "answer": True}, ANSWER),
        ("text-generation", {"prompt": "a", "choices": ["b", "c"], "answer": "b"}, ANSWER),
        ("embeddings", {"prompt": "a", "answer": "b"}, ONLY_PROMPT),
        ("text-classification", {"text": "a"}, NO_LABEL),
        ("text-classification", {"text": "a", "label": 1.5}, NO_LABEL),
        (
            "text-classification",
            {"text": "a", "label": False},
            "The line has no `label`: a text, or the label's number.",
        ),
        ("text-classification", {"label": "a"}, NO_TEXT),
        ("text-classification", {"prompt": "a", "answer": "b"}, ONLY_PROMPT),
    ],
)
def test_a_line_that_the_task_cannot_use_is_told(task: str, line: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = replace(MODEL, task=task)
    path = tmp_path / model.evaluation_data
    path.parent.mkdir()
    path.write_text(json.dumps({"text": "good", "label": 0}) + "\n" + json.dumps(line) + "\n")
    assert [(d.message, str(d.span)) for d in texts.check(tmp_path, model)] == [(message, "data/a.jsonl:2:1")]


def test_every_kind_of_line_is_read_as_the_task_uses_it(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"text": "a", "label": "x", "prompt": None},
        {"prompt": "b", "answer": "c"},
        {"prompt": "d", "choices": ["e", "f"], "answer": 1},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(texts.entries(path, "text-generation")) == [
        Entry(text="a"), Entry(prompt="b", answer="c"), Entry(prompt="d", answer=1, choices=("e", "f")),
    ]  # fmt: skip
    assert list(texts.read(path)) == ["a"]
    path.write_text(json.dumps(lines[0]) + '\n{"text": "b", "label": 2}\n')
    assert list(texts.entries(path, "text-classification")) == [Entry(text="a", label="x"), Entry(text="b", label=2)]
    assert list(texts.entries(path, "embeddings")) == [Entry(text="a"), Entry(text="b")]


def test_several_bad_lines_are_told_together_but_not_all_of_many(tmp_path: Path) -> None:
    assert [place for _, _, place in found(tmp_path, b"x\n" * 100)] == [f"data/a.jsonl:{n}:1" for n in range(1, 6)]


@pytest.mark.parametrize("data", [b"", b"\n\n", b'{"text": ""}\n'])
def test_data_without_text_is_told_where_the_blueprint_names_it(tmp_path: Path, data: bytes) -> None:
    message = "`data/a.jsonl` has no text of two tokens or more."
    assert found(tmp_path, data) == [(Code.BAD_EVALUATION_DATA, message, str(MODEL.evaluation_place))]


def test_prompts_alone_are_too_little_and_what_each_task_reads_is_told(tmp_path: Path) -> None:
    path = tmp_path / MODEL.evaluation_data
    path.parent.mkdir()
    path.write_text('{"prompt": "a", "answer": "b"}\n')
    [finding] = texts.check(tmp_path, MODEL)
    assert finding.message == (
        "`data/a.jsonl` has `prompt` on its lines and `text` on none, which all figures but `taskAccuracy` are "
        "measured on."
    )
    assert finding.help == (
        'Each line is an object with a string `text`: {"text": "…"}. text-generation reads `text`, and beside texts '
        "`prompt` with `answer`; embeddings reads `text`; text-classification reads `text` and `label`."
    )
