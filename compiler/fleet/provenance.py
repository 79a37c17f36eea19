"""Where values come from. Worked out only when somebody asks: a compile without errors never does."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from compiler.fleet.devices import Device, Origin, Setting
from compiler.fleet.fields import PRIVACY, Field, find
from compiler.fleet.layers import Layers, OverlayLayer, edits_of
from compiler.fleet.match import Matcher
from compiler.fleet.ports import give_ports
from compiler.fleet.rules import Edit, Rule
from compiler.fleet.state import State, apply

PORT = "serve.port"


class Change(NamedTuple):
    """What changes; the origin has the place, and no value yet."""

    target: Field
    rule: Rule
    value: Any
    origin: Origin
    kept: frozenset[str] = frozenset()
    """Entries that are set anew where the whole mapping is replaced."""


@dataclass(frozen=True, slots=True)
class FleetOrigins:
    """Explains the values of a fleet's devices."""

    layers: Layers
    matcher: Matcher
    shared: Mapping[str, Setting]
    """What the fleet says for all devices, and no overlay can change."""
    ways: Mapping[tuple[str, tuple[int, ...]], int]
    """How many devices there are of each class and of each set of clauses that match."""

    def way(self, device: Device) -> Hashable:
        """Equal for devices whose values have the same origins."""
        return self.matcher.clauses_of(device), device.values and (device.id, device.values)

    def of(self, device: Device) -> Mapping[str, Setting]:
        return {**self.shared, **provenance(self.layers, self.matcher.clauses_of(device), device)}


def provenance(layers: Layers, matched: tuple[int, ...], device: Device | None) -> dict[str, Setting]:
    """By path inside the fleet, for a device that these clauses match, or for any one without values of its own."""
    states, chains = _own(layers, matched)
    for change in _changes(layers, matched, device):
        if change.target.scope in states:
            _record(states[change.target.scope], chains, change)
    ports = give_ports({scope: state[PORT] for scope, state in states.items() if scope != PRIVACY})
    for scope, port in ports.items():
        chain = chains[Field(scope, PORT, "")]
        if chain[-1].value is None:
            # The default is a port that is free on the device.
            chain[len(chain) if len(chain) > 1 else 0 :] = [Origin(port, None)]
    return {target.path: _setting(chain) for target, chain in chains.items()}


def _own(layers: Layers, matched: tuple[int, ...]) -> tuple[dict[str, State], dict[Field, list[Origin]]]:
    """What the fleet itself says: the states, and the first origin of each value."""
    own = {run.scope: (run.values, run.spans) for run in layers.runs_of(matched)}
    own[PRIVACY] = layers.privacy, layers.privacy_spans
    chains = {}
    for scope, (values, spans) in own.items():
        for target, value in _values(scope, values):
            chains[target] = [Origin(_listed(value), spans.get((target.field, target.name)))]
    return {scope: values.copy() for scope, (values, _) in own.items()}, chains


def _values(scope: str, state: State) -> Iterator[tuple[Field, Any]]:
    for field, value in state.items():
        if isinstance(value, dict):
            yield from ((Field(scope, field, name), entry) for name, entry in value.items())
        else:
            yield Field(scope, field, ""), value


def _changes(layers: Layers, matched: tuple[int, ...], device: Device | None) -> Iterator[Change]:
    """What overlays and columns do, in order."""
    below, above = layers.split(matched)
    yield from (_change(layers, *edit) for edit in edits_of(layers.applied(below)))
    if device is not None:
        names = [run.name for run in layers.runs]
        for path, value in device.values:
            if target := find(path, names):
                place = device.column_place(layers.columns.get(path, ""))
                yield Change(target, Rule.REPLACE, value, Origin(None, place, "device", column=True))
    yield from (_change(layers, *edit) for edit in edits_of(above))


def _change(layers: Layers, overlay: OverlayLayer, edit: Edit) -> Change:
    place = layers.places.value(*edit.at)
    entries = (other.target for other in overlay.edits if other.target[:2] == edit.target[:2])
    kept = frozenset() if edit.target.name else frozenset(entry.name for entry in entries)
    return Change(edit.target, edit.rule, edit.value, Origin(None, place, layers.name_of(overlay), edit.rule), kept)


def _record(state: State, chains: dict[Field, list[Origin]], change: Change) -> None:
    """Apply one change, and note it at the value; one to a whole mapping, at each entry that it drops."""
    target, rule, value, origin, kept = change
    dropped = state[target.field] if isinstance(state[target.field], dict) and not target.name else ()
    apply(state, target, rule, value)
    for name in (name for name in dropped if name not in kept):
        chains[target._replace(name=name)].append(origin._replace(rule=Rule.REMOVE))
    if target.name or not isinstance(state[target.field], dict):
        after = state[target.field].get(target.name) if target.name else state[target.field]
        if rule is not Rule.REMOVE or target in chains:
            chains.setdefault(target, []).append(origin._replace(value=_listed(after)))


def _setting(chain: list[Origin]) -> Setting:
    last = chain[-1]
    return Setting(last.value, last.place, tuple(reversed(chain[:-1])), last.level, last.rule, last.column)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
