"""`slmc agent`: the program that pulls releases onto devices with systemd, for an image or a package."""

from __future__ import annotations

from pathlib import Path

import click

from compiler.base import files
from compiler.base.shipped import shipped
from compiler.cli.output import Output


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> int:
    """Write the agent into DIR, such as /usr/lib/slmc of an image; what is there of an earlier one goes."""
    agent = _agent()
    for name, data in agent.items():
        files.write(folder / name, data, 0o755 if name == "slmc-agent" else 0o644)
    for found in sorted((folder / "lib").glob("*.sh")):
        if f"lib/{found.name}" not in agent:
            files.remove(found)
    output = Output()
    output.text("".join(f"{folder / name}\n" for name in sorted(agent)))
    output.note(f"\nNext, on the device: {folder / 'slmc-agent'} install")
    return 0


def _agent() -> dict[str, bytes]:
    """The agent's files by name."""
    folder = shipped("agent")
    found = [folder / "slmc-agent", *(folder / "lib").glob("*.sh")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
