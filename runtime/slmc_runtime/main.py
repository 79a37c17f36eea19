"""The command `slmc-serve`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from slmc_runtime import __version__, check, libraries
from slmc_runtime.bundle import Bundle, check_artifact, check_machine, open_bundle
from slmc_runtime.config import Run
from slmc_runtime.log import say
from slmc_runtime.refused import SYSTEM, Refused

_PATIENCE = 5.0
"""Seconds that the model's process has to end, once the server has closed its end."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve, or check; what cannot be done is said in one line, with an exit code of its own (`refused`)."""
    asked = _parser().parse_args(arguments)
    libraries.silence()
    try:
        bundle = open_bundle(asked.bundle, asked.run, os.environ)
        if asked.check:
            _checked(check.check(bundle))
        _serve(bundle)
    except Refused as error:
        if asked.check:
            _checked(check.refused(asked.bundle, asked.run, error))
        say(str(error))
        sys.exit(error.code)
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slmc-serve",
        description="Serve the model of one run of a bundle.",
        epilog="Settings of a container: SLMC_MODEL, SLMC_HOST, SLMC_PORT, SLMC_THREADS, SLMC_CONTEXT_LENGTH.",
        allow_abbrev=False,
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle's folder")
    parser.add_argument("--run", required=True, metavar="NAME", help="the run in its serve.json")
    parser.add_argument("--check", action="store_true", help="load the artifact, check its golden answers, and end")
    parser.add_argument("--version", action="version", version=f"slmc-serve {__version__}")
    return parser


def _checked(found: dict[str, object]) -> NoReturn:
    print(check.text(found), flush=True)
    if found["error"] is not None:
        say(str(found["error"]))
    sys.exit(int(found["error"] is not None))


def _serve(bundle: Bundle) -> None:
    """Raises Refused."""
    check_machine(bundle.run)
    check_artifact(bundle, digests=False)
    port = _port(bundle.run)
    ours, theirs = socket.socketpair()
    # Before anything is imported that starts threads, or that only one of the two needs.
    model = os.fork()
    if model == 0:
        port.close()
        ours.close()
        _model(theirs, bundle)
    theirs.close()
    from slmc_runtime.server import serve

    try:
        serve(bundle, port, ours, model)
    finally:
        ours.close()
        _reap(model)


def _model(end: socket.socket, bundle: Bundle) -> NoReturn:
    """The other process: it never comes back to what its parent would do next."""
    code = 1
    try:
        from slmc_runtime.worker import work

        work(end, bundle)
        code = 0
    except BaseException as error:
        say(f"the model's process failed: {type(error).__name__}")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _reap(model: int) -> None:
    """See the model's process end, and end it when it does not."""
    until = time.monotonic() + _PATIENCE
    while os.waitpid(model, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(model, signal.SIGKILL)
            until = float("inf")
        time.sleep(0.01)


def _port(run: Run) -> socket.socket:
    """Raises Refused."""
    family = socket.AF_INET6 if ":" in run.host else socket.AF_INET
    try:
        return socket.create_server((run.host, run.port), family=family, backlog=128)
    except OSError as error:
        said = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
        raise Refused(SYSTEM, f"port {run.port} of {run.host} {said}") from None
