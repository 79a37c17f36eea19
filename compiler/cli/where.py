"""`slmc where`: the line that set a value."""

from __future__ import annotations

from pathlib import Path

import click

from compiler import pipeline
from compiler.base.diagnostics import exit_code, has_errors
from compiler.cli import options
from compiler.cli.output import Output
from compiler.fleet.where import where
from compiler.report.where import where_text


@click.command()
@click.argument("path")
@options.directory
@click.option("--device", metavar="ID", help="The value on this device (default: over all devices).")
def command(path: str, directory: str | None, device: str | None) -> int:
    """Say which line set the value at PATH, such as fleets.shops.runs.assistant.threads."""
    output = Output()
    outcome = pipeline.validate(Path(directory or "."))
    if outcome.failed():
        output.diagnostics(outcome.diagnostics)
        return int(outcome.exit)
    answer, diagnostics = where(outcome.fleets, path, device)
    output.diagnostics(diagnostics)
    if not has_errors(diagnostics):
        output.text(where_text(answer))
    return int(exit_code(diagnostics))
