"""Which runs and overlays apply to which devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.fleet.devices import Device

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

    @property
    def asks_more(self) -> bool:
        """Whether it asks for anything beside the class."""
        return len(self.match) > (CLASS in self.match)

    def items(self, places: Places) -> Iterator[tuple[str, str, Span]]:
        """Each key and value with the value's place."""
        for key, values in self.match.items():
            at = (*self.path, "match", key)
            for index, value in enumerate(values):
                written = places.has(*at, index)
                yield key, value, places.value(*at, index) if written else places.value(*at)


class Matcher:
    """Finds the numbers of all clauses that match a device, in order.

    Each clause is found by one of its keys, the one with the most values, and then asked for the others.
    What does not ask for single devices is found once for all devices of one class and the same labels.
    """

    def __init__(self, clauses: Iterable[Clause]) -> None:
        listed = [clause.match for clause in clauses]
        values = Counter(key for match in listed for key, wanted in match.items() for _ in wanted)
        self._labels = sorted({key for match in listed for key in match} - {CLASS, DEVICE})
        self._several = {number: match for number, match in enumerate(listed) if len(match) > 1}
        self._free: list[int] = []
        self._by_value: dict[str, dict[str, list[int]]] = {}
        for number, match in enumerate(listed):
            if not match:
                self._free.append(number)
                continue
            key = DEVICE if DEVICE in match else max(match, key=lambda key: (values[key], key))
            index = self._by_value.setdefault(key, {})
            for value in dict.fromkeys(match[key]):
                index.setdefault(value, []).append(number)
        self._of_ids = self._by_value.pop(DEVICE, {})
        self._known: dict[tuple[str | None, ...], tuple[int, ...]] = {}

    def clauses_of(self, device: Device) -> tuple[int, ...]:
        if self._labels:
            get = dict(device.labels).get
            key = (device.device_class, *[get(label) for label in self._labels])
        else:
            key = (device.device_class,)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._of_labels(dict(zip((CLASS, *self._labels), key, strict=True)))
        if device.id in self._of_ids:
            has = dict(zip((CLASS, *self._labels), key, strict=True)) | {DEVICE: device.id}
            own = [number for number in self._of_ids[device.id] if self._matches(number, has)]
            return tuple(sorted((*found, *own)))
        return found

    def _of_labels(self, has: Mapping[str, str | None]) -> tuple[int, ...]:
        found = list(self._free)
        for key, index in self._by_value.items():
            found += (number for number in index.get(has[key] or "", ()) if self._matches(number, has))
        return tuple(sorted(found))

    def _matches(self, number: int, has: Mapping[str, str | None]) -> bool:
        """Whether a clause that was found by one key is met in its other keys too."""
        return all(has[key] in wanted for key, wanted in self._several.get(number, {}).items())


def comparable(ids: set[str]) -> set[str]:
    """The ids among which a similar one is looked for: none when there are so many that it would take seconds."""
    return ids if len(ids) <= _COMPARABLE else set()
