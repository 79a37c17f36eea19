"""`slmc compile`: from blueprints to bundles and their lock."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from compiler import pipeline
from compiler.artifact.making.pace import Pace
from compiler.artifact.store.store import default_root
from compiler.base.workspace import OUTPUT
from compiler.cli import options
from compiler.cli.output import Output, hold
from compiler.fleet.select import Selection
from compiler.lock.commit import Destination
from compiler.lock.scope import Scope
from compiler.lock.text import NAME
from compiler.report.data import outcome_data
from compiler.report.outcome import Mode
from compiler.report.summary import summary_text


@click.command()
@options.workspace
@options.mode
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Put deploy/ and slmc.lock there.")
@options.selection
@options.jobs
@options.output_format
def command(
    workspace: Path, mode: Mode, out: Path | None, selection: Selection, jobs: int | None, output_format: str
) -> int:
    """Build the artifacts of WORKSPACE, write its bundles to deploy/ and their digests to slmc.lock.

    With --fleet, --cohort or --match only that part is compiled, and nothing else is changed.
    """
    output = Output(json=output_format == "json")
    request = _request(workspace, out, mode, selection)
    with output.meter() as meter:
        pace = Pace(jobs or 0, meter.advance)
        outcome = pipeline.compile(replace(request, whole=output.json, pace=pace), meter.begin)
    hold(outcome)
    if output.json:
        output.data(outcome_data(outcome))
    else:
        output.diagnostics(outcome.diagnostics)
        output.text(summary_text(outcome))
    if not selection.everything and outcome.tree and outcome.tree.pending and not outcome.failed():
        output.note("Only a part of the workspace was compiled: run `slmc compile` before you commit.")
    return int(outcome.exit)


def _request(workspace: Path, out: Path | None, mode: Mode, selection: Selection) -> pipeline.Request:
    folder = out or workspace
    lock = folder / NAME
    whole_fleets = not (selection.cohorts or selection.match)
    scope = Scope(frozenset(selection.fleets) if selection.fleets else None, whole_fleets)
    return pipeline.Request(
        workspace=workspace,
        destination=Destination(folder / OUTPUT, lock, dry=mode is Mode.CHECK, scope=scope),
        last=lock if lock.exists() else workspace / NAME,
        store=default_root(os.environ),
        mode=mode,
        selection=selection,
    )
