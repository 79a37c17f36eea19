"""Runtimes: the workspace's own and slmc's, and what the placeholders in their words stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.shipped import shipped
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.merge import merge
from compiler.blueprint.runtime_spec import RuntimeSpec
from compiler.fleet.catalogue import PREFIX
from compiler.fleet.graph import Runtime
from compiler.syntax.read import read

PLACEHOLDERS = ("model", "bundle", "run", "host", "port", "threads", "contextLength")
_FILE = "runtimes.slmc.yaml"
_PLACEHOLDER = re.compile(r"\{([A-Za-z]+)\}")


def filled(words: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words with each placeholder's value. Braces around anything else stay."""
    return tuple([_PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word) for word in words])


def runtimes_of(blueprint: Blueprint) -> dict[str, Runtime]:
    """By what a run calls them: `builtin/NAME`, or the name under `runtimes:`."""
    own = {name: _runtime(name, spec) for name, spec in blueprint.runtimes.items()}
    return {**_shipped(), **own}


def check_runtimes(blueprint: Blueprint) -> list[Diagnostic]:
    """Words of the workspace's own runtimes that name no placeholder, and programs that systemd could not find."""
    return [finding for name, spec in blueprint.runtimes.items() for finding in _faults(name, spec, blueprint)]


@cache
def _shipped() -> dict[str, Runtime]:
    document, _ = read(shipped("catalogue") / _FILE, PREFIX + _FILE)
    blueprint, _ = merge([document] if document else [])
    return {PREFIX + name: _runtime(PREFIX + name, spec) for name, spec in blueprint.runtimes.items()}


def _runtime(name: str, spec: RuntimeSpec) -> Runtime:
    return Runtime(
        name,
        spec.image,
        tuple(spec.command) if spec.command else None,
        tuple(spec.arguments) if spec.arguments is not None else None,
        tuple(spec.tasks or ()),
        spec.probes.live,
        spec.probes.ready,
        spec.probes.metrics,
        spec.notify,
        spec.configuration,
        tuple(sorted(spec.environment.items())),
    )


def _faults(name: str, spec: RuntimeSpec, blueprint: Blueprint) -> Iterator[Diagnostic]:
    for key in ("command", "arguments"):
        for index, word in enumerate(getattr(spec, key) or ()):
            place = blueprint.places.value("runtimes", name, key, index)
            for found in _PLACEHOLDER.finditer(word):
                if found[1] not in PLACEHOLDERS:
                    known = ", ".join(f"`{{{one}}}`" for one in PLACEHOLDERS)
                    help = did_you_mean(found[1], PLACEHOLDERS, f"There are {known}.")
                    yield Diagnostic(Code.UNKNOWN_REFERENCE, f"No value is named `{found[0]}`.", place, help)
            if key == "command" and index == 0 and not word.startswith("/"):
                help = "A command begins with the absolute path of a program, such as `/usr/bin/llama-server`."
                yield Diagnostic(Code.BAD_VALUE, f"`{word}` is not an absolute path.", place, help)
