"""`slmc cache`: what the store holds, whether it is whole, and making it smaller."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler.artifact.store import cache
from compiler.artifact.store.store import Store, default_root
from compiler.base.diagnostics import Stop, exit_code
from compiler.base.spelling import plain
from compiler.base.units import show_bytes
from compiler.cli import options
from compiler.cli.output import Output
from compiler.lock.text import NAME, read
from compiler.report.data import diagnostic_data
from compiler.report.table import table


@click.group()
def command() -> None:
    """See, check and prune the store of artifacts: $SLMC_STORE, else ~/.cache/slmc."""


@command.command("list")
@options.output_format
def list_(output_format: str) -> int:
    """List the artifacts in the store."""
    output, store = Output(json=output_format == "json"), _store()
    entries, diagnostics = cache.entries(store)
    if output.json:
        found = [diagnostic_data(diagnostic) for diagnostic in diagnostics]
        output.data({"artifacts": [plain(entry) for entry in entries], "diagnostics": found})
    else:
        output.diagnostics(diagnostics)
        if entries:
            rows = [
                [entry.label.name, entry.digest.removeprefix("sha256:")[:12], show_bytes(entry.size)]
                for entry in entries
            ]
            output.text(table(["artifact", "digest", "size"], rows, right=(2,)))
        output.note(f"{len(entries)} artifacts in {store.root}")
    return int(exit_code(diagnostics))


@command.command()
def verify() -> int:
    """Compare every blob with its digest; exit 1 when one is damaged. A compile builds those anew.

    An index that is damaged is written anew with what can be read of it.
    """
    output = Output()
    damage, diagnostics = cache.verify(_store())
    output.diagnostics(diagnostics)
    output.text("".join(f"{found.artifact}: {found.digest} {found.why}\n" for found in damage))
    if not damage and not diagnostics:
        output.note("Every blob is what its digest says.")
    return 1 if damage or diagnostics else 0


@command.command()
@click.option(
    "--keep", metavar="WORKSPACE", multiple=True, type=click.Path(path_type=Path), help="Drop what no such lock names."
)
@click.option("--all", "everything", is_flag=True, help="Drop every artifact.")
def prune(keep: tuple[Path, ...], everything: bool) -> int:
    """Free space. Without options only leftovers go, and what recipes share on their way to artifacts; what is dropped
    can be built again."""
    if keep and everything:
        raise click.UsageError("--keep and --all exclude each other.")
    pruned = cache.prune(_store(), _keys(keep) if keep else set() if everything else None)
    Output().text("".join(f"dropped {name}\n" for name in pruned.artifacts) + f"{show_bytes(pruned.freed)} freed\n")
    return 0


def _keys(workspaces: tuple[Path, ...]) -> set[str]:
    """The keys of the artifacts that the workspaces' locks name. Raises Stop for an unreadable lock, UsageError
    for a missing one."""
    keys: set[str] = set()
    for workspace in workspaces:
        if not (workspace / NAME).exists():
            raise click.UsageError(f"{workspace} has no {NAME}: nothing of it could be kept. Nothing was dropped.")
        lock, diagnostics = read(workspace / NAME)
        if diagnostics:
            raise Stop(*diagnostics)
        keys |= {entry.artifact.key for entry in lock.artifacts.values()}
    return keys


def _store() -> Store:
    return Store(default_root(os.environ))
