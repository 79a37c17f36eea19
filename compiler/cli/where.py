"""`slmc where`: the line that set a value, of a blueprint or in a generated file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from compiler import pipeline, questions
from compiler.artifact.store.store import default_root
from compiler.base.diagnostics import exit_code, has_errors
from compiler.cli import options
from compiler.cli.asked import AskedFile, asked_file
from compiler.cli.output import Output
from compiler.fit.choose import decided
from compiler.fleet.where import where
from compiler.lock.text import NAME, read
from compiler.report.grounds import LockText, lock_text
from compiler.report.outcome import Outcome


@click.command()
@click.argument("path")
@options.directory
@click.option("--device", metavar="ID", help="The value on this device (default: over all devices).")
@options.output_format
def command(path: str, directory: str | None, device: str | None, output_format: str) -> int:
    """Say which line set the value at PATH, such as fleets.shops.runs.assistant.threads, or each value on a line of
    a generated file, such as deploy/shops/till/systemd/slmc-assistant.service:14 (without :14, on all lines).
    """
    output = Output(json=output_format == "json")
    asked = asked_file(path, directory)
    workspace = asked.workspace if asked else Path(directory or ".")
    outcome = pipeline.validate(workspace, None)
    if outcome.failed():
        output.diagnostics(outcome.diagnostics)
        return int(outcome.exit)
    lock, damage = read(workspace / NAME)
    # Not the warnings about other things than what was asked.
    outcome.diagnostics = damage if asked else []
    outcome.fleets = decided(outcome.fleets, lock.decisions)
    known = lock_text(workspace / NAME, lock)
    text, data = _of_file(outcome, asked, known, device) if asked else _of_path(outcome, known, path, device)
    if output.json:
        from compiler.report.data import verdict

        output.data(verdict(exit_code(outcome.diagnostics), outcome.diagnostics) | data)
    else:
        output.diagnostics(outcome.diagnostics)
        if not has_errors(outcome.diagnostics):
            output.text(text)
            if remark := data.get("remark"):
                output.note(remark)
    return int(exit_code(outcome.diagnostics))


def _of_path(outcome: Outcome, lock: LockText, path: str, device: str | None) -> tuple[str, dict[str, Any]]:
    from compiler.report.computed import computed
    from compiler.report.where import where_data, where_text

    answer = outcome.take(where(outcome.fleets, path, device))
    if outcome.failed():
        return "", {}
    found = computed(answer, outcome, lock)
    return where_text(answer, found), where_data(answer, found)


def _of_file(outcome: Outcome, asked: AskedFile, lock: LockText, device: str | None) -> tuple[str, dict[str, Any]]:
    from compiler.report.generated import chosen, explain, locate, remark
    from compiler.report.where import FileAnswer, file_data, file_text

    located = outcome.take(locate(outcome.fleets, asked.path))
    if located is None:
        return "", {}
    if located.cohort and not outcome.failed():
        questions.recall(outcome, asked.workspace, default_root(os.environ), lock.lock, (located.alone,))
    if outcome.failed():
        return "", {}
    explained, given = outcome.take(explain(outcome, located, lock, device))
    lines = outcome.take(chosen(explained, asked.name, asked.line))
    if outcome.failed():
        return "", {}
    answer = FileAnswer(asked.name, device, lines, asked.line is not None, remark(asked.on_disk, asked.name, given))
    return file_text(answer), file_data(answer)
