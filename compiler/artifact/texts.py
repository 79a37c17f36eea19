"""Evaluation data: JSON Lines, one `{"text": …}` per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.fleet.graph import Model

_MOST_FINDINGS = 5


class BadLine(Exception):
    """A line cannot be used; `number` is 1-based."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def read(path: Path) -> Iterator[str]:
    """The `text` of every line that is not blank, one after the other. Raises BadLine."""
    for _, text in numbered(path):
        yield text


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The same with the number of each line, from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, _text(number, line)


def check(workspace: Path, model: Model) -> list[Diagnostic]:
    """What is wrong with a model's evaluation data, before anything is built for it."""
    path = workspace / model.evaluation_data
    found: list[Diagnostic] = []
    empty = True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip() and _text(number, line):
                    empty = False
            except BadLine as error:
                empty = False
                found.append(_at_line(model, number, line, str(error)))
                if len(found) == _MOST_FINDINGS:
                    break
    return [too_little(model)] if empty else found


def too_little(model: Model) -> Diagnostic:
    """Data from which no token can be predicted."""
    return Diagnostic(
        Code.BAD_EVALUATION_DATA,
        f"`{model.evaluation_data}` has no text of two tokens or more.",
        model.evaluation_place,
        help='Each line is an object with a string `text`: {"text": "…"}.',
    )


def _text(number: int, line: bytes) -> str:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine(number, "The line is not JSON in UTF-8.") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise BadLine(number, "The line is not an object with a string `text`.")
    return str(entry["text"])


def _at_line(model: Model, number: int, line: bytes, message: str) -> Diagnostic:
    shown = line.decode("utf-8", "replace").rstrip("\r\n")
    # The lines before it are not needed to show this one.
    source = Source(model.evaluation_data, "\n" * (number - 1) + shown)
    return Diagnostic(
        Code.BAD_EVALUATION_DATA,
        message,
        Span(source, number, 1, max(1, len(shown))),
        help='Each line is an object with a string `text`: {"text": "…"}.',
    )
