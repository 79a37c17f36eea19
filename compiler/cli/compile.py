"""`slmc compile`: from blueprints to bundles and their lock."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from compiler import pipeline
from compiler.artifact.store import default_root
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
@click.option(
    "--check", is_flag=True, help="Write nothing; exit 3 when the committed tree is not what the blueprint gives."
)
@click.option("--locked", is_flag=True, help="Build nothing; take every artifact from slmc.lock.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Put deploy/ and slmc.lock there.")
@options.selection
@options.output_format
def command(
    workspace: Path, check: bool, locked: bool, out: Path | None, selection: Selection, output_format: str
) -> int:
    """Build the artifacts of WORKSPACE, write its bundles to deploy/ and their digests to slmc.lock.

    With --fleet, --cohort or --match only that part is compiled, and nothing else is changed.
    """
    if check and locked:
        raise click.UsageError("--check and --locked exclude each other: --check writes nothing and builds nothing.")
    output = Output(json=output_format == "json")
    mode = Mode.CHECK if check else Mode.LOCKED if locked else Mode.COMPILE
    request = _request(workspace, out, mode, selection)
    outcome = pipeline.compile(replace(request, whole=output.json), output.note)
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
        destination=Destination(folder / "deploy", lock, dry=mode is Mode.CHECK, scope=scope),
        last=lock if lock.exists() else workspace / NAME,
        store=default_root(os.environ),
        mode=mode,
        selection=selection,
    )
