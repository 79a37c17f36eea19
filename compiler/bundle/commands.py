"""The words that start a run's server: its runtime's, with their placeholders filled."""

from __future__ import annotations

from types import MappingProxyType

from compiler.fleet.graph import Run
from compiler.fleet.runtimes import filled

CURRENT = "/var/lib/slmc/current"
"""Where the bundle that a device runs lies on it."""
HOST = "127.0.0.1"
IN_CONTAINER = MappingProxyType({"model": "/model", "bundle": "/bundle", "host": "0.0.0.0"})
"""Where a container sees the artifact and the bundle; its addresses are none of the device's."""

_LIMITS = {"outputTokens": 256, "queue": 8, "requestBytes": 1024 * 1024, "timeout": 60.0}


def command_of(run: Run, folder: str, context_length: int) -> tuple[str, ...] | None:
    """What a device starts: the run's own command as it is written, else its runtime's."""
    if run.command or run.runtime is None or run.runtime.command is None:
        return run.command
    places = {"model": folder, "bundle": CURRENT, "host": HOST}
    return filled(run.runtime.command, places | _values(run, context_length))


def arguments_of(run: Run, context_length: int) -> tuple[str, ...] | None:
    """What the entry point of the run's image is given; None when nobody says."""
    if run.runtime is None or run.runtime.arguments is None:
        return None
    return filled(run.runtime.arguments, {**IN_CONTAINER, **_values(run, context_length)})


def limits_of(run: Run) -> dict[str, float]:
    """By key of the blueprint, defaults filled in."""
    return _LIMITS | dict(run.limits)


def _values(run: Run, context_length: int) -> dict[str, str]:
    return {
        "run": run.name,
        "port": str(run.port),
        "threads": str(run.threads),
        "contextLength": str(context_length),
    }
