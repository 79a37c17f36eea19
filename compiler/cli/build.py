"""`slmc build`: artifacts into the store, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler import building
from compiler.artifact.making.pace import Pace
from compiler.artifact.store.store import default_root
from compiler.cli import options
from compiler.cli.output import Output
from compiler.plan.shards import Shard
from compiler.report.builds import build_data, build_text, verify_data, verify_text


def _shard(context: click.Context, parameter: click.Parameter, value: str | None) -> Shard:
    try:
        return Shard(1, 1) if value is None else Shard.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command()
@options.workspace
@click.option(
    "--shard",
    metavar="I/N",
    callback=_shard,
    help="Only part I of N of the artifacts, chosen by their keys: 1/N to N/N together are all of them.",
)
@click.option("--verify", is_flag=True, help="Build everything anew elsewhere and compare it with slmc.lock.")
@options.jobs
@options.output_format
def command(workspace: Path, shard: Shard, verify: bool, jobs: int | None, output_format: str) -> int:
    """Build and measure the artifacts of WORKSPACE into the store; write neither deploy/ nor slmc.lock.

    Gates and fit are for `slmc compile`, which finds the artifacts in the store. With --verify nothing is kept: exit 5
    when an artifact does not come out with the digest that slmc.lock has.
    """
    output = Output(json=output_format == "json")
    with output.meter() as meter:
        request = building.BuildRequest(workspace, default_root(os.environ), shard, Pace(jobs or 0, meter.advance))
        outcome = (building.verify if verify else building.build)(request, meter.begin)
    if output.json:
        output.data((verify_data if verify else build_data)(outcome))
        return int(outcome.exit)
    output.diagnostics(outcome.diagnostics)
    output.text((verify_text if verify else build_text)(outcome))
    if outcome.plan and not outcome.plan.actions:
        output.note("There is no artifact in this part." if shard.count > 1 else "There is no artifact to build.")
    return int(outcome.exit)
