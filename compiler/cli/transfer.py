"""What `slmc push` and `slmc pull` share: options, the place that they talk to, and what they show in the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from compiler.base.diagnostics import Stop, exit_code
from compiler.cli.options import directory
from compiler.cli.output import Output
from compiler.publish.connect import connect
from compiler.publish.destination import Place, parse
from compiler.publish.failed import Failed
from compiler.publish.patience import Patience
from compiler.publish.remote import Remote
from compiler.publish.shown import transfer_data, transfer_text
from compiler.publish.transfer import Transfer
from compiler.report.data import verdict

F = TypeVar("F", bound=Callable[..., Any])


def workspace_and_place(name: str) -> Callable[[F], F]:
    """`[WORKSPACE] NAME`, `-C DIR` and `--plain-http`: the values `workspace` and `place`."""

    def choose(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> Place:
        folder, plain = context.params.pop("directory", None), context.params.pop("plain", False)
        if not 1 <= len(value) <= 2:
            raise click.UsageError(f"Give a {name}, and before it the workspace if it is another folder.", context)
        if folder is not None and len(value) == 2:
            raise click.UsageError("Give the workspace once: as -C DIR or as the argument.", context)
        context.params["workspace"] = Path(value[0] if len(value) == 2 else folder or ".")
        try:
            return parse(value[-1], plain)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", context, parameter) from error

    def decorate(function: F) -> F:
        argument = click.argument("place", metavar=f"[WORKSPACE] {name}", nargs=-1, callback=choose)
        plain = click.option("--plain-http", "plain", is_flag=True, is_eager=True, help="http, for a local registry.")
        return argument(directory(plain(function)))

    return decorate


def retries(function: F) -> F:
    """`--retries N`."""
    return click.option(
        "--retries",
        metavar="N",
        type=click.IntRange(min=0),
        default=5,
        help="How often something is tried again in a row (default: 5).",
    )(function)


def connected(place: Place, access: str, patience: Patience) -> Remote:
    """`access` as for `connect`. Raises Stop."""
    try:
        return connect(place, access, os.environ, patience)
    except Failed as failed:
        raise Stop(failed.alone()) from failed


def show(output: Output, transfer: Transfer, column: str, facts: dict[str, object], empty: bool) -> int:
    """The exit code. `column` is as for `transfer_text`, `facts` are for tools; `empty`: the lock names no artifact."""
    code = exit_code(transfer.diagnostics)
    if output.json:
        output.data(verdict(code, transfer.diagnostics) | facts | {"artifacts": transfer_data(transfer)})
        return int(code)
    output.text(transfer_text(transfer, column))
    output.diagnostics(transfer.diagnostics)
    if empty:
        output.note("The lock names no artifact.")
    return int(code)
