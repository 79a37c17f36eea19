"""Renders one file of a bundle and remembers from which facts, and which line of a template, each line came.

A line's facts are those that were read while it was written. Its conditions are the facts that the `if` and
`for` around it looked at, and those behind a variable of the template that they looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from jinja2 import Template

from compiler.bundle.context import FileFacts, FleetFacts, RunFacts, TargetFacts
from compiler.bundle.environment import TargetEnvironment
from compiler.bundle.generator import TracingGenerator
from compiler.bundle.targets import Target, TargetFile
from compiler.bundle.templates import Broken, compile_target

Fact = tuple[str, ...]
"""Where a value stands in what templates see: `("runs", "counter", "threads")`, `("fleet", "privacy", "egress")`."""


@dataclass(frozen=True, slots=True)
class TracedLine:
    """One line of a file. `template` and `template_line` say what wrote its first character."""

    text: str
    template: str
    template_line: int
    facts: tuple[Fact, ...]
    conditions: tuple[Fact, ...]


def maker(target: Target, context: Mapping[str, Any], name: str) -> tuple[TargetFile, dict[str, Any]] | None:
    """Which entry of the target's `files` makes the file `name` of a bundle, and what it sees.

    `context` is what the cohort's templates see, with `target`. What cannot be rendered makes no file.
    """
    compiled, _ = compile_target(target)
    for entry in compiled:
        for run in context["runs"] if entry.file.per_run else (None,):
            seen = dict(context) if run is None else {**context, "run": run}
            try:
                if entry.path(seen) == name:
                    return entry.file, seen
            except Broken:
                break
    return None


class _Text(str):
    """A value of a mapping, which loops hand on without its name."""

    fact: Fact

    @classmethod
    def of(cls, text: str, fact: Fact) -> _Text:
        made = cls(text)
        made.fact = fact
        return made


class _Piece(str):
    """What one expression or one stretch of text of a template wrote."""

    template: str
    line: int
    facts: frozenset[Fact]
    conditions: frozenset[Fact]
    plain: bool
    """Text of the template itself: its lines are the template's lines."""


