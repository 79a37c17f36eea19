"""The Compose target, read by docker-compose itself (no engine is needed for `config`)."""

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

from tests.bundle.scenarios import BASE_IMAGE, NASTY, OPTIONS, SCENARIOS, SERVED, files_of
from tests.tools import accepted, put, run

FILE = "compose.yaml"


DEVICE_FILE = "/etc/slmc/device.env"
DEVICE_TEXT = """SHOP_NAME='Bäckerei "Süd", # 3'\nTILL_SERIAL='0x1F'\n"""


def config(data: bytes, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What docker-compose says, on a device whose own variables are in `folder`."""
    device = folder / "device.env"
    put({FILE: data.replace(DEVICE_FILE.encode(), str(device).encode()), device.name: DEVICE_TEXT.encode()}, folder)
    return run("docker-compose", "-f", folder / FILE, "config", *words, cwd=folder, env={"SLMC_PORT": "1"})


def lint(containerfile: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    put({"Containerfile": containerfile}, folder)
    return run("hadolint", "--no-color", folder / "Containerfile")


def test_hadolint_accepts_the_containerfile(tmp_path: Path) -> None:
    done = lint(files_of(OPTIONS, "container")["Containerfile"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        (BASE_IMAGE.encode(), b"registry.example/python:latest"),
        (b"COPY wheels/", b"ADD wheels/"),
        (b"USER 65532:65532", b"USER root"),
        (b"ENTRYPOINT [", b"ENTRYPOINTS ["),
    ],
)
def test_hadolint_refuses_a_broken_containerfile(written: bytes, broken: bytes, tmp_path: Path) -> None:
    containerfile = files_of(OPTIONS, "container")["Containerfile"]
    assert written in containerfile
    assert lint(containerfile.replace(written, broken), tmp_path).returncode == 1


def test_a_containerfile_is_for_slmcs_own_runtime_where_it_is_said_what_to_build_on() -> None:
    named = replace(OPTIONS, cohorts=tuple(replace(c, runs=(SERVED,)) for c in OPTIONS.cohorts))
    found = [name for name in SCENARIOS if "Containerfile" in files_of(SCENARIOS[name], "container")]
    assert (found, "Containerfile" in files_of(named, "container")) == (["options"], False)


def test_slmcs_own_runtime_gets_its_bundle_and_is_asked_how_it_does(tmp_path: Path) -> None:
    service = read_back("options", tmp_path)["services"]["chat"]
    assert service["command"] == ["--bundle", "/bundle", "--run", "chat"]
    assert [(volume["source"], volume["target"]) for volume in service["volumes"]] == [
        ("/var/lib/slmc/artifacts/" + "c" * 64, "/model"),
        (str(tmp_path), "/bundle"),
    ]
    kind, program, option, script = service["healthcheck"]["test"]
    assert (kind, program, option) == ("CMD", "/opt/slmc/bin/python", "-Ic")
    compile(script, "probe", "exec")


def read_back(name: str, folder: Path) -> Any:
    """The project as docker-compose resolves it."""
    done = config(files_of(SCENARIOS[name], "container")[FILE], folder, "--format=json")
    assert accepted(done), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCENARIOS)
def test_config_accepts(name: str, tmp_path: Path) -> None:
    done = config(files_of(SCENARIOS[name], "container")[FILE], tmp_path, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        (b"    read_only: true", b"    readonly: true"),
        (b"    cpus: 4", b"    cpus: 4\n    deploy: {resources: {limits: {cpus: '2'}}}"),
        (b'networks: ["runs"]', b'networks: ["others"]'),
        (b"mem_limit: 4", b"mem_limit: plenty"),
        (b'"linux/arm64"', b'"$[linux"\n    image: ${'),
    ],
)
def test_config_refuses_a_broken_file(written: bytes, broken: bytes, tmp_path: Path) -> None:
    data = files_of(SCENARIOS["plain"], "container")[FILE]
    assert written in data
    assert not accepted(config(data.replace(written, broken), tmp_path, "-q"))


def test_compose_reads_back_nasty_values(tmp_path: Path) -> None:
    environment = read_back("nasty-strings", tmp_path)["services"]["chat"]["environment"]
    # `config` writes `$` as `$$`, so that its output is a Compose file again.
    assert {name: environment[name].replace("$$", "$") for name, _ in NASTY} == dict(NASTY)


def test_variables_of_a_device_join_those_of_the_run(tmp_path: Path) -> None:
    environment = read_back("variables", tmp_path)["services"]["chat"]["environment"]
    assert (environment["SHOP_NAME"], environment["TILL_SERIAL"]) == ('Bäckerei "Süd", # 3', "0x1F")
    assert environment["SLMC_PORT"] == "8080"


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for name in SCENARIOS:
        text = files_of(SCENARIOS[name], "container")[FILE].decode()
        assert yaml.safe_load(text) == YAML(typ="safe", pure=True).load(StringIO(text))


def test_each_container_is_confined(tmp_path: Path) -> None:
    for name in SCENARIOS:
        for service in read_back(name, tmp_path)["services"].values():
            assert "@sha256:" in service["image"]
            assert service["environment"]["ORT_DISABLE_TELEMETRY"] == "1"
            assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "65532:65532")
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert int(service["mem_limit"]) == int(service["memswap_limit"]) > 0
            assert {volume["read_only"] for volume in service["volumes"]} == {True}


def test_network_is_internal_and_unpublished_unless_egress_is_allowed(tmp_path: Path) -> None:
    project = read_back("plain", tmp_path)
    assert project["networks"] == {"runs": {"name": "slmc-shops", "ipam": {}, "internal": True}}
    assert "ports" not in project["services"]["chat"]
    project = read_back("egress-allowed", tmp_path)
    assert project["networks"] == {"runs": {"name": "slmc-shops", "ipam": {}}}
    published = [(port["host_ip"], port["published"], port["target"]) for port in project["services"]["chat"]["ports"]]
    assert published == [("127.0.0.1", "8080", 8080)]
