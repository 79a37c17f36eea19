"""Evaluation data: JSON Lines, one object a line.

`{"text": …}`; with a `label` for classification; for tasks of a text generator also `{"prompt": …, "answer": "…"}`, or
`{"prompt": …, "choices": […], "answer": 0}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.evaluation.metrics import TEXT_CLASSIFICATION, TEXT_GENERATION
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.fleet.graph import Model

MOST_FINDINGS = 5
_HALF = "The line has half of a character: a surrogate (`\\ud800` to `\\udfff`) that has no other beside it."
HELP = 'Each line is an object with a string `text`: {"text": "…"}.'
_LABEL_HELP = 'Each line is an object with a string `text` and its label: {"text": "…", "label": "…"}.'
_READ = (
    "text-generation reads `text`, and beside texts `prompt` with `answer`; embeddings reads `text`; "
    "text-classification reads `text` and `label`."
)


class BadLine(Exception):
    """A line cannot be used; `number` is 1-based."""

    def __init__(self, number: int, line: bytes, message: str) -> None:
        super().__init__(message)
        self.number = number
        self._line = line

    def at(self, file: str, code: Code, help: str) -> Diagnostic:
        """The same as a finding at the line. `file` is relative to the workspace."""
        return Diagnostic(code, str(self), line_of(file, self.number, self._line), help=help)


class MissingField(BadLine):
    """The line may be meant for another task."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: a text, perhaps with its label, or a prompt. `answer` is a text, or with `choices` the number of one."""

    text: str | None = None
    label: str | int | None = None
    prompt: str | None = None
    answer: str | int = ""
    choices: tuple[str, ...] = ()


def read(path: Path) -> Iterator[str]:
    """The `text` of every line that has one, one after the other. Raises BadLine."""
    for one in entries(path, TEXT_GENERATION):
        if one.text is not None:
            yield one.text


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The `text` of every line that has one, with the line's number, from 1. Raises BadLine."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and (text := entry(number, line, TEXT_GENERATION).text) is not None:
                yield number, text


def entries(path: Path, task: str) -> Iterator[Entry]:
    """Every line that is not blank, as the task uses it. Raises BadLine."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield entry(number, line, task)


def has_prompts(path: Path) -> bool:
    """Whether a line has a `prompt`. What is wrong with others is not this question's business."""
    with path.open("rb") as file:
        for line in file:
            try:
                if b'"prompt"' in line and entry(0, line, TEXT_GENERATION).prompt is not None:
                    return True
            except BadLine:
                continue
    return False


def check(workspace: Path, model: Model) -> list[Diagnostic]:
    """What is wrong with a model's evaluation data, before anything is built for it."""
    path = workspace / model.evaluation_data
    found: list[Diagnostic] = []
    empty, prompts = True, False
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                one = entry(number, line, model.task) if line.strip() else Entry()
                empty = empty and not one.text
                prompts = prompts or one.prompt is not None
            except BadLine as error:
                empty = False
                found.append(unusable(error, model.evaluation_data, model.task))
                if len(found) == MOST_FINDINGS:
                    break
    return [too_little(model, prompts)] if empty else found


def unusable(error: BadLine, file: str, task: str) -> Diagnostic:
    """The finding at a line of evaluation data. `file` is relative to the workspace."""
    return error.at(file, Code.BAD_EVALUATION_DATA, _help(task, isinstance(error, MissingField)))


def too_little(model: Model, prompts: bool = False) -> Diagnostic:
    """Data from which nothing can be measured; with `prompts` there are some of those."""
    least = "of two tokens or more" if model.task == TEXT_GENERATION else "with a token"
    message = f"`{model.evaluation_data}` has no text {least}."
    if prompts:
        message = f"`{model.evaluation_data}` has `prompt` on its lines and `text` on none, which all figures but "
        message += "`taskAccuracy` are measured on."
    return Diagnostic(Code.BAD_EVALUATION_DATA, message, model.evaluation_place, help=_help(model.task, prompts))


def line_of(file: str, number: int, line: bytes) -> Span:
    """The place of a line, from 1, of a file of the workspace."""
    shown = line.decode("utf-8", "replace").rstrip("\r\n")
    # The lines before it are not needed to show this one.
    source = Source(file, "\n" * (number - 1) + shown)
    return Span(source, number, 1, max(1, len(shown)))


def entry(number: int, line: bytes, task: str) -> Entry:
    """A line that is not blank, as the task uses it; `number` is its own, from 1. Raises BadLine."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine(number, line, "The line is not JSON in UTF-8.") from None
    if (b"\\u" in line or b"\xed" in line) and not _is_text(value):
        raise BadLine(number, line, _HALF)
    if task == TEXT_GENERATION and isinstance(value, dict) and isinstance(value.get("prompt"), str):
        return _prompt(number, line, value)
    if isinstance(value, dict) and "text" not in value:
        what = "has a `prompt` and no `text`" if "prompt" in value else "has no `text`"
        raise MissingField(number, line, f"The line {what}.")
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise BadLine(number, line, "The line is not an object with a string `text`.")
    label = value.get("label")
    if task != TEXT_CLASSIFICATION:
        return Entry(value["text"])
    if not isinstance(label, str | int) or isinstance(label, bool):
        raise MissingField(number, line, "The line has no `label`: a text, or the label's number.")
    return Entry(value["text"], label)


def _is_text(value: Any) -> bool:
    """Whether JSON can be written in UTF-8: half of a character, which Python reads, no tokenizer takes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _prompt(number: int, line: bytes, value: Mapping[str, Any]) -> Entry:
    answer, choices = value.get("answer"), value.get("choices")
    if choices is None:
        if not isinstance(answer, str) or not answer.strip():
            raise BadLine(number, line, "The line has a `prompt` and no `answer`, which is a text.")
        return Entry(prompt=value["prompt"], answer=answer)
    sound = isinstance(choices, list) and len(choices) > 1 and all(isinstance(c, str) and c for c in choices)
    if not sound:
        raise BadLine(number, line, "`choices` is not a list of two texts or more.")
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise BadLine(number, line, f"`answer` is not the number of one of the `choices`, 0 to {len(choices) - 1}.")
    return Entry(prompt=value["prompt"], answer=answer, choices=tuple(choices))


def _help(task: str, missing: bool) -> str:
    own = _LABEL_HELP if task == TEXT_CLASSIFICATION else HELP
    return f"{own} {_READ}" if missing else own
