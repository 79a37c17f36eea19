"""Whole bundles: golden trees, what adding a device changes, what stands beside the rendered files."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.artifact import Answer, Golden
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from tests.bundle.scenarios import OWN_RUNTIME, PLAIN, RUNTIME, SCENARIOS, TWO_COHORTS, WATCHED, files_of, rendered
from tests.conftest import REPOSITORY
from tests.tree import golden
from tests.values import DEVICE, artifacts_of, digest

EXPECTED = Path(__file__).parent.parent / "expected" / "bundle"
TREES = SCENARIOS | WATCHED


@pytest.mark.parametrize("name", TREES)
def test_bundles_are_as_expected(name: str, update: bool) -> None:
    """`pytest tests/bundle --update` rewrites the trees."""
    files = rendered(TREES[name]).files()
    assert files == golden(files, EXPECTED / name, update)


def test_every_expected_tree_has_a_scenario() -> None:
    assert sorted(path.name for path in EXPECTED.iterdir()) == sorted(TREES)


def test_order_of_fleets_does_not_matter() -> None:
    other = replace(PLAIN, name="depots")
    assert rendered(PLAIN, other).files() == rendered(other, PLAIN).files()


def test_another_device_changes_the_index_alone() -> None:
    cohort = PLAIN.cohorts[0]
    grown = replace(PLAIN, cohorts=(replace(cohort, devices=(DEVICE, replace(DEVICE, id="a-1"))),))
    before, after = rendered(PLAIN), rendered(grown)
    assert list(before.bundles) == list(after.bundles)
    assert before.indexes == {"shops/devices.csv": b"id,class,cohort\ntill-1,pi,pi\n"}
    assert after.indexes == {"shops/devices.csv": b"id,class,cohort\na-1,pi,pi\ntill-1,pi,pi\n"}


def test_index_is_in_the_order_of_ids_over_all_cohorts() -> None:
    expected = b"id,class,cohort\ntill-1,pi,pi\ntill-5,pi,pi-berlin-3\ntill-9,pi,pi\n"
    assert rendered(TWO_COHORTS).indexes == {"shops/devices.csv": expected}


def test_sums_name_every_other_file_and_sha256sum_agrees(tmp_path: Path) -> None:
    for bundle in rendered(PLAIN).bundles:
        folder = tmp_path / bundle.folder
        for name, data in bundle.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        sums = bundle.files["SHA256SUMS"].decode().splitlines()
        assert [line[66:] for line in sums] == sorted(bundle.files.keys() - {"SHA256SUMS"})
        command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
        assert subprocess.run(command, cwd=folder, check=False).returncode == 0
        (folder / "artifacts.json").write_bytes(b"{}")
        assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


def test_artifacts_json_lists_each_artifact_once_with_its_runs() -> None:
    bundle, *_ = rendered(SCENARIOS["two-runs-amd64"]).bundles
    assert json.loads(bundle.files["artifacts.json"]) == {
        "artifacts": [
            {
                "name": "assistant-1.4.0-int4",
                "digest": digest("c"),
                "folder": "/var/lib/slmc/artifacts/" + "c" * 64,
                "size": 100 * 2**20,
                "runs": ["chat", "search.v2"],
                "files": [{"name": "model.onnx", "size": 100 * 2**20, "digest": digest("d")}],
            }
        ]
    }


def test_golden_json_has_the_answers_of_each_artifact_once_with_its_runs() -> None:
    bundle, *_ = rendered(SCENARIOS["two-runs-amd64"]).bundles
    assert json.loads(bundle.files["golden.json"]) == {
        "artifacts": [
            {
                "name": "assistant-1.4.0-int4",
                "digest": digest("c"),
                "runs": ["chat", "search.v2"],
                "task": "text-generation",
                "tolerance": 0.1,
                "answers": [
                    {
                        "prompt": "Once upon",
                        "continuation": " a time",
                        "tokens": [264, 892],
                        "firstTokens": [264, 290, 13],
                        "logProbabilities": [-0.31, -1.9, -3.25],
                    },
                    {
                        "prompt": 'The "end" of [\n1\n]',
                        "continuation": "",
                        "tokens": [],
                        "firstTokens": [13, 264, 290],
                        "logProbabilities": [-1.2, -1.25, -4.0],
                    },
                ],
            }
        ]
    }


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        (
            Golden("embeddings", 0.005, (Answer("a", values=(0.5, -0.1)), Answer("b", values=(1e-05, 0.0))), (0.99,)),
            {
                "answers": [{"text": "a", "components": [0.5, -0.1]}, {"text": "b", "components": [1e-05, 0.0]}],
                "cosines": [0.99],
            },
        ),
        (
            Golden("text-classification", 0.05, (Answer("a", "SPAM", (), (1, 0), (-0.1, -2.3)), Answer("b"))),
            {
                "answers": [
                    {"text": "a", "label": "SPAM", "labels": [1, 0], "logProbabilities": [-0.1, -2.3]},
                    {"text": "b", "label": None, "labels": [], "logProbabilities": []},
                ]
            },
        ),
    ],
)
def test_golden_json_of_encoders(golden: Golden, expected: dict[str, Any]) -> None:
    targets, _ = check_targets(REPOSITORY, [PLAIN])
    artifacts = artifacts_of(golden=golden)
    bundle, *_ = render(targets, [PLAIN], artifacts, check([PLAIN], artifacts)[0], {"shops": 0}).bundles
    (entry,) = json.loads(bundle.files["golden.json"])["artifacts"]
    assert entry == expected | {
        "name": "assistant-1.4.0-int4",
        "digest": digest("c"),
        "runs": ["chat"],
        "task": golden.task,
        "tolerance": golden.tolerance,
    }


def test_an_artifact_without_golden_answers_has_no_such_file_and_another_fingerprint() -> None:
    targets, _ = check_targets(REPOSITORY, [PLAIN])
    found = []
    for artifacts in (artifacts_of(), artifacts_of(golden=None)):
        bundle, *_ = render(targets, [PLAIN], artifacts, check([PLAIN], artifacts)[0], {"shops": 0}).bundles
        found.append(("golden.json" in bundle.files, bundle.fingerprint))
    (with_it, one), (without, other) = found
    assert (with_it, without) == (True, False)
    assert one != other


def test_a_cohort_without_runs_has_no_bundle_but_stands_in_the_index() -> None:
    idle = replace(PLAIN, cohorts=(replace(PLAIN.cohorts[0], runs=()),))
    bundles = rendered(idle)
    assert list(bundles.bundles) == []
    assert bundles.indexes == {"shops/devices.csv": b"id,class,cohort\ntill-1,pi,pi\n"}


def test_a_thousand_cohorts_compile_each_template_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from jinja2 import Environment

    compiled = 0
    compile_source = Environment._compile

    def counted(self: Environment, source: str, filename: str) -> object:
        nonlocal compiled
        compiled += 1
        return compile_source(self, source, filename)

    monkeypatch.setattr(Environment, "_compile", counted)
    many = replace(PLAIN, cohorts=tuple(replace(PLAIN.cohorts[0], name=f"c{number}") for number in range(20)))
    targets, _ = check_targets(REPOSITORY, [many])
    artifacts = artifacts_of()
    bundles = render(targets, [many], artifacts, check([many], artifacts)[0], {"shops": 0})
    assert len(bundles.files()) > 80
    assert bundles.diagnostics == []
    assert len(list(bundles.bundles)) == 80
    paths = sum("{" in file.path for target in targets.values() for file in target.files)
    templates = sum(len({file.template for file in target.files}) for target in targets.values())
    assert compiled == paths + templates + 4  # names.j2, registry.j2 and twice probe.j2, which others import


@pytest.mark.parametrize("target", ["systemd", "quadlet"])
def test_the_agent_asks_servers_of_others_for_no_bundle(target: str) -> None:
    """Only a runtime that reads the bundle can say its id."""
    (cohort,) = OWN_RUNTIME.cohorts
    own = cohort.runs[0]
    foreign = replace(own, name="foreign", port=8082, runtime=replace(RUNTIME, configuration=None, ready="/health"))
    fleet = replace(OWN_RUNTIME, cohorts=(replace(cohort, runs=(own, foreign)),))
    lines = files_of(fleet, target)["units.tsv"].decode().splitlines()
    assert lines[1:-1] == [
        "slmc-chat.service\trun\thttp://127.0.0.1:8080/readyz",
        "slmc-foreign.service\trun\thttp://127.0.0.1:8082/health\tstatus",
    ]
