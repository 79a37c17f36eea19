"""What `build` does when the store, the model, a step or the runtime fails: it says so, and goes on with the rest."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiler.artifact.artifact import Artifacts
from compiler.artifact.store import cache, layout
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.base.diagnostics import Stop
from compiler.fleet.graph import Recipe, Step
from tests.artifact import tiny
from tests.artifact.building import (
    FAST,
    OPTIMIZE,
    SMALL,
    built,
    codes,
    facts,
    lock_of,
)
from tests.values import MODEL, PLACE, digest

pytestmark = pytest.mark.slow


def test_a_damaged_blob_is_built_anew_in_the_same_run(workspace: Path, warm: Store) -> None:
    first, _, _ = built(workspace, warm, SMALL)
    graph = next(f for f in first.artifacts["assistant-1.4.0-small"].files if f.name == "model.onnx")
    warm.path_of(graph.digest).write_bytes(b"damaged")
    again, diagnostics, _ = built(workspace, warm, SMALL)
    assert codes(diagnostics) == [Code.CORRUPT_BLOB]
    assert graph.digest in diagnostics[0].message
    assert {n: facts(a) for n, a in again.artifacts.items()} == {n: facts(a) for n, a in first.artifacts.items()}
    assert built(workspace, warm, SMALL)[1] == []


def test_every_blob_of_the_store_may_be_damaged(workspace: Path, warm: Store) -> None:
    first, _, _ = built(workspace, warm, SMALL, FAST)
    for blob in sorted(warm.blobs.folder.iterdir()):
        cache.prune(warm, None)
        if not blob.exists():
            continue  # Figures of speed that came out anew have another digest.
        whole = blob.read_bytes()
        blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        again, diagnostics, _ = built(workspace, warm, SMALL, FAST)
        # A compile does not read reports: who asks for one hears of it.
        diagnostics += [d for a in again.artifacts.values() for d in Store(warm.root).record(layout.REPORT, a.key)[1]]
        assert set(codes(diagnostics)) == {Code.CORRUPT_BLOB}
        assert {n: facts(a) for n, a in again.artifacts.items()} == {n: facts(a) for n, a in first.artifacts.items()}
    assert cache.verify(Store(warm.root)) == ([], [])


def test_a_step_that_fails_is_told_at_its_place_and_the_others_are_built(workspace: Path, warm: Store) -> None:
    place = replace(PLACE, line=2)
    broken = Step("quantize", {"scheme": "int4", "blockSize": 7, "symmetric": False}, place)
    artifacts, diagnostics, _ = built(workspace, warm, Recipe("bad", (OPTIMIZE, broken), (), PLACE), FAST)
    assert [(d.code, d.span) for d in diagnostics] == [(Code.STEP_FAILED, place)]
    assert diagnostics[0].message.startswith("Step 2 (`quantize`) of recipe `bad` failed on `assistant@1.4.0`: "), (
        diagnostics[0].message
    )
    assert str(warm.root) not in diagnostics[0].message
    assert list(artifacts.artifacts) == ["assistant-1.4.0-fast"]


def test_what_is_wrong_with_model_and_data_is_told_once_for_all_recipes(workspace: Path, store: Store) -> None:
    (workspace / MODEL.source / "model.onnx").write_bytes(b"text")
    (workspace / MODEL.source / "tokenizer.json").unlink()
    (workspace / MODEL.evaluation_data).write_text("text\n")
    artifacts, diagnostics, said = built(workspace, store, SMALL, FAST)
    assert sorted(code.id for code in codes(diagnostics)) == ["SLM501", "SLM503", "SLM509"]
    assert (artifacts, said) == (Artifacts({}, {}), [])


def test_a_model_without_numbers_fails_at_its_source(workspace: Path, store: Store) -> None:
    weights = tiny.Weights.random()
    bad = tiny.Weights(weights.embeddings * np.float32(np.nan), weights.cache_in, weights.cache_out, weights.output)
    tiny.write(workspace / MODEL.source, bad)
    artifacts, diagnostics, _ = built(workspace, store, Recipe("r", (OPTIMIZE,), (), PLACE))
    assert Code.EVALUATION_FAILED in codes(diagnostics)
    assert artifacts.artifacts == {}


def test_a_rebuild_with_another_digest_is_not_reproduced(workspace: Path, warm: Store) -> None:
    artifact = built(workspace, warm, SMALL)[0].artifacts["assistant-1.4.0-small"]
    locked = lock_of(workspace, artifact, SMALL, digest=digest("0"))
    artifacts, diagnostics, _ = built(workspace, warm, SMALL, locked=locked)
    assert codes(diagnostics) == [Code.NOT_REPRODUCED]
    assert artifact.digest in diagnostics[0].message
    assert digest("0") in diagnostics[0].message
    assert artifacts.artifacts == {}


def test_a_store_that_cannot_be_written_stops_the_build(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Stop) as stop:
        built(workspace, Store(tmp_path / "file" / "store"), SMALL)
    assert codes(stop.value.diagnostics) == [Code.CANNOT_WRITE]


_CRASHES_ON_SMALL = """#!{python}
import os, signal, subprocess, sys
request = sys.stdin.buffer.read()
if sys.argv[-1] in ("evaluate", "speed") and b"-small" in request:
    os.kill(os.getpid(), signal.SIGSEGV)
surroundings = os.environ | {{"SLMC_PARENT": str(os.getpid())}}
sys.exit(subprocess.run([{python!r}, *sys.argv[1:]], input=request, env=surroundings).returncode)
"""


def test_an_artifact_that_crashes_the_runtime_is_the_only_one_blamed(
    workspace: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "python"
    launcher.write_text(_CRASHES_ON_SMALL.format(python=sys.executable))
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))
    place = replace(PLACE, line=2)
    artifacts, diagnostics, _ = built(workspace, store, replace(SMALL, place=place), FAST)
    assert [(d.code, d.span, d.message) for d in diagnostics] == [
        (
            Code.EVALUATION_FAILED,
            place,
            "`assistant-1.4.0-small` cannot be evaluated: the process crashed with SIGSEGV.",
        )
    ]
    assert list(artifacts.artifacts) == ["assistant-1.4.0-fast"]
    assert list(artifacts.originals) == ["assistant@1.4.0"]
