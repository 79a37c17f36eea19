"""How much is measured: the whole, a quick look, or a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """`devices` is the size of the fleet that all tools compile; `sizes` are those that growth is measured on."""

    devices: int
    sizes: tuple[int, ...]
    slow_peers: bool
    """kapitan, KCL and kustomize too."""
    peers: bool
    """Tools that have to be installed first."""
    rounds: int

    @property
    def largest(self) -> int:
        return max(self.sizes)


WHOLE = Extent(10_000, (1_000, 10_000, 100_000), slow_peers=True, peers=True, rounds=3)
QUICK = Extent(1_000, (100, 1_000), slow_peers=False, peers=True, rounds=3)
TINY = Extent(100, (100,), slow_peers=False, peers=False, rounds=1)

KUSTOMIZE = (250, 1_000)
"""Devices for kustomize, which takes minutes for more."""
YAML_DEVICES = 1_000
"""Of the text that is read for the speed of YAML, at least."""
