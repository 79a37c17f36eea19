"""The Flight Control target: read by the models of its own API, and its units by podman's own generator."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML
from slmc_runtime.bundle import open_bundle

from compiler.artifact.artifact import Answer, Golden
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from tests.bundle.scenarios import NASTY, OWN_RUNTIME
from tests.bundle.vendor_scenarios import TARGETS, VENDORS, of_vendors, vendor_files
from tests.conftest import REPOSITORY
from tests.targets.test_quadlet import command, units
from tests.targets.third_party import package
from tests.values import artifacts_of


def text(name: str) -> str:
    return vendor_files(name, "flightctl")["fleet.yaml"].decode()


def fleet(name: str) -> Any:
    return yaml.safe_load(text(name))


def spec(document: Any) -> Any:
    return document["spec"]["template"]["spec"]


def unit_files(document: Any) -> dict[str, bytes]:
    """What the agent hands to Quadlet, all but the prefix of the names."""
    (application,) = spec(document)["applications"]
    return {file["path"]: file["content"].encode() for file in application["inline"]}


def accepted(document: Any) -> bool:
    """Whether the API's models, which know more kinds of application than they can tell apart, know every value."""
    models = package("flightctl.models")
    document = json.loads(json.dumps(document))
    applications = spec(document).pop("applications")
    pairs = [("Fleet", document)]
    for application in applications:
        inline = {"inline": application.pop("inline")}
        pairs += [("InlineApplicationProviderSpec", inline), ("ApplicationProviderBase", application)]
    try:
        return all(getattr(models, kind).from_dict(value).to_dict() == value for kind, value in pairs)
    except ValueError:  # pydantic's errors are such
        return False


@pytest.mark.parametrize("name", VENDORS)
def test_the_api_knows_every_value(name: str) -> None:
    assert accepted(fleet(name))


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        ("rolloutPolicy:", "rollout:"),
        ("matchLabels:", "labels:"),
        ("limit: 1", "limit: 0"),
        ('"severity": "Warning"', '"severity": "Loud"'),
        ('samplingInterval: "30s"', 'samplingInterval: "30 seconds"'),
        ("mode: 420", 'mode: "rw"'),
        ("matchPatterns:", "patterns:"),
        ('appType: "quadlet"', 'appType: "quadlets"'),
        ('defaultUpdateTimeout: "60m"', 'defaultUpdateTimeout: "1 hour"'),
    ],
)
def test_the_api_refuses_a_broken_fleet(written: str, broken: str) -> None:
    assert written in text("own-runtime")
    assert not accepted(yaml.safe_load(text("own-runtime").replace(written, broken)))


@pytest.mark.parametrize("name", VENDORS)
def test_yaml_1_1_and_1_2_readers_agree(name: str) -> None:
    assert fleet(name) == YAML(typ="safe", pure=True).load(StringIO(text(name)))


@pytest.mark.parametrize("name", VENDORS)
def test_generator_makes_a_confined_container_of_each_run(name: str, tmp_path: Path) -> None:
    made = units(unit_files(fleet(name)), tmp_path)
    containers = {unit: body for unit, body in made.items() if not unit.startswith("slmc_")}
    assert sorted(containers) == [f"slmc-{run.name}.service" for run in VENDORS[name].cohorts[0].runs]
    for body in containers.values():
        for words in (
            "--read-only", "--read-only-tmpfs=false", "--user 65532:65532", "--cap-drop all",
            "--security-opt=no-new-privileges", "--env ORT_DISABLE_TELEMETRY=1", "--publish 127.0.0.1:",
            ":/model:ro,z", "@sha256:",
        ):  # fmt: skip
            assert words in body, words
    (network,) = (body for unit, body in made.items() if unit.startswith("slmc_"))
    assert ("no_default_route=true" in network) == (name != "egress-allowed")


def test_generator_reads_back_nasty_values(tmp_path: Path) -> None:
    words = command(units(unit_files(fleet("nasty-strings")), tmp_path)["slmc-chat.service"])
    given = dict(words[n + 1].split("=", 1) for n, word in enumerate(words) if word == "--env")
    plain = {name: value for name, value in NASTY if value.isprintable() and "\\" not in value}
    written = {name: value.replace("$$", "$").replace("%%", "%") for name, value in given.items()}
    assert {name: written[name] for name in plain} == plain


def bundle(document: Any) -> dict[str, str]:
    (config,) = spec(document)["config"]
    return {file["path"]: file["content"] for file in config["inline"]}


def test_the_device_gets_what_the_server_reads_of_the_bundle(tmp_path: Path) -> None:
    files = vendor_files("own-runtime", "flightctl")
    found = bundle(fleet("own-runtime"))
    (folder,) = {path.rpartition("/")[0] for path in found}
    contents = {path.rpartition("/")[2]: content for path, content in found.items()}
    assert folder == f"/var/lib/slmc/releases/{sha256(contents['SHA256SUMS'].encode()).hexdigest()}"
    for name in ("artifacts.json", "golden.json", "serve.json"):
        assert contents[name].encode() == files[name]
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert open_bundle(tmp_path, "chat", {}).id == folder.rpartition("/")[2]
    assert f"Volume={folder}:/bundle:ro,z\n".encode() in unit_files(fleet("own-runtime"))["slmc-chat.container"]
    assert "config" not in spec(fleet("two-runs-amd64"))


def test_nothing_is_a_placeholder_of_flight_control() -> None:
    """It would put a label's value, or refuse the fleet."""
    for name in VENDORS:
        assert "{{" not in text(name)
    odd = Golden(
        "text-generation", 0.1, (Answer("{{ .metadata.name }} {{{{", "{{", (1,), (1, 2, 3), (-0.5, -1.0, -2.0)),)
    )
    fleets = [of_vendors(OWN_RUNTIME, TARGETS[1:2])]
    targets, _ = check_targets(REPOSITORY, fleets)
    artifacts = artifacts_of(golden=odd)
    (made,) = render(targets, fleets, artifacts, check(fleets, artifacts)[0], {"shops": 0}).bundles
    written = made.files["fleet.yaml"].decode()
    assert "{{" not in written
    (golden,) = (content for path, content in bundle(yaml.safe_load(written)).items() if path.endswith("golden.json"))
    assert json.loads(golden) == json.loads(made.files["golden.json"])


def test_options_of_the_rollout() -> None:
    document = fleet("options")
    assert document["spec"]["rolloutPolicy"]["deviceSelection"]["sequence"] == [{"limit": "5%"}]
    assert spec(document)["updatePolicy"] == {
        "updateSchedule": {"at": "0 2 * * 1-5", "timeZone": "UTC", "startGraceDuration": "1h"}
    }
    assert "updatePolicy" not in spec(fleet("own-runtime"))
