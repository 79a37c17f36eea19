"""Whether artifacts come out as the lock has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.artifact.making.build import build
from compiler.artifact.making.pace import Pace
from compiler.artifact.making.verify import State, Verdict, verify
from compiler.artifact.steps import quantize_blockwise
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.plan.actions import Plan
from tests.artifact.building import FOUR, begun, built, codes, kinds, lock_of, planned, without_idle
from tests.values import digest

pytestmark = pytest.mark.slow


def _locked(workspace: Path, store: Store, **changes: str) -> Plan:
    artifact = built(workspace, store, FOUR)[0].artifacts["assistant-1.4.0-four"]
    return planned(workspace, FOUR, locked=lock_of(workspace, artifact, FOUR, **changes))


def test_verify_says_what_is_reproduced_and_keeps_nothing(workspace: Path, store: Store) -> None:
    plan = _locked(workspace, store)
    before = kinds(store)
    said: list[str] = []
    verdicts, diagnostics = verify(plan, workspace, store, said.append, pace=Pace())
    locked = plan.actions[0].locked
    assert locked is not None
    assert diagnostics == []
    assert verdicts == (Verdict("assistant-1.4.0-four", State.REPRODUCED, locked.digest, locked.digest),)
    assert begun(said) == ["assistant-1.4.0-four: optimize (1/2)", "assistant-1.4.0-four: quantize int4 (2/2)"]
    assert kinds(store) == before
    assert not list(store.root.glob(".slmc-tmp-*"))


def test_verify_says_what_differs(workspace: Path, store: Store) -> None:
    plan = _locked(workspace, store, digest=digest("0"))
    verdicts, diagnostics = verify(plan, workspace, store, lambda line: None, Pace())
    assert [(v.state, v.locked) for v in verdicts] == [(State.DIFFERS, digest("0"))]
    assert codes(diagnostics) == [Code.NOT_REPRODUCED]
    assert diagnostics[0].help is not None
    assert diagnostics[0].help.startswith("Compare processor")


def test_verify_has_nothing_to_say_of_what_the_lock_does_not_know(workspace: Path, store: Store) -> None:
    verdicts, diagnostics = verify(planned(workspace, FOUR), workspace, store, lambda line: None, Pace())
    assert (verdicts, codes(diagnostics)) == ((), [Code.LOCK_OUTDATED])


def test_a_method_that_is_not_reproducible_is_pinned(
    workspace: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _locked(workspace, store, digest=digest("0"))
    monkeypatch.setattr(quantize_blockwise, "REPRODUCIBLE", False)
    said: list[str] = []
    verdicts, diagnostics = verify(plan, workspace, store, said.append, pace=Pace())
    assert verdicts == (Verdict("assistant-1.4.0-four", State.PINNED, digest("0"), None),)
    assert (diagnostics, said) == ([], [])
    diagnostics = without_idle(build(plan, workspace, store, said.append)[1])
    assert codes(diagnostics) == [Code.NOT_REPRODUCED]
    assert diagnostics[0].help is not None
    assert "has to come from the store that built it" in diagnostics[0].help


def test_whether_a_method_is_reproducible_may_depend_on_its_parameters(
    workspace: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _locked(workspace, store)
    for bad, state in (("gptq", State.REPRODUCED), ("rtn", State.PINNED)):
        monkeypatch.setattr(quantize_blockwise, "REPRODUCIBLE", lambda chosen, bad=bad: chosen.method != bad)
        verdicts, _ = verify(plan, workspace, store, lambda line: None, Pace())
        assert [verdict.state for verdict in verdicts] == [state]
