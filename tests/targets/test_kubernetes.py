"""The Kubernetes target: built by Kustomize, each object checked against the schema of its kind."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ruamel.yaml import YAML

from tests.bundle.scenarios import NASTY, SCENARIOS, files_of
from tests.tools import accepted, put, run

VERSION = "1.32"


def objects(name: str, folder: Path) -> dict[tuple[str, str], Any]:
    """What `kubectl apply -k` would send, by kind and name."""
    put(files_of(SCENARIOS[name], "kubernetes"), folder)
    done = run("kubectl", "kustomize", folder)
    assert accepted(done), done.stderr
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in yaml.safe_load_all(done.stdout)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_object_is_valid(name: str, tmp_path: Path) -> None:
    for thing in objects(name, tmp_path).values():
        kubernetes_validate.validate(thing, VERSION, strict=True)


def test_the_objects_of_a_bundle(tmp_path: Path) -> None:
    assert sorted(objects("two-runs-amd64", tmp_path)) == [
        ("DaemonSet", "slmc-chat"),
        ("DaemonSet", "slmc-search-v2-7cb8f82d"),
        ("Namespace", "slmc-shops-pi"),
        ("NetworkPolicy", "slmc"),
        ("Service", "slmc-chat"),
        ("Service", "slmc-search-v2-7cb8f82d"),
        ("ServiceAccount", "slmc"),
    ]


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ('"value": "8080"', '"value": 8080'),
        ("runAsNonRoot: true", 'runAsNonRoot: "yes"'),
    ],
)
def test_the_schema_refuses_a_broken_object(written: str, broken: str) -> None:
    text = files_of(SCENARIOS["plain"], "kubernetes")["daemonset-chat.yaml"].decode()
    assert written in text
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(yaml.safe_load(text.replace(written, broken)), VERSION, strict=True)


def test_kustomize_refuses_a_missing_file(tmp_path: Path) -> None:
    put(files_of(SCENARIOS["plain"], "kubernetes"), tmp_path)
    (tmp_path / "service-chat.yaml").unlink()
    assert not accepted(run("kubectl", "kustomize", tmp_path))


def expanded(value: str, variables: dict[str, str]) -> str:
    """`$$` and `$(NAME)` in `value` as the kubelet expands them (kubernetes/third_party/forked/golang/expansion)."""

    def one(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, value)


def test_kubernetes_reads_back_nasty_values(tmp_path: Path) -> None:
    pod = objects("nasty-strings", tmp_path)["DaemonSet", "slmc-chat"]["spec"]["template"]["spec"]
    seen: dict[str, str] = {}
    for variable in pod["containers"][0]["env"]:
        seen[variable["name"]] = expanded(variable["value"], seen)
    assert {name: seen[name] for name, _ in NASTY} == dict(NASTY)


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for name in SCENARIOS:
        for file, data in files_of(SCENARIOS[name], "kubernetes").items():
            if file.endswith(".yaml"):
                assert yaml.safe_load(data) == YAML(typ="safe", pure=True).load(StringIO(data.decode()))


def test_each_pod_is_confined(tmp_path: Path) -> None:
    for name in SCENARIOS:
        for (kind, _), thing in objects(name, tmp_path / name).items():
            if kind != "DaemonSet":
                continue
            pod = thing["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            assert "@sha256:" in container["image"]
            assert {"name": "ORT_DISABLE_TELEMETRY", "value": "1"} in container["env"]
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "privileged": False,
                "readOnlyRootFilesystem": True,
            }
            assert {"name": "model", "mountPath": "/model", "readOnly": True} in container["volumeMounts"]


@pytest.mark.parametrize(("name", "egress"), [("plain", []), ("egress-allowed", [{}])])
def test_network_policy(name: str, egress: list[Any], tmp_path: Path) -> None:
    assert objects(name, tmp_path)["NetworkPolicy", "slmc"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {"slmc.dev/client": "true"}}}],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }
        ],
        "egress": egress,
    }
