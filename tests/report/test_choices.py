"""What a person sees of choices of recipes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.artifact.artifact import Artifacts
from compiler.fit.choose import Candidate, Decision
from compiler.report.outcome import Mode, Outcome
from compiler.report.summary import facts_text
from tests.values import ARTIFACT, MIB, digest

SMALL = replace(ARTIFACT, name="a", digest=digest("1"))
LARGE = replace(ARTIFACT, name="b", digest=digest("2"), files=(replace(ARTIFACT.files[0], size=300 * MIB),))
CANDIDATES = (Candidate("small", SMALL.digest, ""), Candidate("large", LARGE.digest, ""))
DECISION = Decision("shops", "chat", "pi", "assistant@1.4.0", "size", "small", CANDIDATES, {"small": 5.0 * MIB})


@pytest.mark.parametrize(("mode", "plots"), [(Mode.COMPILE, 1), (Mode.LOCKED, 1), (Mode.CHECK, 0)])
def test_the_plot_is_for_who_makes_the_choice(mode: Mode, plots: int) -> None:
    outcome = Outcome(mode, artifacts=Artifacts({"a": SMALL, "b": LARGE}, {}), decisions=(DECISION, DECISION))
    said = facts_text(outcome)
    assert said.count("nothing is both smaller and better") == plots
    assert said.count("shops/chat on pi ") == 2
