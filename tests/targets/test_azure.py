"""The Azure IoT Edge target: the layer, laid over a standard deployment as IoT Hub does, and what Docker is given."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import EGRESS_ALLOWED, NASTY, OWN_RUNTIME, SERVED, files_of
from tests.bundle.vendor_scenarios import OPTIONS, TARGETS, VENDORS, of_vendors, vendor_files
from tests.conftest import REPOSITORY
from tests.targets.third_party import faults, schema
from tests.tools import run
from tests.values import artifacts_of

TWIN = 32 * 1024
"""Bytes that the desired properties of a module may have: IoT Hub's quotas."""
TEXT = 4 * 1024
"""Bytes of one text in them."""
LAYER = "properties.desired.modules."
STANDARD: Any = {
    "$edgeAgent": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "registry.example/agent:1.5"}},
                "edgeHub": {
                    "type": "docker",
                    "status": "running",
                    "restartPolicy": "always",
                    "settings": {"image": "registry.example/hub:1.5"},
                },
            },
        }
    },
    "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
}


def deployment(fleet: Fleet) -> Any:
    return json.loads(files_of(of_vendors(fleet), "azure-iot-edge")["deployment.json"])


def modules(layer: Any) -> dict[str, Any]:
    """By name, what the layer adds."""
    agent = layer["content"]["modulesContent"]["$edgeAgent"]
    assert all(key.startswith(LAYER) for key in agent)
    return {key.removeprefix(LAYER): module for key, module in agent.items()}


def options(module: Any) -> Any:
    return json.loads(module["settings"]["createOptions"])


def laid_over(layer: Any) -> Any:
    """A complete deployment, as a device gets it."""
    whole = json.loads(json.dumps(STANDARD))
    whole["$edgeAgent"]["properties.desired"]["modules"] = modules(layer)
    return {"modulesContent": whole}


def layers() -> dict[str, Any]:
    return {name: json.loads(vendor_files(name, "azure-iot-edge")["deployment.json"]) for name in VENDORS}


def test_schema_accepts_the_layer_over_a_standard_deployment() -> None:
    wanted = schema("azure-iot-edge-deployment-2.0.json")
    for layer in layers().values():
        assert faults(wanted, laid_over(layer)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "started"), ("restartPolicy", "on-error"), ("imagePullPolicy", "always"), ("env", {"A": "1"})],
)
def test_schema_refuses_a_broken_module(key: str, value: Any) -> None:
    wanted = schema("azure-iot-edge-deployment-2.0.json")
    whole = laid_over(deployment(OWN_RUNTIME))
    whole["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["slmc-chat"][key] = value
    assert faults(wanted, whole)


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    return [value] if isinstance(value, str) else []


def test_the_twin_has_room() -> None:
    for layer in layers().values():
        assert len(json.dumps(layer["content"])) < TWIN
        assert max(len(text.encode()) for text in texts(layer["content"])) <= TEXT


def test_values_come_through_json_in_json() -> None:
    (module,) = modules(layers()["nasty-strings"]).values()
    env = {name: entry["value"] for name, entry in module["env"].items()}
    assert {name: env[name] for name, _ in NASTY} == dict(NASTY)
    assert env["ORT_DISABLE_TELEMETRY"] == "1"


def test_each_container_is_confined() -> None:
    for layer in layers().values():
        for module in modules(layer).values():
            assert "@sha256:" in module["settings"]["image"]
            given = options(module)
            host = given["HostConfig"]
            assert (given["User"], host["ReadonlyRootfs"], host["CapDrop"]) == ("65532:65532", True, ["ALL"])
            assert host["SecurityOpt"] == ["no-new-privileges"]
            assert host["Memory"] == host["MemorySwap"] > 0
            assert all(mount["Type"] == "bind" and mount["ReadOnly"] for mount in host["Mounts"])
            assert "Binds" not in host


def test_without_egress_a_run_is_in_the_internal_network_alone() -> None:
    given = options(modules(deployment(OWN_RUNTIME))["slmc-chat"])
    assert given["HostConfig"]["NetworkMode"] == "slmc-internal"
    assert given["NetworkingConfig"] == {"EndpointsConfig": {"slmc-internal": {}}}
    assert "PortBindings" not in given["HostConfig"]
    given = options(modules(deployment(EGRESS_ALLOWED))["slmc-chat"])
    assert given["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert "NetworkMode" not in given["HostConfig"]
    assert "NetworkingConfig" not in given


def test_the_internal_network_is_made_once(tmp_path: Path) -> None:
    """By sh, as systemd would start it, with a Docker that knows what it was asked for."""
    unit = tmp_path / "slmc-network.service"
    unit.write_bytes(vendor_files("own-runtime", "azure-iot-edge")[unit.name])
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), flags=re.MULTILINE)
    words = shlex.split(line.replace("$$", "$"))
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\ncd {tmp_path}\n[ "$2" = create ] && echo "$@" >>made\ntest -f made\n')
    docker.chmod(0o755)
    for _ in range(2):
        subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    assert (tmp_path / "made").read_text() == "network create --internal slmc-internal\n"
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, tmp_path / "docker.service")
    assert (done.returncode, done.stderr) == (0, "")


