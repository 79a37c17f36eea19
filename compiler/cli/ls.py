"""`slmc ls`: what a workspace has."""

from __future__ import annotations

from pathlib import Path

import click

from compiler import pipeline
from compiler.base.diagnostics import exit_code, has_errors
from compiler.cli import options
from compiler.cli.output import Output
from compiler.fit.choose import decided
from compiler.fleet.select import Selection, select
from compiler.lock.text import NAME, read
from compiler.report.data import verdict
from compiler.report.listing import LISTINGS, listing_csv, listing_data, listing_text


@click.command()
@click.argument("what", type=click.Choice(list(LISTINGS)))
@options.directory
@options.selection
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="For people, for spreadsheets or for tools.",
)
def command(what: str, directory: str | None, selection: Selection, output_format: str) -> int:
    """List the devices, cohorts or artifacts of a workspace. Of artifacts, size and digest are those of slmc.lock."""
    output, workspace = Output(json=output_format == "json"), Path(directory or ".")
    outcome = pipeline.validate(workspace, locked=True)
    lock = outcome.take(read(workspace / NAME))
    fleets = outcome.take(select(outcome.fleets, selection)) if not outcome.failed() else ()
    listing = LISTINGS[what](decided(fleets, lock.decisions), lock)
    if output.json:
        output.data(verdict(outcome.exit, outcome.diagnostics) | {what: listing_data(listing)})
        return int(exit_code(outcome.diagnostics))
    output.diagnostics(outcome.diagnostics)
    if not has_errors(outcome.diagnostics):
        output.text(listing_text(listing) if output_format == "table" else listing_csv(listing))
        output.note(f"{len(listing.rows):,} {what if len(listing.rows) != 1 else what[:-1]}")
    return int(exit_code(outcome.diagnostics))
