"""`slmc test`: what is committed, tried within the limits of each class of devices."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from compiler.artifact.store.store import default_root
from compiler.base import files
from compiler.base.diagnostics import exit_code
from compiler.cli import options
from compiler.cli.output import Output
from compiler.fleet.match import CLASS
from compiler.fleet.select import Selection
from compiler.report.data import verdict
from compiler.testing.device_tests import Request, run_tests
from compiler.testing.junit import junit_xml
from compiler.testing.machine import ROOT_VARIABLE
from compiler.testing.shown import counts_text, results_data, results_text

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Asked:
    selection: Selection
    run: str | None


def _asked(function: F) -> F:
    """`--class`, `--fleet` and `--run`, one value: `asked`."""

    def choose(context: click.Context, parameter: click.Parameter, value: str | None) -> _Asked:
        classes, fleets = context.params.pop("classes", ()), context.params.pop("fleets", ())
        return _Asked(Selection(tuple(fleets), (), {CLASS: tuple(classes)} if classes else {}), value)

    chosen = click.option(
        "--class", "classes", metavar="NAME", multiple=True, is_eager=True, help="Only this class of devices."
    )
    fleet = click.option("--fleet", "fleets", metavar="NAME", multiple=True, is_eager=True, help="Only this fleet.")
    run = click.option("--run", "asked", metavar="NAME", callback=choose, help="Only runs of this name.")
    return chosen(fleet(run(function)))


@click.command()
@options.workspace
@_asked
@click.option(
    "--root",
    metavar="DIR",
    envvar=ROOT_VARIABLE,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"A file system for arm64 with the runtime in /opt/slmc (default: ${ROOT_VARIABLE}).",
)
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results there as JUnit XML, too.",
)
@options.output_format
def command(workspace: Path, asked: _Asked, root: Path | None, junit: Path | None, output_format: str) -> int:
    """Load each artifact of WORKSPACE's slmc.lock with slmc's own runtime and compare its golden answers.

    Each artifact once for each class of devices that runs it, within the memory and the processors that the run has
    there. What is for arm64 runs under qemu on another machine. Nothing is built: what the store lacks is an error.
    Exit code 4 when answers differ or the memory does not do, 5 when an artifact does not load.
    """
    output = Output(json=output_format == "json")
    with output.meter() as meter:
        request = Request(workspace, default_root(os.environ), asked.selection, asked.run, root)
        results, diagnostics = run_tests(request, meter.begin)
    if junit is not None:
        files.write(junit, junit_xml(results))
    code = exit_code(diagnostics)
    if output.json:
        output.data(verdict(code, diagnostics) | {"results": results_data(results)})
        return int(code)
    output.text(results_text(results))
    output.diagnostics(diagnostics)
    if results or not code:
        output.note(counts_text(results) or "Nothing to test: no run is on such devices.")
    return int(code)
