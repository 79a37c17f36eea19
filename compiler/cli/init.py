"""`slmc init`: a workspace to start from, the same one that the documentation shows."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler.base import files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from compiler.base.shipped import shipped
from compiler.base.workspace import OUTPUT
from compiler.blueprint.schema import all_schemas
from compiler.cli.output import Output

_SCHEMA = "blueprint.schema.json"
_GENERATED = (OUTPUT, "slmc.lock")
_PIPELINES = ("github", "gitlab")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--ci", type=click.Choice(_PIPELINES), help="Whose pipeline to write (default: github).")
def command(folder: Path, ci: str | None) -> int:
    """Write a small workspace into DIR: a blueprint, an inventory, a real model, a CI pipeline.

    With --ci and a DIR that has a blueprint already, the pipeline alone.
    """
    alone = ci is not None and any(folder.glob("*.slmc.yaml"))
    wanted = _below(shipped("pipelines") / (ci or _PIPELINES[0]))
    if not alone:
        wanted |= _workspace()
    _refuse_to_overwrite(folder, wanted)
    output = Output()
    for name, data in wanted.items():
        files.write(folder / name, data)
    output.text("".join(f"{folder / name}\n" for name in sorted(wanted)))
    output.note("\nNext: commit them." if alone else f"\nNext: slmc compile {folder}")
    return 0


def _workspace() -> dict[str, bytes]:
    """The example's files by name, without what a compile generates, its schema beside it."""
    found = {_SCHEMA: all_schemas()[_SCHEMA], **_below(shipped("blueprints") / "hello")}
    blueprint = "hello.slmc.yaml"
    found[blueprint] = found[blueprint].replace(f"../../schemas/{_SCHEMA}".encode(), _SCHEMA.encode())
    return found


def _below(root: Path) -> dict[str, bytes]:
    """The files below a folder by name, without what a compile generates."""
    found = {}
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _GENERATED]
        for name in names:
            path = Path(parent, name)
            if name not in _GENERATED:
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def _refuse_to_overwrite(folder: Path, wanted: dict[str, bytes]) -> None:
    """Raise Stop when a file of another content is in the way; a run that was cut off may go on."""
    occupied = [
        name
        for name, data in sorted(wanted.items())
        if (folder / name).exists() and (folder / name).read_bytes() != data
    ]
    if occupied:
        raise Stop(
            *(
                Diagnostic(
                    Code.OCCUPIED_PATH,
                    f"`{folder / name}` is there already, with other content.",
                    file=str(folder / name),
                    help="Choose an empty folder. Nothing was written.",
                )
                for name in occupied
            )
        )
