"""Which runs and overlays apply to which devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.fleet.graph import Device

CLASS, DEVICE = "class", "device"
_COMPARABLE = 5000


@dataclass(frozen=True, slots=True)
class Clause:
    """One `match:`. A device matches when for each key it has one of the values.

    `class` is the exact name in the inventory's class column: a class that extends the
    named one does not match. `device` is the id; every other key is a label.
    """

    path: tuple[str | int, ...]
    """Of the run or overlay in the blueprint: `("fleets", "shops", "overlays", 0)`."""
    match: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, path: tuple[str | int, ...], match: Mapping[str, str | list[str]]) -> Clause:
        return cls(path, {key: (value,) if isinstance(value, str) else tuple(value) for key, value in match.items()})

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What it asks beside the class."""
        return {key: values for key, values in self.match.items() if key != CLASS}

    def items(self, places: Places) -> Iterator[tuple[str, str, Span]]:
        """Each key and value with the value's place."""
        for key, values in self.match.items():
            at = (*self.path, "match", key)
            for index, value in enumerate(values):
                written = places.has(*at, index)
                yield key, value, places.value(*at, index) if written else places.value(*at)


class Matcher:
    """Finds all clauses that match a device at once: bit `i` of the answer stands for clause `i`."""

    def __init__(self, clauses: Iterable[Clause]) -> None:
        listed = list(clauses)
        self._all = (1 << len(listed)) - 1
        self._by_value: dict[str, dict[str, int]] = {}
        self._free: dict[str, int] = {}
        for index, clause in enumerate(listed):
            for key, values in clause.match.items():
                bits = self._by_value.setdefault(key, {})
                self._free[key] = self._free.get(key, self._all) & ~(1 << index)
                for value in values:
                    bits[value] = bits.get(value, 0) | 1 << index
        self._labels = [
            (key, bits, self._free[key]) for key, bits in self._by_value.items() if key not in (CLASS, DEVICE)
        ]

    def clauses_of(self, device: Device) -> int:
        found = self._bits(CLASS, device.device_class) & self._bits(DEVICE, device.id)
        if self._labels and found:
            labels = dict(device.labels)
            for key, bits, free in self._labels:
                found &= bits.get(labels.get(key, ""), 0) | free
        return found

    def _bits(self, key: str, value: str) -> int:
        if key not in self._by_value:
            return self._all
        return self._by_value[key].get(value, 0) | self._free[key]


def numbers_of(bits: int) -> Iterator[int]:
    """The clauses in an answer of Matcher, in order. Of thousands, few match one device."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def comparable(ids: set[str]) -> set[str]:
    """The ids among which a similar one is looked for: none when there are so many that it would take seconds."""
    return ids if len(ids) <= _COMPARABLE else set()
