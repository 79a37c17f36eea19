"""Evaluation data before a build: lines that no task can use, and texts that stand twice.

Intervals take every line for a draw of its own, and are too narrow where one is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compiler.artifact.evaluation import texts
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Blueprint
from compiler.fleet.paths import fault

_CHARACTERS = 4
"""Per token, of those that are looked at: few tokens are longer, and without a tokenizer nobody knows how far an
evaluation reads."""


def check_texts(workspace: Path, blueprint: Blueprint, *, lines: bool) -> list[Diagnostic]:
    """With `lines`, the first of each file that cannot be used; where all can, one warning if lines are repeated.

    Two texts are the same when all is that the task reads of their lines, labels aside.
    """
    found = []
    for name, model in blueprint.models.items():
        data = model.evaluate.data
        if fault(workspace, data, blueprint.places.value("models", name, "evaluate", "data")) is None:
            findings = _findings(workspace, data, model.task, _CHARACTERS * model.evaluate.max_tokens)
            found += [one for one in findings if lines or one.code is not Code.BAD_EVALUATION_DATA]
    return found


def _findings(workspace: Path, file: str, task: str, most: int) -> list[Diagnostic]:
    seen: dict[str, tuple[int, bytes]] = {}
    first: tuple[Span, Span] | None = None
    count = 0
    wrong: list[Diagnostic] = []
    try:
        for number, line, entry in _read(workspace / file, task, most):
            if isinstance(entry, texts.BadLine):
                wrong.append(texts.unusable(entry, file, task))
                continue
            digest = digests.of_value([entry.text, entry.prompt, entry.answer, list(entry.choices)])
            before = seen.setdefault(digest, (number, line))
            if before[0] != number:
                count += 1
                first = first or (texts.line_of(file, number, line), texts.line_of(file, *before))
    except OSError:
        return []
    if wrong or first is None:
        return wrong[: texts.MOST_FINDINGS]
    what = "A line repeats an earlier one" if count == 1 else f"{count} lines repeat earlier ones"
    message = f"{what}: intervals take each for new data, and are narrower than the data allow."
    help = "Leave each text in once."
    return [Diagnostic(Code.REPEATED_TEXTS, message, first[0], help=help, related=((first[1], "it was here before"),))]


def _read(path: Path, task: str, most: int) -> Iterator[tuple[int, bytes, texts.Entry | texts.BadLine]]:
    """Number, bytes and content of the lines that are not empty, or what is wrong with them, until `most` characters
    are read. Raises OSError."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = texts.entry(number, line, task) if line.strip() else texts.Entry()
            except texts.BadLine as error:
                yield number, line, error
                continue
            most -= len(entry.text or entry.prompt or "")
            if most < 0:
                return
            if entry.text or entry.prompt:
                yield number, line, entry
