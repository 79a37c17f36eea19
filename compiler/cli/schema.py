"""`slmc schema`: the JSON Schemas that editors complete and check with."""

from __future__ import annotations

from pathlib import Path

import click

from compiler.base import files
from compiler.blueprint.schema import all_schemas
from compiler.cli.output import Output


@click.command()
@click.argument("kind", type=click.Choice(["blueprint", "target"]), default="blueprint")
@click.option("--write", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Write all of them into DIR.")
def command(kind: str, folder: Path | None) -> int:
    """Print the JSON Schema of blueprints, or of `target.yaml`."""
    schemas = all_schemas()
    if folder is None:
        Output().text(schemas[f"{kind}.schema.json"].decode())
        return 0
    for name, data in schemas.items():
        files.write(folder / name, data)
        Output().note(f"wrote {folder / name}")
    return 0
