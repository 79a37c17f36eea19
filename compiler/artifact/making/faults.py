"""What a build has to say of its steps and artifacts: warnings that they ask for, and why one is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.artifact import Refusal
from compiler.artifact.making.schedule import Shortage
from compiler.artifact.steps.versions import reproducible
from compiler.artifact.store.store import Remark
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import show_bytes
from compiler.fleet.graph import Recipe, artifact_name
from compiler.plan.actions import Action, Plan
from compiler.plan.planner import step_name


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a step gave nothing: the name of a Code, a sentence, the last lines of what its process printed, and the path
    of the parameter that is to blame."""

    code: str
    reason: str
    log: tuple[str, ...] = ()
    parameter: str = ""


def refused(action: Action, number: int, fault: Fault) -> Diagnostic:
    step = action.recipe.steps[number]
    log = "; its log ends with" + "".join(f"\n| {line}" for line in fault.log) if fault.log else ""
    return Diagnostic(
        Code[fault.code],
        f"Step {number + 1} (`{step.kind}`) of recipe `{action.recipe.name}` failed on `{action.model.id}`: "
        f"{fault.reason}{log}",
        step.places.get(fault.parameter, step.place),
        help=install(step.parameters["format"])
        if fault.code == Code.CONVERTER_MISSING.name
        else _HELP.get(fault.code, _UNSUITABLE),
    )


def refusals(plan: Plan, known: Mapping[str, Refusal]) -> list[Diagnostic]:
    """What there is to say where a step does not apply: a warning where a choice has other recipes, else an error.

    `known` is by artifact name. In a part of a plan, what other parts build counts as applicable.
    """
    found: list[Diagnostic] = []
    for action in plan.actions:
        if refusal := known.get(action.name):
            names = [{artifact_name(action.model, one) for one in choice.choice} for choice in action.choices]
            if not names or any(candidates <= known.keys() for candidates in names):
                fault = Fault(Code.STEP_INAPPLICABLE.name, refusal.reason, parameter=refusal.parameter)
                found.append(refused(action, refusal.step, fault))
            else:
                found += [_dropped(action, choice, refusal) for choice in action.choices]
    return found


def inapplicable(recipe: Recipe, refusal: Refusal) -> str:
    """In a phrase."""
    step = recipe.steps[refusal.step]
    return f"step {refusal.step + 1} (`{step.kind}`) does not apply: {refusal.reason.rstrip('.')}"


def _dropped(action: Action, choice: Recipe, refusal: Refusal) -> Diagnostic:
    recipe = action.recipe
    places = [place for one, place in zip(choice.choice, choice.places, strict=True) if one.name == recipe.name]
    return Diagnostic(
        Code.CANDIDATE_DROPPED,
        f"Recipe `{recipe.name}` is dropped for `{action.model.id}`: {inapplicable(recipe, refusal)}.",
        places[0],
        help="Take it out of the choice, or mend its step. It is not tried again while both stay as they are.",
        related=((recipe.steps[refusal.step].place, "the step"),),
    )


_UNSUITABLE = "The recipe does not suit this model. Nothing was written."
_HELP = {
    Code.STEP_FAILED.name: "Nothing was written. A process that was killed usually wanted more memory than there was.",
    Code.NON_FINITE_WEIGHTS.name: "The model is broken: export it anew. Nothing was written.",
    Code.BAD_CALIBRATION_DATA.name: 'Each line is an object with a string `text`: {"text": "…"}. Nothing was written.',
}


def install(converter: str) -> str:
    """What to do about a converter that is not installed."""
    return f"`slmc converters install {converter}` makes it, once for all workspaces of this store."


def no_room(action: Action, shortage: Shortage, store: Path) -> Diagnostic:
    return Diagnostic(
        Code.DISK_FULL,
        f"To build from `{action.model.id}`, {show_bytes(shortage.needed)} of free space are needed in the store; "
        f"{show_bytes(shortage.free)} are free.",
        file=str(store),
        help="Free some space and run again: `slmc cache prune --keep WORKSPACE` drops the rest.",
    )


def remark(action: Action, remark: Remark) -> Diagnostic:
    """The warning for what a step had to say of itself."""
    step = action.recipe.steps[remark.step]
    what = f"Step {remark.step + 1} (`{step.kind}`) of recipe `{action.recipe.name}`"
    if remark.code == Code.STEP_IDLE.name:
        return Diagnostic(
            Code.STEP_IDLE,
            f"{what} changed nothing in `{action.model.id}`.",
            step.place,
            help="Leave the step out, or choose another.",
        )
    return Diagnostic(Code[remark.code], f"{what} on `{action.model.id}`: {remark.message}", step.place)


def pinned(action: Action) -> bool:
    """Whether a step of the recipe may give other bytes on another machine, so that only the digest says what it is."""
    return not all(reproducible(step_name(step.kind, step.parameters), step.parameters) for step in action.recipe.steps)


def not_reproduced(action: Action, digest: str, locked: str) -> Diagnostic:
    if pinned(action):
        help = (
            "The recipe's method does not give the same bytes on every machine: the lock pins the artifact, which has "
            "to come from the store that built it. To accept the new artifact, delete `slmc.lock` and compile."
        )
    else:
        help = (
            "Compare processor and operating system with those of the build that made the lock. To accept the new "
            "artifact, delete `slmc.lock` and compile."
        )
    return Diagnostic(
        Code.NOT_REPRODUCED,
        f"`{action.name}` came out as `{digest}`; the lock, for the same inputs and tools, has `{locked}`.",
        action.recipe.place,
        help=help,
    )
