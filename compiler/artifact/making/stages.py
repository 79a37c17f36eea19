"""Which steps a build has to run: recipes that begin alike on the same model go the same way as far as they can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.fleet.graph import Step
from compiler.plan.actions import Action
from compiler.plan.planner import step_name


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of one recipe or of several, on one input.

    `key` is that of its result; `before` that of its input, None where that is the model. `action` is the first of
    those that go through it, and `number` the place of the step among its steps, from 0.
    """

    key: str
    before: str | None
    action: Action
    number: int
    shared: bool
    """Whether recipes go different ways after it: then its result is worth keeping."""
    ends: tuple[Action, ...] = ()
    """The actions whose artifact it makes."""

    @property
    def step(self) -> Step:
        return self.action.recipe.steps[self.number]

    @property
    def step_name(self) -> str:
        return step_name(self.step.kind, self.step.parameters)

    @property
    def earlier(self) -> list[str]:
        """The names of the steps before it."""
        return [step_name(step.kind, step.parameters) for step in self.action.recipe.steps[: self.number]]


def keys(action: Action) -> list[str]:
    """Of what each of the action's steps makes."""
    return [action.inputs.after(number + 1) for number in range(len(action.recipe.steps))]


def shared_keys(actions: Iterable[Action]) -> frozenset[str]:
    """Of what two or more different recipes of a plan make on their way."""
    ways = {action.key: keys(action) for action in actions}
    counts = Counter(key for way in ways.values() for key in way)
    return frozenset(key for key, count in counts.items() if count > 1)


def stages(missing: Iterable[Action], shared: Collection[str], held: Callable[[str], bool]) -> list[Stage]:
    """What has to run for the `missing` actions, inputs first. `held` says whether the result of a stage can be had
    without running it."""
    found: dict[str, Stage] = {}
    for action in missing:
        way = keys(action)
        for number in range(_first(way, found, held), len(way)):
            key, before = way[number], way[number - 1] if number else None
            found.setdefault(key, Stage(key, before, action, number, key in shared))
        last = found[way[-1]]
        found[last.key] = replace(last, ends=(*last.ends, action))
    return list(found.values())


def _first(way: list[str], found: Mapping[str, Stage], held: Callable[[str], bool]) -> int:
    """The number of the step to begin with: as late as possible. The last one always runs, as it makes the artifact."""
    for number in range(len(way) - 1, 0, -1):
        if way[number - 1] in found or held(way[number - 1]):
            return number
    return 0
