"""What fleets and targets have to agree on, apart from what the cases in `cases/bundle/` show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.bundle.checks import check_targets
from compiler.fleet.devices import Setting
from compiler.fleet.graph import Fleet, TargetUse
from tests.bundle.scenarios import PLAIN, SERVED
from tests.conftest import REPOSITORY
from tests.values import CLASS, COHORT, PLACE, SameOrigins

SET = Span(Source("shop.slmc.yaml", "a: b\n"), 1, 4, 1)


def found(fleet: Fleet) -> list[Diagnostic]:
    return check_targets(REPOSITORY, [fleet])[1]


def test_a_target_named_twice() -> None:
    again = replace(PLAIN, targets=(TargetUse("systemd", SET), TargetUse("systemd", PLACE)))
    assert found(again) == [
        Diagnostic(
            Code.OUTPUT_CLASH,
            "Fleet `shops` names target `systemd` twice.",
            PLACE,
            "One entry is enough.",
            ((SET, "first named here"),),
        )
    ]


@pytest.mark.parametrize("name", ["devices.csv", "devices"])
def test_a_cohort_in_the_place_of_the_index(name: str) -> None:
    cohort = replace(COHORT, name=name, runs=(SERVED,), device_class=replace(CLASS, place=SET))
    assert found(replace(PLAIN, cohorts=(cohort,))) == [
        Diagnostic(
            Code.OUTPUT_CLASH,
            f"Cohort `{name}` of fleet `shops` takes the place of the index `{name}`.",
            SET,
            "Give the device class another name.",
        )
    ]


@pytest.mark.parametrize(
    ("text", "character"), [("a\0", "U+0000"), ("\x7f", "U+007F"), ("\x85", "U+0085"), ("\ufffe", "U+FFFE")]
)
def test_characters_that_not_every_target_can_carry(text: str, character: str) -> None:
    run = replace(SERVED, environment=(("A", "fine"), ("B", text)), command=("/bin/server", text))
    provenance = {"runs.chat.environment.B": Setting(text, SET), "runs.chat.serve.command": Setting(text, None)}
    fleet = replace(PLAIN, cohorts=(replace(COHORT, runs=(run,), origins=SameOrigins(provenance)),))
    carry = f"the character {character}, which not every target can carry."
    assert found(fleet) == [
        Diagnostic(Code.BAD_VALUE, f"`B` has a value with {carry}", SET, "Remove the character."),
        Diagnostic(Code.BAD_VALUE, f"The command of run `chat` has {carry}", run.place, "Remove the character."),
    ]


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A-B", "A\n", "Ä"])
def test_names_that_no_variable_can_have(name: str) -> None:
    run = replace(SERVED, environment=((name, "x"),))
    assert found(replace(PLAIN, cohorts=(replace(COHORT, runs=(run,)),))) == [
        Diagnostic(
            Code.BAD_VALUE,
            f"`{name}` is not a name that an environment variable can have.",
            run.place,
            "Use letters, digits and `_`, beginning with a letter or `_`.",
        )
    ]


def test_many_cohorts_with_one_mistake_give_one_diagnostic() -> None:
    cohorts = tuple(replace(COHORT, name=f"c{number}", runs=(replace(SERVED, image=None),)) for number in range(5))
    diagnostics = found(replace(PLAIN, cohorts=cohorts))
    assert [(diagnostic.code, diagnostic.message) for diagnostic in diagnostics] == [
        (Code.TARGET_NEEDS, "Run `chat` has no `serve.image`, and target `container` needs one."),
        (Code.TARGET_NEEDS, "Run `chat` has no `serve.image`, and target `quadlet` needs one."),
        (Code.TARGET_NEEDS, "Run `chat` has no `serve.image`, and target `kubernetes` needs one."),
    ]
