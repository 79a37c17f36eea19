"""`slmc pull`: the artifacts of the lock from where they were pushed to."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler.artifact.store.store import Store, default_root
from compiler.cli import options
from compiler.cli.output import Output
from compiler.cli.transfer import connected, retries, show, workspace_and_place
from compiler.publish.destination import Place
from compiler.publish.patience import Patience
from compiler.publish.pull import Pull
from compiler.publish.wanted import locked, wanted


@click.command()
@workspace_and_place("SOURCE")
@retries
@click.option("--dry-run", "dry", is_flag=True, help="Fetch nothing; only ask what is there.")
@options.output_format
def command(workspace: Path, place: Place, retries: int, dry: bool, output_format: str) -> int:
    """Fetch the artifacts that WORKSPACE's slmc.lock names from SOURCE into the store, each verified by its digest.

    SOURCE is what `slmc push` takes as its destination. What the store has is not fetched, and what an interrupted run
    got of a large file is kept.
    """
    output = Output(json=output_format == "json")
    artifacts = wanted(workspace, locked(workspace))
    patience = Patience(retries)
    with output.meter() as meter:
        remote = connected(place, "pull", patience)
        transfer = Pull(Store(default_root(os.environ)), remote, meter.advance, patience, dry).run(artifacts)
    facts: dict[str, object] = {"source": str(place), "dryRun": dry}
    return show(output, transfer, "to fetch" if dry else "fetched", facts, empty=not artifacts)
