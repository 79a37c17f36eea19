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

from compiler.artifact.artifact import Answer, Golden
from compiler.base.codes import Code
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from tests.bundle.scenarios import NASTY, SCENARIOS, files_of
from tests.conftest import REPOSITORY
from tests.tools import accepted, put, run
from tests.values import PLACE, artifacts_of

VERSION = "1.32"


def built(folder: Path) -> dict[tuple[str, str], Any]:
    """What `kubectl apply -k` would send, by kind and name."""
    done = run("kubectl", "kustomize", folder)
    assert accepted(done), done.stderr
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in yaml.safe_load_all(done.stdout)}


def objects(name: str, folder: Path) -> dict[tuple[str, str], Any]:
    return built(put(files_of(SCENARIOS[name], "kubernetes"), folder))


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_object_is_valid(name: str, tmp_path: Path) -> None:
    for thing in objects(name, tmp_path).values():
        kubernetes_validate.validate(thing, VERSION, strict=True)


@pytest.mark.parametrize("name", ["own-runtime", "cluster"])
def test_base_and_the_overlay_of_all_nodes_are_the_pods(name: str, tmp_path: Path) -> None:
    put(files_of(SCENARIOS[name], "kubernetes"), tmp_path)
    base, everyone = built(tmp_path / "base"), built(tmp_path / "overlays" / "everyone")
    assert sorted(base) == [("DaemonSet", "slmc-chat"), ("DaemonSet", "slmc-other")]
    assert base == everyone
    for thing in base.values():
        kubernetes_validate.validate(thing, VERSION, strict=True)


def test_a_second_wave_needs_nothing_but_an_overlay(tmp_path: Path) -> None:
    """As a rollout will lay it out: the same base for other nodes, in the same namespace, with the same ConfigMap."""
    put(files_of(SCENARIOS["own-runtime"], "kubernetes"), tmp_path)
    put({"kustomization.yaml": WAVE}, tmp_path / "overlays" / "canary")
    entry = (tmp_path / "kustomization.yaml").read_text()
    changed = entry.replace('  - "overlays/everyone"\n', '  - "overlays/everyone"\n  - "overlays/canary"\n')
    (tmp_path / "kustomization.yaml").write_text(changed)
    found = built(tmp_path)
    pods = {name: found["DaemonSet", name]["spec"]["template"]["spec"] for name in ("slmc-chat", "slmc-chat-canary")}
    assert pods["slmc-chat-canary"]["nodeSelector"] == pods["slmc-chat"]["nodeSelector"] | {"slmc.dev/wave": "canary"}
    (configmap,) = (name for kind, name in found if kind == "ConfigMap")
    for pod in pods.values():
        assert {"name": "bundle", "configMap": {"name": configmap}} in pod["volumes"]


WAVE = b"""resources: ["../../base"]
nameSuffix: "-canary"
patches:
  - target: {"kind": "DaemonSet"}
    patch: |
      {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "any"},
       "spec": {"template": {"spec": {"nodeSelector": {"slmc.dev/wave": "canary"}}}}}
"""


