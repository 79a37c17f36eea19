"""One device of a fleet, and where its values come from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from compiler.base.span import Source, Span
from compiler.fleet.rules import Rule


class Rows(Protocol):
    """The inventory file that a device stands in. It reads a row again to find a place in it."""

    @property
    def source(self) -> Source: ...

    @property
    def columns(self) -> Set[str]:
        """The names of its columns."""
        ...

    def place(self, line: int, column: str) -> Span:
        """The whole field, quotes included."""
        ...

    def inside(self, line: int, column: str, text: str) -> Span:
        """The text of the field, behind its quote."""
        ...


@dataclass(slots=True, unsafe_hash=True)
class Device:
    """One row of an inventory. A fleet may have a million: what many rows share is one object."""

    id: str
    device_class: str
    labels: tuple[tuple[str, str], ...]
    origin: Rows | Span = field(compare=False, repr=False)
    facts: tuple[tuple[str, Any], ...] = ()
    """What the device states of its own hardware, by the name of the class's fact: `("memory", 4294967296)`."""
    values: tuple[tuple[str, Any], ...] = ()
    """Values that its columns set, by path inside the fleet: `("runs.counter.threads", 2)`."""
    variables: tuple[tuple[str, str], ...] = ()
    """What differs by value alone: goes to the table of devices, and makes no cohort."""
    line: int = field(default=0, compare=False, repr=False)
    """Of `origin`, where the row begins (1-based)."""

    @property
    def place(self) -> Span:
        """Where its id stands."""
        return self.origin if isinstance(self.origin, Span) else self.origin.inside(self.line, "id", self.id)

    def column_place(self, column: str) -> Span:
        """Where its row has the field of `column`; the place of the device when its file has no such column."""
        if isinstance(self.origin, Span) or column not in self.origin.columns:
            return self.place
        return self.origin.place(self.line, column)


class Origin(NamedTuple):
    """One line that had a say in a value: what the value was after it.

    A place is None where the value is slmc's own default. The level is `fleet`, or that of the overlay.
    """

    value: Any
    place: Span | None
    level: str = "fleet"
    rule: Rule = Rule.REPLACE
    column: bool = False
    """Whether it is a column of the inventory; the place is then that of the device's row."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where one value came from: the line that set it, then what that overrode, latest first."""

    value: Any
    place: Span | None
    overrode: tuple[Origin, ...] = ()
    level: str = "fleet"
    rule: Rule = Rule.REPLACE
    column: bool = False


class Origins(Protocol):
    """Explains the values of devices, when asked."""

    @property
    def ways(self) -> Mapping[tuple[str, tuple[int, ...]], int]:
        """How many devices there are of each class, by the numbers of the runs and overlays that ask for them."""
        ...

    def way(self, device: Device) -> Hashable:
        """Equal for devices whose values have the same origins."""

    def of(self, device: Device) -> Mapping[str, Setting]:
        """By path inside the fleet, such as `runs.assistant.threads`."""
