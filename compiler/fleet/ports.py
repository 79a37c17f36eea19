"""The ports of the runs of one device."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_PORT = 8080
"""Runs without a port of their own get this one and the next free ones, in the order of the runs."""


def give_ports(wanted: Mapping[str, int | None]) -> dict[str, int]:
    """A port for each run: the one it asks for, else the next free one from FIRST_PORT on."""
    taken = set(wanted.values())
    ports = {}
    free = FIRST_PORT
    for scope, port in wanted.items():
        if port is None:
            while free in taken:
                free += 1
            port = free
            taken.add(free)
        ports[scope] = port
    return ports
