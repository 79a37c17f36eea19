"""`slmc converters`: the environments in which vendors' converters run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler.artifact.converters import environment
from compiler.artifact.store.store import default_root
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop, did_you_mean
from compiler.base.units import show_bytes
from compiler.cli import options
from compiler.cli.output import Output
from compiler.report.table import table


@click.group()
def command() -> None:
    """Install, list and remove the environments of converters, which lie in the store."""


@command.command("list")
@options.output_format
def list_(output_format: str) -> int:
    """List the converters, and whether they are installed."""
    output = Output(json=output_format == "json")
    found = environment.listed(_root())
    if output.json:
        output.data({"converters": [_data(name, found) for name in environment.names()]})
        return 0
    rows = [[name, _state(name, found), _size(name, found)] for name in environment.names()]
    output.text(table(["converter", "state", "size"], rows, right=(2,)))
    return 0


@command.command()
@click.argument("name")
def install(name: str) -> int:
    """Download a converter's packages and install them for itself alone."""
    output = Output()
    _check(name)
    try:
        folder = environment.install(_root(), name, output.note)
    except environment.Failed as error:
        output.note("".join(f"  {line}\n" for line in error.said).rstrip("\n"))
        raise Stop(_not_installed(name, str(error))) from None
    output.note(f"{name} is installed in {folder}")
    return 0


@command.command()
@click.argument("name")
def remove(name: str) -> int:
    """Remove a converter, and what is left of its older versions."""
    _check(name)
    removed = environment.remove(_root(), name)
    Output().note("".join(f"removed {folder}\n" for folder in removed).rstrip("\n") or f"{name} is not installed")
    return 0


def _root() -> Path:
    return default_root(os.environ) / environment.FOLDER


def _check(name: str) -> None:
    if name not in environment.names():
        raise click.UsageError(f"No converter is named {name}. {did_you_mean(name, environment.names())}")


def _not_installed(name: str, why: str) -> Diagnostic:
    return Diagnostic(
        Code.CONVERTER_MISSING,
        f"Converter `{name}` could not be installed: {why}. Nothing of it is left.",
        help="The packages are pinned for CPython 3.11 on x86-64 Linux, torch as its CPU build: pip needs an index or "
        "a folder of wheels (`PIP_FIND_LINKS`) that has it.",
    )


def _state(name: str, found: list[environment.Installed]) -> str:
    ours = [one for one in found if one.name == name]
    if any(one.current and one.ready for one in ours):
        return "installed"
    if any(one.current for one in ours):
        return "unfinished"
    return "of another version of slmc" if ours else "not installed"


def _size(name: str, found: list[environment.Installed]) -> str:
    taken = _bytes(name, found)
    return show_bytes(taken) if taken else ""


def _bytes(name: str, found: list[environment.Installed]) -> int:
    """Of all versions."""
    folders = [one.folder for one in found if one.name == name]
    return sum(path.lstat().st_size for folder in folders for path in folder.rglob("*"))


def _data(name: str, found: list[environment.Installed]) -> dict[str, object]:
    return {"name": name, "state": _state(name, found), "bytes": _bytes(name, found)}
