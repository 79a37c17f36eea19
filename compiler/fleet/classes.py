"""Device classes: `extends` followed to the end, facts checked for completeness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.base.units import show_bytes
from compiler.blueprint.blueprint import Blueprint, Places
from compiler.blueprint.spec import DeviceClassSpec
from compiler.fleet.catalogue import PREFIX, Catalogue
from compiler.fleet.graph import DeviceClass

_SECTION = "deviceClasses"
_FACTS = (
    "arch", "isa", "cores", "memory", "reserved_memory", "storage", "reserved_storage", "accelerators", "power_watts",
    "price", "systemd", "podman",
)  # fmt: skip
_NEEDED = ("arch", "memory", "storage")


@dataclass(frozen=True, slots=True)
class Classes:
    """Every class that a name can mean: the workspace's own and the catalogue's.

    A name in `broken` was declared but has no usable facts; that was reported where it
    stands, so what refers to it stays silent.
    """

    usable: Mapping[str, DeviceClass]
    broken: frozenset[str]
    complete: bool
    """False when a file could not be read: any name may have been declared there."""

    def knows(self, name: str) -> bool:
        """Whether the name is declared, or may be."""
        return name in self.usable or name in self.broken or not (self.complete or name.startswith(PREFIX))

    def unknown(self, code: Code, name: str, place: Span) -> Diagnostic:
        """The diagnostic for a name that is no class."""
        return _unknown(code, name, place, {*self.usable, *self.broken})


def resolve_classes(blueprint: Blueprint, catalogue: Catalogue) -> tuple[Classes, list[Diagnostic]]:
    """Follow every `extends`, check every class, used or not.

    A class takes each fact that it does not give itself from the class it extends, lists
    and prices as a whole. Reserved memory and storage are 0 where nobody gives them.
    """
    specs: dict[str, DeviceClassSpec] = {**catalogue, **blueprint.device_classes}
    refused = {name for section, name in blueprint.broken if section == _SECTION}
    orphans = {name for name, spec in specs.items() if spec.extends is not None and spec.extends not in specs}
    diagnostics = _unknown_parents(blueprint, orphans, {*specs, *refused})
    circles = _circles(specs)
    diagnostics += [_cycle(circle, blueprint.places) for circle in circles]
    broken = orphans.union(*circles)
    usable: dict[str, DeviceClass] = {}
    for name, chain in _chains(specs, broken):
        if specs[name].extends in broken or specs[chain[-1]].extends in broken:
            broken.add(name)
            continue
        facts = _merge([specs[parent] for parent in chain])
        own = name in blueprint.device_classes
        faults = _faults(name, facts, blueprint.places) if own else []
        diagnostics += faults
        if faults:
            broken.add(name)
        else:
            usable[name] = _build(name, facts, blueprint.places.key(_SECTION, name) if own else None)
    return Classes(usable, frozenset(broken | refused), blueprint.complete), diagnostics


def _unknown_parents(blueprint: Blueprint, orphans: set[str], known: set[str]) -> list[Diagnostic]:
    """Report every `extends` that names no class at all."""
    diagnostics = []
    for name in sorted(orphans & set(blueprint.device_classes)):
        parent = str(blueprint.device_classes[name].extends)
        if parent not in known and (blueprint.complete or parent.startswith(PREFIX)):
            place = blueprint.places.value(_SECTION, name, "extends")
            diagnostics.append(_unknown(Code.UNKNOWN_REFERENCE, parent, place, known - {name}))
    return diagnostics


def _circles(specs: Mapping[str, DeviceClassSpec]) -> list[list[str]]:
    """Every circle of `extends` once, beginning at its first class in the order of declaration."""
    order = {name: index for index, name in enumerate(specs)}
    seen: set[str] = set()
    circles = []
    for start in specs:
        walk: list[str] = []
        name = start
        while name in specs and name not in seen:
            seen.add(name)
            walk.append(name)
            name = specs[name].extends or ""
        if name in walk:
            circle = walk[walk.index(name) :]
            first = circle.index(min(circle, key=order.__getitem__))
            circles.append(circle[first:] + circle[:first])
    return circles


def _cycle(circle: list[str], places: Places) -> Diagnostic:
    round_trip = " → ".join(f"`{name}`" for name in [*circle, circle[0]])
    span, *others = (places.value(_SECTION, name, "extends") for name in circle)
    related = tuple((place, f"`{name}` extends the next here") for name, place in zip(circle[1:], others, strict=True))
    return Diagnostic(
        Code.EXTENDS_CYCLE,
        f"{round_trip}: no class of this circle has facts of its own to begin with.",
        span,
        help="Remove one `extends` of the circle.",
        related=related,
    )


def _chains(specs: Mapping[str, DeviceClassSpec], broken: set[str]) -> list[tuple[str, list[str]]]:
    """Each sound class with the names from itself to the class that extends nothing, parents before children."""
    found = []
    for name in specs:
        chain = []
        parent = name
        while parent and parent not in broken:
            chain.append(parent)
            parent = specs[parent].extends or ""
        if chain:
            found.append((name, chain))
    return sorted(found, key=lambda pair: len(pair[1]))


def _merge(chain: list[DeviceClassSpec]) -> dict[str, Any]:
    return {
        fact: next((value for spec in chain if (value := getattr(spec, fact)) is not None), None) for fact in _FACTS
    }


def _faults(name: str, facts: Mapping[str, Any], places: Places) -> list[Diagnostic]:
    missing = [f"`{fact}`" for fact in _NEEDED if facts[fact] is None]
    faults = []
    if missing:
        faults.append(
            Diagnostic(
                Code.INCOMPLETE_CLASS,
                f"`{name}` has no {' and no '.join(missing)}, and extends no class that has.",
                places.key(_SECTION, name),
                help="Declare what is missing, or extend a class that has it, such as `builtin/raspberry-pi-5-8g`.",
            )
        )
    for total in ("memory", "storage"):
        reserved = facts[f"reserved_{total}"]
        if facts[total] is not None and facts[total] <= (reserved or 0):
            faults += _no_room(name, total, (facts[total], reserved or 0), places)
    return faults


def _no_room(name: str, total: str, sizes: tuple[int, int], places: Places) -> list[Diagnostic]:
    """Report a class whose `total` (memory or storage) is not more than what it reserves, at a line of its own."""
    here, *others = (
        places.value(_SECTION, name, key)
        for key in (f"reserved{total.capitalize()}", total)
        if places.has(_SECTION, name, key)
    )
    has, reserved = (show_bytes(size) for size in sizes)
    message = f"`{name}` reserves {reserved} of {has} {total}: nothing is left for runs."
    related = tuple((place, f"the {total} is given here") for place in others)
    return [Diagnostic(Code.BAD_VALUE, message, here, help=f"Reserve less than the {total}.", related=related)]


def _build(name: str, facts: Mapping[str, Any], place: Span | None) -> DeviceClass:
    price = facts["price"]
    return DeviceClass(
        name=name,
        arch=facts["arch"],
        memory=facts["memory"],
        storage=facts["storage"],
        reserved_memory=facts["reserved_memory"] or 0,
        reserved_storage=facts["reserved_storage"] or 0,
        cores=facts["cores"],
        isa=tuple(facts["isa"] or ()),
        accelerators=tuple(facts["accelerators"] or ()),
        power_watts=facts["power_watts"],
        price_usd=price.usd if price else None,
        price_date=price.date if price else None,
        systemd=facts["systemd"],
        place=place,
        podman=facts["podman"],
    )


def _unknown(code: Code, name: str, place: Span, known: set[str]) -> Diagnostic:
    help = did_you_mean(name, known, _declared(known))
    return Diagnostic(code, f"No device class is named `{name}`.", place, help=help)


def _declared(known: set[str]) -> str:
    own = sorted(name for name in known if not name.startswith(PREFIX))
    if not own:
        return f"Declare it under `{_SECTION}:`, or use a built-in class, such as `builtin/raspberry-pi-5-8g`."
    shown = ", ".join(f"`{name}`" for name in own[:12])
    return f"Declared: {shown}{', …' if len(own) > 12 else ''}, and built-in ones such as `builtin/intel-n100-8g`."
