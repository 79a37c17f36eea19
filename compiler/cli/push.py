"""`slmc push`: the artifacts of the lock to where devices get them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler.artifact.store.store import Store, default_root
from compiler.base.diagnostics import Stop, exit_code
from compiler.cli import options
from compiler.cli.output import Output
from compiler.publish.connect import connect
from compiler.publish.destination import Place
from compiler.publish.failed import Failed
from compiler.publish.patience import Patience
from compiler.publish.push import Push
from compiler.publish.shown import transfer_data, transfer_text
from compiler.publish.wanted import locked, wanted
from compiler.report.data import verdict


@click.command()
@options.workspace_and_place("DESTINATION")
@options.retries
@click.option("--dry-run", "dry", is_flag=True, help="Send nothing; only ask what is there.")
@options.output_format
def command(workspace: Path, place: Place, retries: int, dry: bool, output_format: str) -> int:
    """Upload the artifacts that WORKSPACE's slmc.lock names from the store to DESTINATION.

    \b
    oci://HOST/REPOSITORY   a repository of an OCI registry
    file:///FOLDER, FOLDER  an OCI image layout, on a USB stick for example

    What is there already is not sent again. Credentials are those of `docker login` and `podman login`, or
    $SLMC_REGISTRY_USERNAME and $SLMC_REGISTRY_PASSWORD.
    """
    output = Output(json=output_format == "json")
    artifacts = wanted(workspace, locked(workspace))
    patience = Patience(retries)
    with output.meter() as meter:
        try:
            remote = connect(place, "pull,push", os.environ, patience)
        except Failed as failed:
            raise Stop(failed.alone()) from failed
        rebuild = f"slmc build {workspace}"
        transfer = Push(Store(default_root(os.environ)), remote, meter.advance, rebuild, dry).run(artifacts)
    code = exit_code(transfer.diagnostics)
    if output.json:
        found = {"destination": str(place), "dryRun": dry, "artifacts": transfer_data(transfer)}
        output.data(verdict(code, transfer.diagnostics) | found)
        return int(code)
    output.text(transfer_text(transfer, "to send" if dry else "sent"))
    output.diagnostics(transfer.diagnostics)
    if not artifacts:
        output.note("The lock names no artifact.")
    return int(code)
