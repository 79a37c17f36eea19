"""`slmc validate`: everything that can be known without building."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler import pipeline
from compiler.artifact.store.store import default_root
from compiler.cli import options
from compiler.cli.output import Output, hold
from compiler.report.data import outcome_data
from compiler.report.summary import fleets_text


@click.command()
@options.workspace
@options.output_format
def command(workspace: Path, output_format: str) -> int:
    """Check the blueprints and inventories of WORKSPACE. Nothing is built or written."""
    output = Output(json=output_format == "json")
    outcome = pipeline.validate(workspace, default_root(os.environ))
    hold(outcome)
    if output.json:
        output.data(outcome_data(outcome))
    else:
        output.diagnostics(outcome.diagnostics)
        if not outcome.failed():
            output.text(fleets_text(outcome.fleets))
    return int(outcome.exit)