class TracingEnvironment(TargetEnvironment):
    """A target's environment that writes down which facts are read. For one file at a time."""

    code_generator_class = TracingGenerator

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._places: dict[int, Fact] = {}
        self._runs: object = None
        self._reading: list[set[Fact]] = []
        """Of the expressions that are being worked out now, the innermost last."""
        self._scopes: list[set[Fact]] = [set()]
        """Of the `if` and `for` that are open now."""
        self._variables: dict[tuple[str, str], frozenset[Fact]] = {}
        self._blocks: list[tuple[str, int]] = []
        """The `filter` and `call` blocks that are open now: template and line."""
        self._assigning: list[tuple[str, list[str]]] = []

    def trace(self, file: TargetFile, context: Mapping[str, Any]) -> list[TracedLine]:
        """The lines of the file. What its path asks decides over each of them.

        Raises what the template raises, as rendering does.
        """
        seen = _own(context)
        self._places, self._runs = dict(_places(seen)), seen["runs"]
        for piece in self._pieces(self.from_string(file.path), seen):
            self._scopes[0].update(piece.conditions)
        return list(_lines(self._pieces(self.get_template(file.template), seen)))

    def _pieces(self, template: Template, seen: dict[str, Any]) -> Iterator[_Piece]:
        for piece in template.root_render_func(template.new_context(seen)):
            yield self._whole(piece, str(template.name))

    def getattr(self, obj: Any, attribute: str) -> Any:
        self._read(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self._read(obj, argument)
        return super().getitem(obj, argument)

    # What the generated code calls.

    def open(self) -> None:
        self._scopes.append(set())

    def close(self) -> None:
        self._scopes.pop()

    def begin(self) -> None:
        self._reading.append(set())

    def piece(self, _: None, template: str, line: int, text: str) -> _Piece:
        return self._piece(text, template, line, self._end())

    def constant(self, template: str, line: int, text: str) -> _Piece:
        made = self._piece(text, template, line, set())
        made.plain = True
        return made

    def begin_block(self, template: str, line: int) -> None:
        self._blocks.append((template, line))
        self.begin()

    def end_block(self) -> None:
        self._blocks.pop()
        self._end()

    def named(self, template: str, name: str, value: Any) -> Any:
        self._add(self._variables.get((template, name), ()))
        if isinstance(value, _Text):
            self._add((value.fact,))
        elif value is self._runs:
            self._add((("runs",),))
        return value

    def assign(self, template: str, names: list[str]) -> None:
        self._assigning.append((template, names))
        self.begin()

    def assigned(self) -> None:
        template, names = self._assigning.pop()
        facts = frozenset(self._reading.pop())
        self._variables |= {(template, name): facts for name in names}

    def _read(self, owner: Any, name: Any) -> None:
        if isinstance(name, str) and (place := self._places.get(id(owner))):
            known = name in owner if isinstance(owner, dict) else hasattr(type(owner), name)
            self._add(((*place, str(name)),) if known else (place,))

    def _add(self, facts: Any) -> None:
        (self._reading or self._scopes)[-1].update(facts)

    def _end(self) -> set[Fact]:
        """What the expression read, which the one around it (that called a macro) thereby read too."""
        read = self._reading.pop()
        if self._reading:
            self._reading[-1].update(read)
        return read

    def _piece(self, text: str, template: str, line: int, facts: set[Fact]) -> _Piece:
        made = _Piece(text)
        made.template, made.line, made.plain = template, line, False
        made.facts, made.conditions = frozenset(facts), frozenset().union(*self._scopes)
        return made

    def _whole(self, piece: str, template: str) -> _Piece:
        """A piece as it is; what comes out of a block of a `filter` or `call` belongs to that as a whole."""
        if isinstance(piece, _Piece):
            return piece
        at = self._blocks[-1] if self._blocks else (template, 1)
        return self._piece(piece, *at, self._reading[-1] if self._reading else set())


def _own(context: Mapping[str, Any]) -> dict[str, Any]:
    """The context with objects that nothing else shares, so that each stands in one place."""
    fleet: FleetFacts = context["fleet"]
    cohort = context["cohort"]
    runs = tuple(_own_run(run) for run in context["runs"])
    changed: dict[str, Any] = {
        "fleet": replace(fleet, privacy=replace(fleet.privacy)),
        "cohort": replace(cohort, device_class=replace(cohort.device_class)),
        "runs": runs,
        "target": _own_target(context["target"]),
    }
    if "run" in context:
        changed["run"] = next(run for run in runs if run.name == context["run"].name)
    return {**context, **changed}


def _own_target(target: TargetFacts) -> TargetFacts:
    return replace(target, options=_own_mapping(target.options, ("target", "options")))


def _own_run(run: RunFacts) -> RunFacts:
    files = tuple(FileFacts(file.name, file.size, file.digest) for file in run.artifact.files)
    at = ("runs", run.name)
    return replace(
        run,
        model=replace(run.model),
        artifact=replace(run.artifact, files=files),
        runtime=replace(run.runtime) if run.runtime else None,
        limits=_own_mapping(run.limits, (*at, "limits")),
        objectives=_own_mapping(run.objectives, (*at, "objectives")),
        environment=_own_mapping(run.environment, (*at, "environment")),
        parameters=_own_mapping(run.parameters, (*at, "parameters")),
    )


def _own_mapping(values: Mapping[str, Any], at: Fact) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in values.items():
        inner = (*at, name)
        key = _Text.of(name, inner)
        is_mapping = isinstance(value, Mapping)
        made[key] = (
            _own_mapping(value, inner) if is_mapping else _Text.of(value, inner) if type(value) is str else value
        )
    return made


def _places(context: Mapping[str, Any]) -> Iterator[tuple[int, Fact]]:
    """Every object that has facts, by identity, with the place where it stands."""
    yield from _inside(context["fleet"], ("fleet",))
    yield from _inside(context["cohort"], ("cohort",))
    yield from _inside(context["target"], ("target",))
    for run in context["runs"]:
        yield from _inside(run, ("runs", run.name))


def _inside(owner: Any, at: Fact) -> Iterator[tuple[int, Fact]]:
    yield id(owner), at
    names = owner if isinstance(owner, dict) else owner.__dataclass_fields__
    for name in names:
        value = owner[name] if isinstance(owner, dict) else getattr(owner, name)
        if isinstance(value, dict) or is_dataclass(value):
            yield from _inside(value, (*at, str(name)))
        elif isinstance(value, tuple):
            for inner in value:
                if isinstance(inner, FileFacts):
                    yield from _inside(inner, (*at, str(name), inner.name))


def _lines(pieces: Iterator[_Piece]) -> Iterator[TracedLine]:
    parts: list[tuple[_Piece, str, int]] = []
    for piece in pieces:
        texts = piece.split("\n")
        for number, text in enumerate(texts):
            last = number == len(texts) - 1
            if text or not last:
                parts.append((piece, text, piece.line + number if piece.plain else piece.line))
            if not last:
                yield _line(parts)
                parts = []
    if parts:
        yield _line(parts)


def _line(parts: list[tuple[_Piece, str, int]]) -> TracedLine:
    shown = [part for part in parts if part[1]] or parts
    first, _, line = shown[0]
    facts = _leaves(frozenset().union(*(piece.facts for piece, _, _ in shown)))
    conditions = _leaves(frozenset().union(*(piece.conditions for piece, _, _ in shown)))
    others = [fact for fact in conditions if fact not in facts and not any(_above(fact, other) for other in facts)]
    return TracedLine("".join(text for _, text, _ in parts), first.template, line, facts, tuple(others))


def _leaves(facts: frozenset[Fact]) -> tuple[Fact, ...]:
    """The facts in order, without those that were read on the way to another."""
    return tuple(sorted(fact for fact in facts if not any(_above(fact, other) for other in facts)))


def _above(fact: Fact, other: Fact) -> bool:
    return len(fact) < len(other) and other[: len(fact)] == fact
