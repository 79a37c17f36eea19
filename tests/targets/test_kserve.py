"""The KServe target: what Kustomize makes of it, pods that are confined, and the schemas of its kinds."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ruamel.yaml import YAML

from tests.bundle.scenarios import CLUSTER, NASTY, RUNTIME, files_of
from tests.targets.crd_schemas import faults
from tests.targets.test_kubernetes import VERSION, built, expanded
from tests.tools import put


def objects(folder: Path) -> dict[tuple[str, str], Any]:
    return built(put(files_of(CLUSTER, "kserve"), folder))


def test_the_objects_of_a_bundle(tmp_path: Path) -> None:
    found = objects(tmp_path)
    kinds = sorted((kind, name.rpartition("-")[0] if kind == "ConfigMap" else name) for kind, name in found)
    assert kinds == [
        ("ConfigMap", "slmc-bundle"),
        ("InferenceService", "slmc-chat"),
        ("InferenceService", "slmc-other"),
        ("Namespace", "slmc-shops-pi-kserve"),
        ("NetworkPolicy", "slmc"),
        ("ServingRuntime", "slmc-chat"),
        ("ServingRuntime", "slmc-other"),
    ]
    for thing in found.values():
        if "kserve.io" not in thing["apiVersion"]:
            kubernetes_validate.validate(thing, VERSION, strict=True)


def test_the_pod_of_a_runtime_is_one_that_kubernetes_accepts_under_the_strictest_rules(tmp_path: Path) -> None:
    """KServe makes a Deployment of both objects: as a pod, without what KServe adds."""
    found = objects(tmp_path)
    for name in ("slmc-chat", "slmc-other"):
        spec = found["ServingRuntime", name]["spec"]
        predictor = found["InferenceService", name]["spec"]["predictor"]
        own = {key: value for key, value in predictor.items() if key not in ("model", "minReplicas", "maxReplicas")}
        pod = {"containers": spec["containers"], "volumes": spec["volumes"], **own}
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
        kubernetes_validate.validate(document, VERSION, strict=True)
        (container,) = spec["containers"]
        assert "@sha256:" in container["image"]
        assert {"name": "ORT_DISABLE_TELEMETRY", "value": "1"} in container["env"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 65532,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        probed = {json_port(container[probe]) for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert probed == {container["ports"][0]["name"]}
        assert predictor["automountServiceAccountToken"] is False


def json_port(probe: dict[str, Any]) -> str:
    return str((probe.get("httpGet") or probe["tcpSocket"])["port"])


def test_a_service_names_its_runtime_and_the_folder_of_its_artifact(tmp_path: Path) -> None:
    found = objects(tmp_path)
    model = found["InferenceService", "slmc-chat"]["spec"]["predictor"]["model"]
    assert model == {
        "runtime": "slmc-chat",
        "modelFormat": {"name": "slmc-text-generation", "version": "1"},
        "storageUri": "pvc://models/" + "c" * 64,
    }
    formats = found["ServingRuntime", "slmc-chat"]["spec"]["supportedModelFormats"]
    assert formats == [model["modelFormat"] | {"autoSelect": False}]


def test_kustomize_knows_where_a_runtime_names_the_bundle(tmp_path: Path) -> None:
    found = objects(tmp_path)
    (name,) = (name for kind, name in found if kind == "ConfigMap")
    assert {"name": "bundle", "configMap": {"name": name}} in found["ServingRuntime", "slmc-chat"]["spec"]["volumes"]


def test_arguments_and_variables_say_where_kserve_has_the_artifact() -> None:
    runtime = replace(RUNTIME, arguments=("--model", "{model}/model.gguf", "--alias", "$HOME"), configuration=None)
    run = replace(CLUSTER.cohorts[0].runs[0], runtime=runtime, environment=NASTY)
    fleet = replace(CLUSTER, cohorts=(replace(CLUSTER.cohorts[0], runs=(run,)),))
    files = files_of(fleet, "kserve")
    assert "references.yaml" not in files
    (container,) = yaml.safe_load(files["runtime-chat.yaml"])["spec"]["containers"]
    assert container["args"] == ["--model", "/mnt/models/model.gguf", "--alias", "$$HOME"]
    seen: dict[str, str] = {}
    for variable in container["env"]:
        seen[variable["name"]] = expanded(variable["value"], seen)
    assert {name: seen[name] for name, _ in NASTY} == dict(NASTY)
    assert seen["SLMC_MODEL"] == "/mnt/models"


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for file, data in files_of(CLUSTER, "kserve").items():
        if file.endswith(".yaml"):
            assert yaml.safe_load(data) == YAML(typ="safe", pure=True).load(StringIO(data.decode()))


@pytest.mark.parametrize("kind", ["ServingRuntime", "InferenceService"])
def test_the_schemas_of_kserve_accept_its_objects(kind: str, tmp_path: Path) -> None:
    found = [thing for (other, _), thing in objects(tmp_path).items() if other == kind]
    assert [fault for thing in found for fault in faults(thing)] == []