def test_the_objects_of_a_bundle(tmp_path: Path) -> None:
    assert sorted(objects("two-runs-amd64", tmp_path)) == [
        ("DaemonSet", "slmc-chat"),
        ("DaemonSet", "slmc-search-v2-7cb8f82d"),
        ("Namespace", "slmc-shops-pi"),
        ("NetworkPolicy", "slmc"),
        ("PodDisruptionBudget", "slmc-chat"),
        ("PodDisruptionBudget", "slmc-search-v2-7cb8f82d"),
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
    text = files_of(SCENARIOS["plain"], "kubernetes")["base/daemonset-chat.yaml"].decode()
    assert written in text
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(yaml.safe_load(text.replace(written, broken)), VERSION, strict=True)


@pytest.mark.parametrize("change", ["serve.json", "golden.json", "artifacts.json", "SHA256SUMS"])
def test_a_server_sees_its_own_bundle_and_another_one_rolls_out(change: str, tmp_path: Path) -> None:
    files = files_of(SCENARIOS["own-runtime"], "kubernetes")
    before, after = (
        built(put(given, tmp_path / name))
        for name, given in (("before", files), ("after", files | {change: files[change] + b"\n"}))
    )
    names = []
    for found in (before, after):
        (configmap,) = (thing for (kind, _), thing in found.items() if kind == "ConfigMap")
        names.append(configmap["metadata"]["name"])
        pod = found["DaemonSet", "slmc-chat"]["spec"]["template"]["spec"]
        assert {"name": "bundle", "configMap": {"name": names[-1]}} in pod["volumes"]
        assert {"name": "bundle", "mountPath": "/bundle", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert names[0] != names[1]
    (configmap,) = (thing for (kind, _), thing in before.items() if kind == "ConfigMap")
    own = ("SHA256SUMS", "artifacts.json", "golden.json", "serve.json")
    assert {name: data.encode() for name, data in configmap["data"].items()} == {name: files[name] for name in own}
    other = before["DaemonSet", "slmc-other"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in other["volumes"]] == ["model", "tmp"]


def test_a_bundle_without_golden_answers_is_built(tmp_path: Path) -> None:
    fleet = SCENARIOS["own-runtime"]
    targets, _ = check_targets(REPOSITORY, [fleet])
    artifacts = artifacts_of(golden=None)
    bundles = render(targets, [fleet], artifacts, check([fleet], artifacts)[0], {"shops": 0})
    (files,) = (bundle.files for bundle in bundles.bundles if bundle.target == "kubernetes")
    found = built(put(files, tmp_path))
    (configmap,) = (thing for (kind, _), thing in found.items() if kind == "ConfigMap")
    assert sorted(configmap["data"]) == ["SHA256SUMS", "artifacts.json", "serve.json"]


def test_more_than_a_configmap_holds_is_an_error() -> None:
    """So many golden answers that the API server would refuse the ConfigMap."""
    fleet = SCENARIOS["own-runtime"]
    targets, _ = check_targets(REPOSITORY, [fleet])
    answers = tuple(Answer("a", values=(0.125,) * 4096) for _ in range(40))
    artifacts = artifacts_of(golden=Golden("embeddings", 0.1, answers))
    bundles = render(targets, [fleet], artifacts, check([fleet], artifacts)[0], {"shops": 0})
    bundles.files()
    (found,) = bundles.diagnostics
    assert (found.code, found.span) == (Code.FILE_TOO_LARGE, PLACE)
    said = r"`artifacts.json`, .* of cohort `pi` have 1,\d\d\d,\d\d\d bytes, and target `kubernetes` carries 1,048,576."
    assert re.fullmatch(said, found.message)


def test_probes_ask_the_paths_of_the_runtime_else_whether_the_port_is_open(tmp_path: Path) -> None:
    found = objects("own-runtime", tmp_path)
    names = ("startupProbe", "livenessProbe", "readinessProbe")
    times = (
        {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 120},
        {"periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 3},
        {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
    )
    live, ready = ({"httpGet": {"path": path, "port": "http"}} for path in ("/livez", "/readyz"))
    tcp = {"tcpSocket": {"port": "http"}}
    for run_name, asked in (("chat", (live, live, ready)), ("other", (tcp, tcp, tcp))):
        (container,) = found["DaemonSet", f"slmc-{run_name}"]["spec"]["template"]["spec"]["containers"]
        assert [container[name] for name in names] == [one | when for one, when in zip(asked, times, strict=True)]
        assert container.get("args") == (["--bundle", "/bundle", "--run", "chat"] if run_name == "chat" else None)


def test_an_eviction_leaves_one_pod(tmp_path: Path) -> None:
    """Of pods without a scale subresource Kubernetes takes minAvailable as a number, and nothing else."""
    assert objects("plain", tmp_path)["PodDisruptionBudget", "slmc-chat"]["spec"] == {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "slmc", "app.kubernetes.io/instance": "chat"}},
        "minAvailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


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
            assert all("@sha256:" in one["image"] for one in (container, *pod.get("initContainers", ())))
            assert {"name": "ORT_DISABLE_TELEMETRY", "value": "1"} in container["env"]
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for one in (container, *pod.get("initContainers", ())):
                assert one["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                }
            assert {"name": "model", "mountPath": "/model", "readOnly": True} in container["volumeMounts"]


REGISTRY = {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 5000}]}


@pytest.mark.parametrize(("name", "mode"), [("plain", "privileged"), ("cluster", "restricted")])
def test_pods_that_mount_nothing_of_the_node_are_restricted(name: str, mode: str, tmp_path: Path) -> None:
    found = objects(name, tmp_path)
    assert found["Namespace", "slmc-shops-pi"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == mode
    pod = found["DaemonSet", "slmc-chat"]["spec"]["template"]["spec"]
    assert any("hostPath" in volume for volume in pod["volumes"]) == (mode == "privileged")


@pytest.mark.parametrize(
    ("name", "egress", "ports"),
    [("plain", [], [8080]), ("egress-allowed", [{}], [8080]), ("cluster", [REGISTRY], [8080, 8081])],
)
def test_network_policy(name: str, egress: list[Any], ports: list[int], tmp_path: Path) -> None:
    assert objects(name, tmp_path)["NetworkPolicy", "slmc"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {"slmc.dev/client": "true"}}}],
                "ports": [{"protocol": "TCP", "port": port} for port in ports],
            }
        ],
        "egress": egress,
    }
