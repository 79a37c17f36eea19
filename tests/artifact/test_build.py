"""Plan → Artifacts, with a real store, real child processes and a tiny model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from compiler.artifact.artifact import Artifacts
from compiler.artifact.making.build import build
from compiler.artifact.measuring.gates import check_gates
from compiler.artifact.store import layout
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.graph import Gate, Recipe
from compiler.plan.actions import Baseline, Verb
from compiler.plan.planner import plan
from tests.artifact import tiny
from tests.artifact.building import (
    FAST,
    INT4,
    OPTIMIZE,
    SMALL,
    TOOLS,
    built,
    codes,
    facts,
    lock_of,
    planned,
)
from tests.tree import tree
from tests.values import MODEL, PLACE, RUN, fleet_of

pytestmark = pytest.mark.slow


def test_builds_and_measures_what_the_plan_says(workspace: Path, store: Store) -> None:
    artifacts, diagnostics, said = built(workspace, store, SMALL, FAST)
    assert diagnostics == []
    assert said == [
        "assistant-1.4.0-fast: quantize int8 (1/1)",
        "assistant-1.4.0-small: quantize int4 (1/1)",
        "assistant@1.4.0: evaluating fast, small",
        "assistant-1.4.0-fast: measuring speed",
        "assistant-1.4.0-small: measuring speed",
        "assistant@1.4.0: measuring speed",
    ]
    assert list(artifacts.artifacts) == ["assistant-1.4.0-fast", "assistant-1.4.0-small"]
    fast, small = artifacts.artifacts.values()
    original = artifacts.originals["assistant@1.4.0"]
    assert [file.name for file in small.files] == ["LICENSE", "genai_config.json", "model.onnx", "tokenizer.json"]
    assert original.size == sum(
        path.stat().st_size for path in (workspace / MODEL.source).iterdir() if path.name != "README.md"
    )
    assert small.shape.weight_bytes < fast.shape.weight_bytes < original.shape.weight_bytes
    assert replace(small.shape, weight_bytes=0) == replace(original.shape, weight_bytes=0)
    assert small.quality.samples == fast.quality.samples == {"tokens": 6 * (23 + 15)}
    one, other = small.quality.figures, fast.quality.figures
    assert one["klDivergence"].value > other["klDivergence"].value > 0
    ratio = one["perplexity"].value / original.figures["perplexity"].value
    assert one["perplexityRatio"].value == pytest.approx(ratio, abs=1e-3)
    assert (fast.built, small.built) == (True, True)
    for measured in (fast.speed, small.speed, original.speed):
        assert measured is not None
        assert measured.tokens_per_second > 0
        assert measured.peak_memory > 10 * 2**20


def test_figures_have_the_stated_precision(workspace: Path, warm: Store) -> None:
    quality = built(workspace, warm, SMALL)[0].artifacts["assistant-1.4.0-small"].quality
    decimals = {
        "perplexity": 3, "perplexityRatio": 4, "klDivergence": 5, "klDivergenceP99": 4, "topOneAgreement": 4,
    }  # fmt: skip
    assert quality.figures.keys() == decimals.keys()
    for name, figure in quality.figures.items():
        numbers = [number for number in (figure.value, figure.low, figure.high) if number is not None]
        assert numbers == [round(number, decimals[name]) for number in numbers]
        assert numbers[0] > 0


def test_a_second_run_finds_everything_and_writes_nothing(workspace: Path, warm: Store) -> None:
    first, _, _ = built(workspace, warm, SMALL, FAST)
    before = tree(warm.root)
    second, diagnostics, said = built(workspace, warm, SMALL, FAST)
    assert (diagnostics, said) == ([], [])
    assert tree(warm.root) == before
    assert second.originals == first.originals
    assert second.artifacts == {name: replace(a, built=False) for name, a in first.artifacts.items()}


def test_a_damaged_index_is_mended_by_a_build_that_makes_nothing(workspace: Path, warm: Store) -> None:
    index = warm.root / "index.json"
    whole = index.read_bytes()
    index.write_bytes(whole[:-4])
    _, diagnostics, said = built(workspace, warm, SMALL)
    assert (codes(diagnostics), said, index.read_bytes()) == ([Code.CORRUPT_BLOB], [], whole)


def test_another_folder_and_another_store_give_the_same_artifacts(workspace: Path, warm: Store, store: Store) -> None:
    first, _, said = built(workspace, warm, SMALL, FAST)
    assert said == []
    second, _, said = built(workspace.rename(workspace.with_name("quite another place")), store, SMALL, FAST)
    assert len(said) == 6
    assert {n: facts(a) for n, a in first.artifacts.items()} == {n: facts(a) for n, a in second.artifacts.items()}


def test_two_recipes_with_the_same_steps_share_one_build(workspace: Path, store: Store) -> None:
    artifacts, _, said = built(workspace, store, SMALL, replace(SMALL, name="tiny"))
    assert [line for line in said if "quantize" in line] == ["assistant-1.4.0-small: quantize int4 (1/1)"]
    small, other = artifacts.artifacts.values()
    assert (small.digest, small.quality, small.built) == (other.digest, other.quality, True)
    assert other.built is False


def test_other_evaluation_data_or_more_tokens_measure_anew_without_building(workspace: Path, warm: Store) -> None:
    built(workspace, warm, SMALL)
    tiny.write_texts(workspace / MODEL.evaluation_data, tiny.some_texts(count=2))
    artifacts, _, said = built(workspace, warm, SMALL)
    assert said == ["assistant@1.4.0: evaluating small"]
    assert artifacts.artifacts["assistant-1.4.0-small"].quality.samples == {"tokens": 2 * (23 + 15)}
    fleets = [fleet_of(replace(RUN, recipe=SMALL, model=replace(MODEL, evaluation_tokens=256)))]
    tiny.write_texts(workspace / MODEL.evaluation_data, tiny.some_texts(count=20))
    sources, _ = fingerprint(workspace, warm.root, fleets, {})
    few, _ = build(plan(fleets, sources, Baseline(), TOOLS), workspace, warm, said.append)
    many, _, _ = built(workspace, warm, SMALL)
    assert few.artifacts["assistant-1.4.0-small"].quality.samples["tokens"] < 256
    assert many.artifacts["assistant-1.4.0-small"].quality.samples == {"tokens": 20 * (23 + 15)}


def test_a_step_without_effect_is_told_at_every_run(workspace: Path, store: Store) -> None:
    place = replace(PLACE, line=2)
    idle = Recipe("idle", (replace(OPTIMIZE, place=place), INT4), (), PLACE)
    for _ in range(2):
        artifacts, diagnostics, _ = built(workspace, store, idle)
        assert [(d.code, d.span) for d in diagnostics] == [(Code.STEP_IDLE, place)]
        assert list(artifacts.artifacts) == ["assistant-1.4.0-idle"]


def test_a_rebuild_that_gives_the_locked_digest_is_kept(workspace: Path, warm: Store, tmp_path: Path) -> None:
    artifact = built(workspace, warm, SMALL)[0].artifacts["assistant-1.4.0-small"]
    locked = lock_of(workspace, artifact, SMALL)
    assert [action.verb for action in planned(workspace, SMALL, locked=locked).actions] == [Verb.KEEP]
    assert built(workspace, Store(tmp_path / "empty"), SMALL, locked=locked)[1] == []


def test_gates_on_this_machine_are_held_for_a_locked_compile(workspace: Path, warm: Store) -> None:
    gates = (
        Gate("tokensPerSecond", "min", 1.0, PLACE),
        Gate("peakMemory", "max", 1.0, PLACE),
        Gate("klDivergence", "max", 1e9, PLACE),
    )
    gated = replace(SMALL, gates=gates)
    artifacts, diagnostics, _ = built(workspace, warm, gated)
    assert diagnostics == []
    artifact = artifacts.artifacts["assistant-1.4.0-small"]
    assert artifact.held_gates == {"tokensPerSecond.min": 1.0}
    wanted = planned(workspace, gated)
    assert codes([miss.finding for miss in chain(*check_gates(wanted, artifacts).values())]) == [Code.GATE_FAILED]
    from_lock = Artifacts({artifact.name: replace(artifact, speed=None)}, {})
    assert codes([miss.finding for miss in chain(*check_gates(wanted, from_lock).values())]) == [Code.GATE_UNDECIDED]


def test_external_data_of_any_name_is_read_and_left_behind(workspace: Path, warm: Store) -> None:
    plain = built(workspace, warm, SMALL)[0].artifacts["assistant-1.4.0-small"]
    tiny.write_external(workspace / MODEL.source, "weights.bin")
    artifact = built(workspace, warm, SMALL)[0].artifacts["assistant-1.4.0-small"]
    assert [file.name for file in artifact.files] == ["LICENSE", "genai_config.json", "model.onnx", "tokenizer.json"]
    assert artifact.quality == plain.quality


def test_a_warm_build_imports_nothing_heavy(workspace: Path, warm: Store, tmp_path: Path) -> None:
    built(workspace, warm, SMALL)
    script = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent.parent.parent)]!r}
from pathlib import Path
from compiler.artifact.making.build import build
from compiler.artifact.measuring.gates import check_gates
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store.store import Store
from compiler.fleet.graph import Recipe, Step
from compiler.fleet.fingerprint import fingerprint
from compiler.plan.actions import Baseline
from compiler.plan.planner import Tools, plan
from dataclasses import replace
from tests.values import PLACE, RUN, fleet_of
step = Step("quantize", {dict(INT4.parameters)!r}, PLACE)
fleets = [fleet_of(replace(RUN, recipe=Recipe("small", (step,), (), PLACE)))]
workspace = Path({str(workspace)!r})
sources, _ = fingerprint(workspace, workspace, fleets, {{}})
wanted = plan(fleets, sources, Baseline(), Tools(step_versions(), tool_versions()))
artifacts, diagnostics = build(wanted, workspace, Store(Path({str(warm.root)!r})), print)
assert [a.built for a in artifacts.artifacts.values()] == [False], artifacts
assert (check_gates(wanted, artifacts), diagnostics) == ({{}}, [])
print(sorted({{"numpy", "onnx", "onnxruntime", "onnx_ir", "tokenizers", "jinja2"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_figures_are_referrers_of_the_artifact(workspace: Path, warm: Store) -> None:
    artifacts, _, _ = built(workspace, warm, SMALL, FAST)
    subjects = []
    for entry in warm.index()[0]:
        manifest = json.loads(warm.path_of(entry["digest"]).read_bytes())
        if entry["artifactType"] != layout.ARTIFACT:
            subjects.append((entry["artifactType"], manifest.get("subject", {}).get("digest")))
    measured = [artifact.digest for artifact in artifacts.artifacts.values()]
    kinds = (layout.EVALUATION, layout.SPEED, layout.REPORT)
    wanted = [(kind, digest) for kind in kinds for digest in measured]
    assert sorted(subjects, key=str) == sorted([*wanted, (layout.ORIGINAL, None), (layout.SPEED, None)], key=str)
