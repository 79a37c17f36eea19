"""What makes a configuration differ from what its class and runs alone give: the fewest overlays that explain it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compiler.fleet.fields import Field
from compiler.fleet.layers import Layers, OverlayLayer
from compiler.fleet.match import CLASS
from compiler.fleet.rules import Rule
from compiler.fleet.settle import Settled, Settler
from compiler.fleet.words import Part

_PORT = "serve.port"
_EXACT = frozenset({str, int, tuple, type(None)})
_GONE = "\0gone"
"""Stands for an entry of a mapping that was removed. No text of YAML has this character."""

_NOTHING = object()

Differences = dict[Field, Any]
Item = tuple[Field, Any]


@dataclass(slots=True)
class Effect:
    """What one overlay does, or several that do the same. Those that ask for a class alone are no effects."""

    part: Part
    overlays: list[OverlayLayer]
    items: tuple[Item, ...] | None
    """The values it sets, where they are the same whatever they are laid over."""


class _Cause(NamedTuple):
    """An effect on one class and its runs: `same` are values it sets to what they are there anyway."""

    partly: bool
    """Whether the effect sets values of further runs too: such effects come last."""
    effect: int
    """Its index; of effects that explain as much, the first in the blueprint comes first."""
    items: tuple[Item, ...]
    same: tuple[Field, ...]


class Explanation(NamedTuple):
    """Why a configuration is not what its class and runs alone give."""

    effects: list[int]
    """Those that explain it, as indexes into the explainer's, in order."""
    left: Differences
    """What they do not explain."""
    found: list[_Cause]
    undone: tuple[Field, ...] = ()
    """Fields that one of the effects sets, and that have another value here, be it the one below."""

    def guess(self) -> Explanation:
        """With the effect that explains most of what is left: at least two values, and half of its own.

        It explains nothing for sure, as its other values were set to something else.
        """
        best, most, get = None, (1, 1), self.left.get
        for cause in self.found:
            held = 0
            for target, value in cause.items:
                held += get(target, _NOTHING) == value
            if (held, -cause.effect) > most and 2 * held >= len(cause.items) + len(cause.same):
                best, most = cause, (held, -cause.effect)
        if best is None:
            return self
        left = self.left.copy()
        undone = []
        for target, value in best.items:
            if get(target, _NOTHING) == value:
                del left[target]
            else:
                undone.append(target)
        return Explanation([*self.effects, best.effect], left, self.found, tuple(sorted(undone)))


@dataclass(slots=True)
class _Frame:
    """A class with the runs that are on it: the configuration without overlays but those for the class."""

    base: Settled
    causes: dict[Field, dict[Any, list[_Cause]]]
    """By field and value of those of its items that the fewest causes have."""
    values: dict[Field, Any] = field(default_factory=dict)
    """Of the base, as they are asked for."""
    differences: dict[int, tuple[Settled, Differences]] = field(default_factory=dict)
    """Of configurations that others refine, by identity; the last one is enough, as they come in turn."""

    def found(self, left: Differences) -> list[_Cause]:
        """The causes of which a telling item is among the differences."""
        found: dict[int, _Cause] = {}
        for target, value in left.items():
            if by_value := self.causes.get(target):
                for cause in by_value.get(value, ()):
                    found[cause.effect] = cause
        return list(found.values())

    def differing(self, settled: Settled) -> Differences:
        """What is not as in the base. The caller may change it."""
        whole = settled.refines
        if whole is None:
            return differences(settled, self.base)
        if id(whole) not in self.differences:
            self.differences = {id(whole): (whole, differences(whole, self.base))}
        found = self.differences[id(whole)][1].copy()
        for target, value in settled.refined.items():
            if target not in self.values:
                self.values[target] = _value(self.base, target)
            if (told := exact(value)) == self.values[target]:
                found.pop(target, None)
            else:
                found[target] = told
        return found


