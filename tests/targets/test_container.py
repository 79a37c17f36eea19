"""The Compose target, read by docker-compose itself (no engine is needed for `config`)."""

from __future__ import annotations

import json
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from tests.bundle.scenarios import NASTY, SCENARIOS, files_of
from tests.tools import accepted, put, run

FILE = "compose.yaml"


DEVICE_FILE = "/etc/slmc/device.env"
DEVICE_TEXT = """SHOP_NAME='Bäckerei "Süd", # 3'\nTILL_SERIAL='0x1F'\n"""


def config(data: bytes, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What docker-compose says, on a device whose own variables are in `folder`."""
    device = folder / "device.env"
    put({FILE: data.replace(DEVICE_FILE.encode(), str(device).encode()), device.name: DEVICE_TEXT.encode()}, folder)
    return run("docker-compose", "-f", folder / FILE, "config", *words, cwd=folder, env={"SLMC_PORT": "1"})


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
