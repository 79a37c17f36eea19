"""The steps of a plan side by side, with real processes: what is shared, kept, reported, and survives a death."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.making import resources
from compiler.artifact.making.build import build
from compiler.artifact.making.pace import Pace
from compiler.artifact.making.stages import keys
from compiler.artifact.store import cache, intermediates, layout
from compiler.artifact.store.store import Store
from compiler.base import digests
from compiler.base.codes import Code
from compiler.fleet.graph import Recipe
from tests.artifact.building import (
    FOUR,
    INT4,
    INT8,
    OPTIMIZE,
    SMALL,
    begun,
    built,
    codes,
    facts,
    kinds,
    planned,
    without_idle,
)
from tests.artifact.shelf import flip
from tests.values import PLACE, digest

pytestmark = pytest.mark.slow

EIGHT = Recipe("eight", (OPTIMIZE, INT8), (), PLACE)
BARE = Recipe("bare", (OPTIMIZE,), (), PLACE)


def test_a_shared_step_runs_once_and_changes_nothing(workspace: Path, store: Store, tmp_path: Path) -> None:
    together, diagnostics, said = built(workspace, store, BARE, EIGHT, FOUR)
    assert without_idle(diagnostics) == []
    assert begun(said)[0] == "assistant-1.4.0-bare: optimize (1/1)"
    assert sorted(begun(said)[1:]) == [
        "assistant-1.4.0-eight: quantize int8 (2/2)",
        "assistant-1.4.0-four: quantize int4 (2/2)",
    ]
    for recipe in (BARE, EIGHT, FOUR):
        alone, _, said = built(workspace, Store(tmp_path / recipe.name), recipe)
        assert len(begun(said)) == len(recipe.steps)
        [(name, artifact)] = alone.artifacts.items()
        assert facts(artifact) == facts(together.artifacts[name])


def test_what_recipes_share_is_kept_for_the_next_compile(workspace: Path, store: Store) -> None:
    built(workspace, store, EIGHT, FOUR)
    other = Recipe("other", (OPTIMIZE, replace(INT4, parameters=INT4.parameters | {"symmetric": True})), (), PLACE)
    _, diagnostics, said = built(workspace, store, FOUR, other)
    assert without_idle(diagnostics) == []
    assert begun(said) == ["assistant-1.4.0-other: quantize int4 (2/2)"]


def test_what_one_recipe_does_on_its_way_is_not_kept(workspace: Path, store: Store) -> None:
    built(workspace, store, FOUR)
    assert "intermediate" not in kinds(store)


def test_what_recipes_share_is_checked_and_pruned(workspace: Path, store: Store) -> None:
    built(workspace, store, EIGHT, FOUR)
    assert kinds(store).count("intermediate") == 1
    shared = keys(planned(workspace, FOUR).actions[0])[0]
    found, _ = intermediates.find(store, shared)
    assert found is not None
    assert (found.graph, [told.step for told in found.told]) == ("model.onnx", ["optimize"])
    [file] = found.files
    flip(store.path_of(file.digest))
    assert cache.verify(Store(store.root))[0] == [
        cache.Damage("assistant@1.4.0 after optimize", file.digest, "does not have the content that its digest names")
    ]
    missing, diagnostics = intermediates.find(Store(store.root), shared)
    assert (missing, codes(diagnostics)) == (None, [Code.CORRUPT_BLOB])
    assert "`assistant@1.4.0 after optimize`" in diagnostics[0].message
    built(workspace, Store(store.root), Recipe("new", (OPTIMIZE, INT4, INT8), (), PLACE), EIGHT)
    assert kinds(store).count("intermediate") == 1
    assert cache.prune(store, None).artifacts == ()
    assert "intermediate" not in kinds(store)
    assert built(workspace, store, EIGHT, FOUR)[2] == []


def test_a_damaged_shared_result_is_made_anew(workspace: Path, store: Store) -> None:
    first, _, _ = built(workspace, store, EIGHT, FOUR)
    found, _ = intermediates.find(store, keys(planned(workspace, FOUR).actions[0])[0])
    assert found is not None
    store.write_index([e for e in store.index()[0] if e["artifactType"] != layout.ARTIFACT])
    flip(store.path_of(found.files[0].digest))
    again, diagnostics, _ = built(workspace, store, EIGHT, FOUR)
    assert codes(without_idle(diagnostics)) == [Code.CORRUPT_BLOB]
    assert {n: a.digest for n, a in again.artifacts.items()} == {n: a.digest for n, a in first.artifacts.items()}


def test_one_process_at_a_time_gives_the_same(workspace: Path, store: Store, tmp_path: Path) -> None:
    broken = Recipe("bad", (OPTIMIZE, replace(INT4, parameters=INT4.parameters | {"blockSize": 7})), (), PLACE)
    plan = planned(workspace, broken, EIGHT, FOUR, BARE)
    found = [
        build(plan, workspace, Store(tmp_path / f"jobs-{jobs}"), lambda line: None, pace=Pace(jobs))
        for jobs in (1, 2, 5)
    ]
    artifacts, diagnostics = found[0]
    assert codes(without_idle(diagnostics)) == [Code.STEP_FAILED]
    for other, said in found[1:]:
        assert said == diagnostics
        assert {n: facts(a) for n, a in other.artifacts.items()} == {
            n: facts(a) for n, a in artifacts.artifacts.items()
        }


def test_what_steps_report_is_kept_with_the_artifact(workspace: Path, store: Store) -> None:
    built(workspace, store, EIGHT, FOUR)
    [action] = planned(workspace, FOUR).actions
    report, _ = store.record(layout.REPORT, action.key)
    changed = [(told["step"], told["changed"]) for told in report["steps"]]
    assert changed == [("optimize", False), ("quantize/int4", True)]
    assert all(isinstance(told["report"], dict) for told in report["steps"])
    cache.prune(store, {digest("0")})
    assert store.record(layout.REPORT, action.key) == (None, [])


def test_infinite_figures_of_a_report_become_null() -> None:
    made = {
        "changed": True,
        "remarks": [["STEP_PARTIAL", "x"]],
        "report": {"a": [float("inf"), 1.5], "b": float("nan")},
        "shape": {"context_length": 8},
    }
    told = intermediates.Told.of("s", made)
    assert told == intermediates.Told(
        "s", True, (("STEP_PARTIAL", "x"),), {"a": [None, 1.5], "b": None}, {"context_length": 8}
    )


_DIES_ON_INT4 = """#!{python}
import os, signal, subprocess, sys
request = sys.stdin.buffer.read()
if sys.argv[-1] == "step" and b"quantize/int4" in request:
    print("chatter", *range(9), sep="\\n", file=sys.stderr)
    print("terminate called in /opt/somewhere/else/kernel.cc:12, reading " + {workspace!r} + "/x", file=sys.stderr)
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
surroundings = os.environ | {{"SLMC_PARENT": str(os.getpid())}}
sys.exit(subprocess.run([{python!r}, *sys.argv[1:]], input=request, env=surroundings).returncode)
"""


def test_a_step_that_is_killed_is_told_with_its_log_and_the_others_finish(
    workspace: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "python"
    launcher.write_text(_DIES_ON_INT4.format(python=sys.executable, workspace=str(workspace)))
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))
    place = replace(PLACE, line=2)
    four = replace(FOUR, steps=(OPTIMIZE, replace(INT4, place=place)))
    artifacts, diagnostics, _ = built(workspace, store, BARE, EIGHT, four)
    assert [(d.code, d.span, d.message) for d in without_idle(diagnostics)] == [
        (
            Code.STEP_FAILED,
            place,
            "Step 2 (`quantize`) of recipe `four` failed on `assistant@1.4.0`: the process was killed, perhaps for "
            "want of memory; its log ends with\n| 5\n| 6\n| 7\n| 8\n"
            "| terminate called in kernel.cc:12, reading x",
        )
    ]
    assert list(artifacts.artifacts) == ["assistant-1.4.0-bare", "assistant-1.4.0-eight"]
    assert not list(store.root.glob(".slmc-tmp-*"))


def test_too_little_disk_is_told_with_figures_and_nothing_begins(
    workspace: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "free_disk", lambda folder: 4096)
    artifacts, diagnostics, said = built(workspace, store, EIGHT, FOUR)
    size = (workspace / "models/a/model.onnx").stat().st_size
    assert said == []
    assert artifacts.artifacts == {}
    assert {(d.code, d.message) for d in diagnostics} == {
        (
            Code.DISK_FULL,
            f"To build from `assistant@1.4.0`, {size / 1024:.1f} KiB of free space are needed in the store; "
            "4.0 KiB are free.",
        )
    }


_OTHER_OPTIMIZE = """#!{python}
import sys
from compiler.artifact import child
from compiler.artifact.steps import optimize

