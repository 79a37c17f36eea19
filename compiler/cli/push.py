"""`slmc push`: the artifacts of the lock to where devices get them."""

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
from compiler.publish.push import Push
from compiler.publish.wanted import locked, wanted


@click.command()
@workspace_and_place("DESTINATION")
@retries
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
    with output.meter() as meter:
        remote, rebuild = connected(place, "pull,push", Patience(retries)), f"slmc build {workspace}"
        transfer = Push(Store(default_root(os.environ)), remote, meter.advance, rebuild, dry).run(artifacts)
    facts: dict[str, object] = {"destination": str(place), "dryRun": dry}
    return show(output, transfer, "to send" if dry else "sent", facts, empty=not artifacts)