@dataclass(slots=True)
class Explainer:
    """Explains the configurations of one fleet, by the blueprint alone."""

    layers: Layers
    settler: Settler
    effects: list[Effect] = field(init=False)
    _frames: dict[tuple[str, ...], _Frame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.effects = list(_effects(self.layers))

    def explain(self, device_class: str, settled: Settled) -> Explanation:
        """The overlays that explain a configuration of the class.

        An overlay may explain what all of its values hold in. Of those, the one that explains
        most comes first, then the one that explains most of the rest, and so on.
        """
        frame = self._frame(device_class, settled)
        left = frame.differing(settled)
        found = frame.found(left)
        causes = [cause for cause in found if _holds(cause, left)]
        if not causes:
            return Explanation([], left, found)
        if len(causes) == 1:  # as nearly always where a fleet has an overlay for each site
            for target, _ in causes[0].items:
                del left[target]
            return Explanation([causes[0].effect], left, found)
        held = set(left.items())
        chosen: list[_Cause] = []
        while held and causes:
            best = max(causes, key=lambda cause: (len(held.intersection(cause.items)), not cause.partly, -cause.effect))
            if held.isdisjoint(best.items):
                break
            chosen.append(best)
            held.difference_update(best.items)
        rest = {field: value for field, value in left.items() if (field, value) in held}
        return Explanation(sorted(cause.effect for cause in chosen), rest, found)

    def _frame(self, device_class: str, settled: Settled) -> _Frame:
        key = (device_class, *settled.ports)
        if key not in self._frames:
            self._frames[key] = self._made(device_class, set(settled.ports))
        return self._frames[key]

    def _made(self, device_class: str, scopes: set[str]) -> _Frame:
        count = len(self.layers.runs)
        numbers = [number for number, run in enumerate(self.layers.runs) if run.scope in scopes]
        numbers += [
            count + number
            for number, overlay in enumerate(self.layers.overlays)
            if not overlay.clause.asks_more and device_class in overlay.clause.match[CLASS]
        ]
        base = self.settler.suppose(tuple(numbers))
        causes = list(self._causes(device_class, base, tuple(numbers)))
        seen = Counter(item for cause in causes for item in cause.items)
        index: dict[Field, dict[Any, list[_Cause]]] = {}
        for cause in causes:
            fewest = min(seen[item] for item in cause.items)
            for target, value in (item for item in cause.items if seen[item] == fewest):
                index.setdefault(target, {}).setdefault(value, []).append(cause)
        return _Frame(base, index)

    def _causes(self, device_class: str, base: Settled, numbers: tuple[int, ...]) -> Iterator[_Cause]:
        position = {id(overlay): number for number, overlay in enumerate(self.layers.overlays, len(self.layers.runs))}
        for order, effect in enumerate(self.effects):
            able = [one for one in effect.overlays if device_class in one.clause.match.get(CLASS, (device_class,))]
            if not able:
                continue
            same: tuple[Field, ...] = ()
            if effect.items is None:
                both = tuple(sorted({*numbers, position[id(able[0])]}))
                items = tuple(differences(self.settler.fresh(both), base).items())
            else:
                items, same = _split(effect.items, base)
            if items:
                partly = any(edit.target.scope not in base.states for edit in able[0].edits)
                yield _Cause(partly, order, items, same)


def _holds(cause: _Cause, left: Differences) -> bool:
    """Whether all values of the cause are those of a configuration with these differences."""
    for target, value in cause.items:
        if target not in left or left[target] != value:
            return False
    return not any(target in left for target in cause.same)


def _value(settled: Settled, target: Field) -> Any:
    value = settled.states[target.scope][target.field]
    return exact(value.get(target.name, _GONE)) if target.name else exact(value)


def differences(settled: Settled, base: Settled) -> Differences:
    """What is not as in `base`, which has the same runs."""
    found: Differences = {}
    for scope, state in settled.states.items():
        below = base.states[scope]
        if state is below:
            continue
        for name, value in state.items():
            if isinstance(value, dict):
                if value is not below[name]:
                    found.update(_entries(scope, name, value, below[name]))
            elif value != below[name] and name != _PORT:
                found[Field(scope, name, "")] = value
    if settled.ports != base.ports:
        changed = (scope for scope, port in settled.ports.items() if port != base.ports[scope])
        found.update((Field(scope, _PORT, ""), settled.ports[scope]) for scope in changed)
    return found


def _entries(scope: str, name: str, value: Mapping[str, Any], below: Mapping[str, Any]) -> Iterator[Item]:
    for entry, text in value.items():
        if entry not in below or exact(text) != exact(below[entry]):
            yield Field(scope, name, entry), exact(text)
    for entry in below:
        if entry not in value:
            yield Field(scope, name, entry), _GONE


def exact(value: Any) -> Any:
    """What tells `1`, `1.0` and `true` apart, which are equal in Python."""
    return value if type(value) in _EXACT else repr((value,))


def _split(items: tuple[Item, ...], base: Settled) -> tuple[tuple[Item, ...], tuple[Field, ...]]:
    """The items that differ from `base`, and the fields of the others. What is set on other runs is neither."""
    differ, same = [], []
    for item in items:
        target, value = item
        if target.scope in base.states:
            if _value(base, target) == value:
                same.append(target)
            else:
                differ.append(item)
    return tuple(differ), tuple(same)


def _effects(layers: Layers) -> Iterator[Effect]:
    """The overlays by what they do, in the order of the blueprint."""
    alike: dict[Any, list[OverlayLayer]] = {}
    for overlay in sorted(layers.overlays, key=lambda overlay: overlay.number):
        if overlay.clause.asks_more and overlay.edits:
            deed = frozenset((edit.target, edit.rule, exact_entry(edit.value)) for edit in overlay.edits)
            alike.setdefault(deed, []).append(overlay)
    for overlays in alike.values():
        asked = tuple(tuple(sorted(overlay.clause.labels.items())) for overlay in overlays)
        yield Effect(("overlay", asked), overlays, _plain(overlays[0], alone=len(layers.runs) == 1))


def _plain(overlay: OverlayLayer, *, alone: bool) -> tuple[Item, ...] | None:
    """The values that the overlay sets; None when what it does depends on what is below. A port changes others."""
    items = []
    for edit in overlay.edits:
        if edit.rule is not Rule.REPLACE or isinstance(edit.value, dict) or (edit.target.field == _PORT and not alone):
            return None
        items.append((edit.target, exact(edit.value)))
    return tuple(items)


def exact_entry(value: Any) -> Any:
    """The same of what an edit sets; a mapping is written entry by entry, and by itself says nothing."""
    return () if isinstance(value, dict) else exact(value)