real = optimize.apply

def apply(source, target, configuration, bench):
    bench.tell(0.25)
    bench.tell(0.5)
    target.with_name("genai_config.json").write_text((bench.model / "genai_config.json").read_text() + " ")
    return real(source, target, configuration, bench)

optimize.apply = apply
sys.argv = ["child", sys.argv[-1]]
child.main()
"""


@pytest.fixture
def other_optimize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`optimize` that tells of its work and writes a configuration."""
    launcher = tmp_path / "python"
    launcher.write_text(_OTHER_OPTIMIZE.format(python=sys.executable))
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))


@pytest.mark.usefixtures("other_optimize")
def test_the_share_that_a_step_tells_is_passed_on(workspace: Path, store: Store) -> None:
    heard: list[tuple[str, float]] = []
    pace = Pace(1, lambda line, share: heard.append((line, share)))
    build(planned(workspace, FOUR), workspace, store, lambda line: None, pace=pace)
    optimize, int4 = "assistant-1.4.0-four: optimize (1/2)", "assistant-1.4.0-four: quantize int4 (2/2)"
    assert [entry for entry in heard if entry[0] == optimize] == [(optimize, 0.25), (optimize, 0.5), (optimize, 1.0)]
    assert heard[-1] == (int4, 1.0)


@pytest.mark.usefixtures("other_optimize")
def test_a_configuration_that_a_step_writes_outlives_the_next_one(workspace: Path, store: Store) -> None:
    artifacts, _, _ = built(workspace, store, FOUR, EIGHT)
    wanted = digests.of_bytes((workspace / "models/a/genai_config.json").read_bytes() + b" ")
    for artifact in artifacts.artifacts.values():
        assert [file.digest for file in artifact.files if file.name == "genai_config.json"] == [wanted]
    assert len(artifacts.artifacts) == 2


def test_leftovers_of_a_killed_build_go_when_the_next_one_begins(workspace: Path, store: Store) -> None:
    (store.root / ".slmc-tmp-dead" / "stage-0").mkdir(parents=True)
    (store.root / ".slmc-tmp-dead" / "stage-0" / "model.onnx").write_bytes(b"half")
    built(workspace, store, SMALL)
    assert not list(store.root.glob(".slmc-tmp-*"))
