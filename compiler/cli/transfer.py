"""What `slmc push` and `slmc pull` share: the place that they talk to, and what they show in the end."""

from __future__ import annotations

import os

from compiler.base.diagnostics import Stop, exit_code
from compiler.cli.output import Output
from compiler.publish.connect import connect
from compiler.publish.destination import Place
from compiler.publish.failed import Failed
from compiler.publish.patience import Patience
from compiler.publish.remote import Remote
from compiler.publish.shown import transfer_data, transfer_text
from compiler.publish.transfer import Transfer
from compiler.report.data import verdict


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
