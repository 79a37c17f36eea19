"""The levels of overlays: a more specific match is laid over a more general one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.fleet.match import CLASS, DEVICE

FLEET, LABEL = "fleet", "label"
RESERVED = (FLEET, CLASS, LABEL, DEVICE)
"""Levels that no label of an order can be."""


@dataclass(frozen=True, slots=True)
class Levels:
    """fleet → class → the labels of the fleet's `order` → other labels → device."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, order: Iterable[str]) -> Levels:
        labels = [label for label in dict.fromkeys(order) if label not in RESERVED]
        return cls((FLEET, CLASS, *labels, LABEL, DEVICE))

    @property
    def device(self) -> int:
        return len(self.names) - 1

    def level(self, match: Mapping[str, Any]) -> int:
        """The level of an overlay: that of the most specific key of its match."""
        return max((self._of_key(key) for key in match), default=0)

    def _of_key(self, key: str) -> int:
        """A label that is not in the order may be called `fleet` or `label`: it has the level of other labels."""
        if key == DEVICE:
            return self.device
        known = key in self.names and key not in (FLEET, LABEL)
        return self.names.index(key if known else LABEL)
