"""Configurations: worked out once for all devices that the same clauses match, refined by a device's own values."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.declared import Declared
from compiler.fleet.devices import Device
from compiler.fleet.fields import PRIVACY, Field, find
from compiler.fleet.graph import Privacy, Run
from compiler.fleet.layers import Layers, OverlayLayer, RunLayer, edits_of
from compiler.fleet.ports import give_ports
from compiler.fleet.provenance import provenance
from compiler.fleet.rules import Edit, Path, Rule
from compiler.fleet.state import State, apply

_COMMAND, _PORT = "serve.command", "serve.port"
_REFERENCES = ("model", "recipe")


@dataclass(slots=True)
class Settled:
    """A configuration: by scope (`runs.NAME`, `privacy`) the values, and what they mean.

    `prints` are equal for equal configurations. Models and recipes are equal when their names are.
    """

    states: dict[str, State]
    ports: dict[str, int]
    runs: dict[str, Run]
    """Those whose model and recipe could be resolved. That the others could not was reported."""
    privacy: Privacy
    prints: dict[str, bytes]
    refines: Settled | None = None
    """The configuration that it differs from in nothing but `refined`, if it was made from one."""
    refined: Mapping[Field, Any] = field(default_factory=dict)

    @property
    def print(self) -> bytes:
        return b"".join(self.prints.values())


@dataclass(slots=True)
class Settler:
    """Works out the configurations of one fleet, and keeps what it found wrong on the way."""

    layers: Layers
    declared: Declared
    diagnostics: list[Diagnostic] = field(default_factory=list)
    removals: dict[Path, bool] = field(default_factory=dict)
    """Whether an edit that removes has removed anything, by its place, for those that were applied."""
    _supposed: dict[tuple[int, ...], Settled] = field(default_factory=dict)
    _fields: dict[str, Field | None] = field(default_factory=dict)
    _split: tuple[tuple[int, ...], tuple[int, ...], list[OverlayLayer]] | None = None
    _checked: set[tuple[str, str]] = field(default_factory=set)

    def settle(self, matched: tuple[int, ...]) -> Settled:
        """The configuration of the devices that the clauses of these numbers match."""
        states = self._states(matched)
        self._lay(states, edits_of(self.layers.applied(matched)), real=True)
        self._check_ports(states, matched, None)
        return self._made(states)

    def suppose(self, matched: tuple[int, ...]) -> Settled:
        """The configuration that these clauses would give: no device needs to have it, and nothing is reported."""
        found = self._supposed.get(matched)
        if found is None:
            found = self._supposed[matched] = self.fresh(matched)
        return found

    def fresh(self, matched: tuple[int, ...]) -> Settled:
        """What `suppose` gives, not kept: for what is asked once."""
        states = self._states(matched)
        self._lay(states, edits_of(self.layers.applied(matched)), real=False)
        return self._made(states)

    def refine(self, whole: Settled, matched: tuple[int, ...], device: Device) -> Settled:
        """The configuration of a device that has values of its own, beside `whole`, which its clauses give."""
        if self._split is None or self._split[0] is not matched:
            self._split = (matched, *self.layers.split(matched))
        _, below, above = self._split
        start = self.suppose(below).states if above else whole.states
        refined = {}
        for path, value in device.values:
            if (target := self.target(path)) and target.scope in start:
                refined[target] = value
                if target.field in _REFERENCES:
                    self._check(target.field, value, device)
        touched = _with_values(start, refined)
        if above:
            own = ((overlay, edit) for overlay, edit in edits_of(above) if edit.target.scope in touched)
            self._lay(touched, own, real=True)
        states = {**whole.states, **touched}
        for scope, state in touched.items():
            if state.get(_PORT) != whole.states[scope].get(_PORT):
                self._check_ports(states, matched, device)
                return self._made(states)
        made = self._remade(whole, states, touched)
        if not above:
            made.refines, made.refined = whole, refined
        return made

    def target(self, path: str) -> Field | None:
        """What a column sets, by its path inside the fleet."""
        found = self._fields.get(path)
        if found is None and path not in self._fields:
            found = self._fields[path] = find(path, [run.name for run in self.layers.runs])
        return found

    def _states(self, matched: tuple[int, ...]) -> dict[str, State]:
        """What the fleet itself says for the runs among the clauses. The states in it are shared."""
        states = {run.scope: run.values for run in self.layers.runs_of(matched)}
        states[PRIVACY] = self.layers.privacy
        return states

    def _lay(self, states: dict[str, State], edits: Iterable[tuple[OverlayLayer, Edit]], *, real: bool) -> None:
        """Apply edits to `states`. A state in it is copied before it changes."""
        own = set()
        for _, edit in edits:
            target = edit.target
            scope = target.scope
            if scope not in states:
                continue
            if scope not in own:
                own.add(scope)
                states[scope] = states[scope].copy()
            state = states[scope]
            before = state[target.field]
            apply(state, target, edit.rule, edit.value)
            if real and edit.rule is not Rule.REPLACE:
                self._look(edit, before, state)

    def _look(self, edit: Edit, before: object, state: State) -> None:
        """Note what a removal removed; report a command that begins with no program after the edit."""
        after = state[edit.target.field]
        if edit.rule is Rule.REMOVE:
            self.removals[edit.at] = self.removals.get(edit.at, False) or before != after
        if edit.target.field == _COMMAND and after and not after[0].startswith("/"):
            message = f"With this, `{edit.target.path}` begins with `{after[0]}`, which is not an absolute path."
            help = "A command begins with the absolute path of a program: give it as a whole, with `replace`."
            self.diagnostics.append(Diagnostic(Code.BAD_VALUE, message, self.layers.places.value(*edit.at), help=help))

    def _check(self, field: str, reference: str, device: Device) -> None:
        """Report a model or recipe that a column names and nobody declares, once for each name."""
        if (field, reference) not in self._checked:
            self._checked.add((field, reference))
            if found := self.declared.check(field, reference, device.place):
                self.diagnostics.append(found)

    def _check_ports(self, states: Mapping[str, State], matched: tuple[int, ...], device: Device | None) -> None:
        """Report runs of one device that ask for the same port."""
        taken: dict[int, RunLayer] = {}
        for run in self.layers.runs:
            port = states[run.scope][_PORT] if run.scope in states else None
            if port is not None and taken.setdefault(port, run) is not run:
                settings = provenance(self.layers, matched, device)
                here, there = (settings[f"{one.scope}.{_PORT}"].place for one in (run, taken[port]))
                self.diagnostics.append(
                    Diagnostic(
                        Code.BAD_VALUE,
                        f"`{run.name}` asks for port {port}, which `{taken[port].name}` has on the same device.",
                        here,
                        help="Give each run of a device its own port, or none: slmc then takes the next free one.",
                        related=((there, f"`{taken[port].name}` asks for it here"),) if there else (),
                    )
                )

    def _made(self, states: dict[str, State]) -> Settled:
        """The configuration of these states, with ports given to all runs."""
        ports = give_ports({scope: state[_PORT] for scope, state in states.items() if scope != PRIVACY})
        runs = {}
        for layer in self.layers.runs:
            if layer.scope in states and (run := self._run(layer, states[layer.scope], ports[layer.scope])):
                runs[layer.scope] = run
        privacy = privacy_of(states[PRIVACY])
        prints = {scope: _print(run) for scope, run in runs.items()}
        prints[PRIVACY] = marshal.dumps((privacy.data_class, privacy.residency, privacy.egress, privacy.telemetry), 2)
        return Settled(states, ports, runs, privacy, prints)

    def _remade(self, whole: Settled, states: dict[str, State], touched: Iterable[str]) -> Settled:
        """`whole` with the runs of some scopes made anew; ports stay."""
        runs, prints = whole.runs.copy(), whole.prints.copy()
        for scope in touched:
            if scope in runs:
                run = self._run(self.layers.by_scope[scope], states[scope], whole.ports[scope])
                if run is None:
                    del runs[scope], prints[scope]
                else:
                    runs[scope], prints[scope] = run, _print(run)
        return Settled(states, whole.ports, runs, whole.privacy, prints)

    def _run(self, layer: RunLayer, state: State, port: int) -> Run | None:
        model = self.declared.models.get(state["model"])
        recipe = self.declared.recipe(state["recipe"])
        named = state["serve.runtime"]
        runtime = self.declared.runtimes.get(named) if named else None
        if model is None or recipe is None or (named and runtime is None):
            return None
        return Run(
            layer.name,
            model,
            recipe,
            state["threads"],
            state["contextLength"],
            state["memoryLimit"],
            state["serve.image"] or (runtime.image if runtime else None),
            state[_COMMAND],
            port,
            tuple(sorted(state["environment"].items())),
            layer.place,
            tuple(sorted(state["parameters"].items())),
            runtime,
            tuple(sorted(state["limits"].items())),
            tuple(sorted(state["objectives"].items())),
        )


def _with_values(start: Mapping[str, State], values: Mapping[Field, Any]) -> dict[str, State]:
    """The states of `start` that these values change, changed."""
    touched: dict[str, State] = {}
    for (scope, key, name), value in values.items():
        state = touched.get(scope)
        if state is None:
            state = touched[scope] = start[scope].copy()
        if name:
            entries = state[key]
            if entries is start[scope][key]:
                entries = state[key] = entries.copy()
            entries[name] = value
        else:
            state[key] = value
    return touched


def privacy_of(state: State) -> Privacy:
    return Privacy(state["dataClass"], state["residency"], state["egress"], state["telemetry"])


def _print(run: Run) -> bytes:
    """Equal for equal runs, and only for those: `1`, `1.0` and `true` are three parameters.

    Version 2 of `marshal`, which knows no references, writes equal values alike, in a fifth of the time of `repr`.
    """
    values = (
        run.name, run.model.id, run.recipe.name, run.threads, run.context_length, run.memory_limit, run.image,
        run.command, run.port, run.environment, run.parameters, run.runtime.name if run.runtime else None, run.limits,
        run.objectives,
    )  # fmt: skip
    return marshal.dumps(values, 2)