def test_slmcs_own_runtime_is_told_of_its_bundle() -> None:
    given = options(modules(deployment(OWN_RUNTIME))["slmc-chat"])
    assert given["Cmd"] == ["--bundle", "/bundle", "--run", "chat"]
    assert [mount["Target"] for mount in given["HostConfig"]["Mounts"]] == ["/model", "/bundle"]


def test_another_content_is_another_deployment_and_another_condition_is_not() -> None:
    """IoT Hub changes the condition, priority and labels of a deployment, but never its content."""
    first = deployment(OWN_RUNTIME)
    (cohort,) = OWN_RUNTIME.cohorts
    limits = replace(cohort.runs[0], limits=(("queue", 3),))
    other = deployment(replace(OWN_RUNTIME, cohorts=(replace(cohort, runs=(limits, *cohort.runs[1:])),)))
    moved = json.loads(
        files_of(of_vendors(OWN_RUNTIME, OPTIONS), "azure-iot-edge")["deployment.json"],
    )
    assert first["id"] != other["id"]
    assert (first["id"], first["content"]) == (moved["id"], moved["content"])
    assert (first["priority"], first["targetCondition"]) == (
        10, "tags.slmc.fleet='shops' AND tags.slmc.cohort='pi'",
    )  # fmt: skip
    assert (moved["priority"], moved["targetCondition"]) == (30, "tags.site = 'lyon'")


def test_a_layer_for_which_a_twin_has_no_room_is_refused() -> None:
    fleet = of_vendors(
        replace(
            OWN_RUNTIME,
            cohorts=(
                replace(
                    OWN_RUNTIME.cohorts[0],
                    runs=(replace(SERVED, environment=tuple((f"V{n}", "x" * 3000) for n in range(11))),),
                ),
            ),
        ),
        TARGETS[:1],
    )
    targets, _ = check_targets(REPOSITORY, [fleet])
    artifacts = artifacts_of()
    bundles = render(targets, [fleet], artifacts, check([fleet], artifacts)[0], {"shops": 0})
    size = len(bundles.files()["shops/pi/azure-iot-edge/deployment.json"])
    assert size > TWIN
    (found,) = bundles.diagnostics
    assert (found.code.slug, found.message, found.span) == (
        "file-too-large",
        f"`deployment.json` of cohort `pi` has {size:,} bytes; what reads it takes at most 32,768.",
        fleet.targets[0].place,
    )
    assert [(str(place).rpartition("/")[2], note) for place, note in found.related] == [
        ("target.yaml:20:12", "the limit is declared here")
    ]
