"""The targets flux and argocd: what they refer to is there, and Kustomize, git and the schemas accept what they say."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from compiler.bundle.bundles import levels_for
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import CLUSTER, files_of, rendered
from tests.conftest import REPOSITORY
from tests.targets.crd_schemas import faults
from tests.targets.test_kubernetes import built
from tests.tools import put
from tests.tree import tree
from tests.values import artifacts_of

ONE = replace(CLUSTER, targets=tuple(use for use in CLUSTER.targets if use.name in ("kubernetes", "flux", "argocd")))
MANY = replace(ONE, cohorts=tuple(replace(ONE.cohorts[0], name=f"pi-{number}") for number in range(40)))


def application() -> Any:
    return yaml.safe_load(files_of(CLUSTER, "argocd")["application.yaml"])


def flux(folder: Path) -> dict[tuple[str, str], Any]:
    return built(put(files_of(CLUSTER, "flux"), folder))


def test_the_objects_of_flux_are_built(tmp_path: Path) -> None:
    assert list(flux(tmp_path)) == [("Kustomization", "slmc-shops-pi"), ("GitRepository", "slmc-shops-pi")]


@pytest.mark.parametrize("fleet", [ONE, MANY], ids=["one", "many"])
def test_paths_lead_to_the_bundle_of_the_same_cohort(fleet: Fleet) -> None:
    """Also where cohorts lie in folders of shards."""
    files = rendered(fleet).files()
    read = {name: yaml.safe_load(data) for name, data in files.items() if name.endswith(("sync.yaml", "cation.yaml"))}
    assert len(read) == 2 * len(fleet.cohorts)
    for name, thing in read.items():
        folder = name.rpartition("/")[0].rpartition("/")[0]
        prefix = "./edge/deploy" if name.endswith("sync.yaml") else "deploy"
        path = thing["spec"]["path"] if name.endswith("sync.yaml") else thing["spec"]["source"]["path"]
        assert path == f"{prefix}/{folder}/kubernetes"
        assert f"{folder}/kubernetes/kustomization.yaml" in files


def test_a_cohort_that_moves_has_other_bundles() -> None:
    """Bundles with another path in them have another fingerprint, or a compile would take the old ones."""
    targets, _ = check_targets(REPOSITORY, [ONE])
    artifacts = artifacts_of()
    prints = [
        {
            bundle.target: bundle.fingerprint
            for bundle in render(targets, [ONE], artifacts, check([ONE], artifacts)[0], {"shops": levels}).bundles
        }
        for levels in (0, levels_for(40))
    ]
    assert prints[0].keys() == prints[1].keys() == {"kubernetes", "flux", "argocd"}
    assert all(prints[0][target] != prints[1][target] for target in ("flux", "argocd"))


def test_flux_sees_nothing_but_the_bundle(tmp_path: Path) -> None:
    """`ignore` is read as git reads .gitignore; git itself says what it leaves."""
    source = flux(tmp_path / "flux")["GitRepository", "slmc-shops-pi"]
    repository = tmp_path / "repository"
    bundles = {f"edge/deploy/{name}": data for name, data in rendered(ONE).files().items()}
    put(
        bundles | {"shop.slmc.yaml": b"", "edge/models/a.onnx": b"", "edge/deploy/other/pi/kubernetes/x": b""},
        repository,
    )
    (repository / ".gitignore").write_text(source["spec"]["ignore"])
    git = ["git", "-C", str(repository)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout.split()
    bundle = "edge/deploy/shops/pi/kubernetes"
    assert sorted(listed) == sorted(f"{bundle}/{name}" for name in tree(repository / bundle))


def test_argo_cd_makes_the_namespace_and_the_policy_before_pods(tmp_path: Path) -> None:
    """Its patches, as Kustomize applies them to the bundle."""
    put(files_of(CLUSTER, "kubernetes"), tmp_path / "bundle")
    patches = application()["spec"]["source"]["kustomize"]["patches"]
    put({"kustomization.yaml": json.dumps({"resources": ["../bundle"], "patches": patches}).encode()}, tmp_path / "app")
    waves = {
        kind: thing["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave")
        for (kind, _), thing in built(tmp_path / "app").items()
    }
    assert waves == {
        "Namespace": "-2",
        "NetworkPolicy": "-1",
        **dict.fromkeys(["ConfigMap", "DaemonSet", "PodDisruptionBudget", "Service", "ServiceAccount"]),
    }


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for target in ("flux", "argocd"):
        for file, data in files_of(CLUSTER, target).items():
            if file.endswith(".yaml"):
                assert yaml.safe_load(data) == YAML(typ="safe", pure=True).load(StringIO(data.decode()))
    assert application()["spec"]["source"]["targetRevision"] == "no"


def test_the_schemas_of_flux_accept_its_objects(tmp_path: Path) -> None:
    assert [fault for thing in flux(tmp_path).values() for fault in faults(thing)] == []


def test_the_schema_of_argo_cd_accepts_the_application() -> None:
    assert faults(application()) == []


def test_a_schema_that_does_not_fit_is_heard(tmp_path: Path) -> None:
    schema = {"properties": {"spec": {"properties": {"project": {"type": "integer"}}}}}
    put({"argoproj.io/application_v1alpha1.json": json.dumps(schema).encode()}, tmp_path)
    assert faults(application(), tmp_path) == ["$.spec.project: 'default' is not of type 'integer'"]
