"""The values of a run: its own, then those of the overlays that match, each with its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import RunOverrideSpec, RunSpec
from compiler.fleet.graph import Setting
from compiler.fleet.match import Clause

Path = tuple[str | int, ...]
Layer = Mapping[str, tuple[Any, Span | None]]
"""By path inside the run, spelt as in YAML (`threads`, `serve.port`, `environment.LANG`)."""

_SCALARS = {
    "model": "model", "recipe": "recipe", "threads": "threads", "contextLength": "context_length",
    "memoryLimit": "memory_limit",
}  # fmt: skip
_SERVE = ("image", "command", "port")


@dataclass(frozen=True, slots=True)
class RunLayer:
    """A run as the fleet declares it: whom it asks for, its values, where it stands."""

    name: str
    clause: Clause
    values: Layer
    place: Span


@dataclass(frozen=True, slots=True)
class OverlayLayer:
    """An overlay: whom it asks for, and its values by name of the run."""

    clause: Clause
    values: Mapping[str, Layer]


def layer(spec: RunSpec | RunOverrideSpec, path: Path, places: Places) -> dict[str, tuple[Any, Span | None]]:
    """The values that `spec`, written at `path`, gives. A run gives all of them: its defaults have no place."""
    values: dict[str, tuple[Any, Path]] = {key: (getattr(spec, name), (key,)) for key, name in _SCALARS.items()}
    serve = spec.serve
    values |= {f"serve.{key}": (getattr(serve, key) if serve else None, ("serve", key)) for key in _SERVE}
    values |= {f"environment.{key}": (text, ("environment", key)) for key, text in (spec.environment or {}).items()}
    whole = isinstance(spec, RunSpec)
    found: dict[str, tuple[Any, Span | None]] = {}
    for key, (value, inner) in values.items():
        if value is not None:
            found[key] = value, places.value(*path, *inner) if places.has(*path, *inner) else None
        elif whole:
            found[key] = None, None
    return found


def merge(layers: Iterable[tuple[int, Layer]]) -> tuple[dict[str, Setting], set[int]]:
    """Lay numbered layers over each other: per key, the last one wins.

    Also gives the numbers of the layers that made a value what it is. A layer that sets a
    value to what it already was is part of the provenance, but not one of them.
    """
    settings: dict[str, Setting] = {}
    makers: dict[str, int] = {}
    for number, values in layers:
        for key, (value, place) in values.items():
            last = settings.get(key)
            settings[key] = Setting(value, place, ((last.value, last.place), *last.overrode) if last else ())
            if last is None or last.value != value:
                makers[key] = number
    return settings, set(makers.values())


def check_command(values: Layer, path: Path, places: Places) -> list[Diagnostic]:
    """Report a command whose program systemd could not find."""
    command, _ = values.get("serve.command", (None, None))
    if not command or command[0].startswith("/"):
        return []
    place = places.value(*path, "serve", "command", 0)
    help = "A command begins with the absolute path of a program, such as `/usr/lib/slmc/slm-server`."
    return [Diagnostic(Code.BAD_VALUE, f"`{command[0]}` is not an absolute path.", place, help=help)]
