"""The device's self-test: right answers pass, wrong ones keep the server from being ready, for every task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.bundles import ARTIFACT, DIGEST, bundle_id, change
from tests.runtime.serving import checked, metrics, serving, wait_for

BUNDLES = ("generator", "embedder", "classifier")


@pytest.mark.parametrize("name", BUNDLES)
def test_the_compiler_s_answers_come_out_right(request: pytest.FixtureRequest, name: str) -> None:
    bundle: Path = request.getfixturevalue(name)
    code, found, said = checked(bundle)
    answers = found["answers"]
    assert (code, said, found["error"], found["loaded"]) == (0, "", None, True)
    assert (answers["passed"], answers["failed"]) == (4, 0)
    # What is left is that the bundle's numbers are rounded to two places, or to four.
    rounding = 0.0051 if answers["tolerance"] >= 0.05 else 0.000051
    assert max(answers["each"]) <= answers["difference"] <= rounding
    assert (found["bundle"], found["run"]) == (bundle_id(bundle), "counter")
    assert found["artifact"] == {"name": ARTIFACT, "digest": DIGEST}
    assert found["peakMemory"] > 2**24
    assert set(found["versions"]) == {"onnxruntime", "onnxruntime-genai", "tokenizers"}


def changed(bundle: Path, target: Path, key: str, value: Any) -> Path:
    """The bundle with one thing of its second golden answer, or of all of them, replaced."""
    copy = Path(shutil.copytree(bundle, target))
    found = json.loads((copy / "golden.json").read_text())
    [entry] = found["artifacts"]
    place = entry if key in entry else entry["answers"][1]
    place[key] = value(place[key])
    change(copy, "golden.json", json.dumps(found))
    return copy


@pytest.mark.parametrize(
    ("name", "key", "value", "reason"),
    [
        ("generator", "logProbabilities", lambda v: [v[0] - 0.06, *v[1:]], "golden answer 2 is off by 0.0"),
        ("generator", "firstTokens", lambda v: [v[1], v[0], *v[2:]], "golden answer 2 is off by "),
        ("generator", "tokens", lambda v: [*v[:-1], v[-1] ^ 1], "golden answer 2: its continuation differs from token"),
        ("generator", "continuation", lambda v: v + "?", "golden answer 2: the tokenizer writes its tokens as another"),
        ("embedder", "components", lambda v: [*v[:-1], v[-1] + 0.006], "golden answer 2 is off by 0.00"),
        ("embedder", "cosines", lambda v: [*v[:-1], v[-1] + 0.006], "the cosines of golden answers are off by 0.00"),
        ("classifier", "logProbabilities", lambda v: [v[0] + 0.06, *v[1:]], "golden answer 2 is off by 0.0"),
        ("classifier", "label", lambda v: "maybe", "golden answer 2: its label is another"),
    ],
)
def test_a_wrong_answer_is_found(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, key: str, value: Any, reason: str
) -> None:
    bundle = changed(request.getfixturevalue(name), tmp_path / "bundle", key, value)
    code, found, said = checked(bundle)
    assert (code, found["loaded"]) == (1, True)
    assert found["error"].startswith(reason)
    assert said == f"slmc-serve: {found['error']}\n"
    wrong = 0 if key == "cosines" else 1
    assert (found["answers"]["passed"], found["answers"]["failed"]) == (4 - wrong, wrong)


def test_a_difference_within_the_tolerance_is_none(tmp_path: Path, generator: Path) -> None:
    bundle = changed(generator, tmp_path / "bundle", "logProbabilities", lambda v: [v[0] - 0.04, *v[1:]])
    code, found, _ = checked(bundle)
    assert (code, found["answers"]["passed"]) == (0, 4)
    assert 0.03 < found["answers"]["difference"] <= 0.05


def test_a_server_with_wrong_answers_lives_and_is_not_ready(tmp_path: Path, generator: Path) -> None:
    bundle = changed(generator, tmp_path / "bundle", "tokens", lambda v: [v[0] ^ 1, *v[1:]])
    with serving(bundle, ready=False) as served:
        reason = "golden answer 2: its continuation differs from token 1 on"
        while (found := json.loads(wait_for(served, "/readyz", 503)))["reason"] == "the model is loading":
            pass
        who = {"bundle": bundle_id(bundle), "run": "counter"}
        assert found == {"status": "unready", "reason": reason, **who}
        assert json.loads(served.get("/livez")[1]) == {"status": "live", **who}
        assert metrics(served)["slmc_ready"] == 0
        status, answer = served.post("/v1/completions", {"model": "pydoc", "prompt": "x"})
        assert (status, answer["error"]["code"], answer["error"]["type"]) == (503, "not_ready", "server_error")
        code, said = served.stop()
        assert (code, said) == (0, f"slmc-serve: not ready: {reason}\n")


def test_an_artifact_without_golden_answers_is_ready_once_it_is_loaded(tmp_path: Path, generator: Path) -> None:
    bundle = Path(shutil.copytree(generator, tmp_path / "bundle"))
    change(bundle, "golden.json", json.dumps({"artifacts": []}))
    code, found, _ = checked(bundle)
    assert (code, found["answers"]["passed"], found["answers"]["failed"]) == (0, 0, 0)
