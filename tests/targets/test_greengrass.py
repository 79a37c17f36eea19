"""The Greengrass target: read by AWS's own parameter validator, its scripts run by sh as the nucleus would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML
from slmc_runtime.bundle import open_bundle

from compiler.artifact.artifact import File
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import NASTY, NASTY_COMMAND, NASTY_STRINGS, OWN_RUNTIME, PLAIN
from tests.bundle.vendor_scenarios import GREENGRASS, VENDORS, of_vendors, vendor_files
from tests.conftest import REPOSITORY
from tests.targets.third_party import faults, package, schema
from tests.tools import need_root, run
from tests.values import artifacts_of

MODEL, TOKENIZER = b"(the model)", b"{}"
FILES = {"model.onnx": MODEL, "onnx/tokenizer's file.json": TOKENIZER}
STORE, RELEASES = "/var/lib/slmc/artifacts", "/var/lib/slmc/releases"


def hexes(data: bytes) -> str:
    return sha256(data).hexdigest()


def built(fleet: Fleet) -> dict[str, bytes]:
    """The bundle of a fleet whose artifact has real files."""
    fleet = of_vendors(fleet, (GREENGRASS,))
    files = tuple(File(name, len(data), f"sha256:{hexes(data)}") for name, data in FILES.items())
    artifacts = artifacts_of(files=files)
    targets, _ = check_targets(REPOSITORY, [fleet])
    (bundle,) = render(targets, [fleet], artifacts, check([fleet], artifacts)[0], {"shops": 0}).bundles
    return bundle.files


def recipe(files: dict[str, bytes], name: str = "chat") -> Any:
    return yaml.safe_load(files[f"recipe-{name}.yaml"])


def lower(value: Any) -> Any:
    """Keys as Greengrass compares them."""
    if isinstance(value, dict):
        return {key.lower(): lower(inner) for key, inner in value.items()}
    return [lower(inner) for inner in value] if isinstance(value, list) else value


def recipes() -> list[bytes]:
    return [
        data for name in VENDORS for path, data in vendor_files(name, "greengrass").items() if path.endswith(".yaml")
    ]


def report(parameters: Any) -> str:
    """What botocore would say before it sent the call."""
    session = package("botocore.session").get_session()
    validate = package("botocore.validate")
    shape = session.get_service_model("greengrassv2").operation_model("CreateDeployment").input_shape
    return str(validate.ParamValidator().validate(parameters, shape).generate_report())


@pytest.mark.parametrize("name", VENDORS)
def test_botocore_accepts_the_deployment(name: str) -> None:
    assert report(json.loads(vendor_files(name, "greengrass")["deployment.json"])) == ""


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        (b'"targetArn"', b'"target"'),
        (b'"componentVersion"', b'"version"'),
        (b'"cpus": 4', b'"cpus": "four"'),
        (b'"timeoutInSeconds": 60}', b'"timeoutInSeconds": 60.5}'),
        (b'"failureType": "FAILED", ', b""),
    ],
)
def test_botocore_refuses_a_broken_deployment(written: bytes, broken: bytes) -> None:
    data = vendor_files("own-runtime", "greengrass")["deployment.json"]
    assert written in data
    assert report(json.loads(data.replace(written, broken)))


def test_schema_accepts_each_recipe() -> None:
    wanted = schema("recipe_schema.json")
    for data in recipes():
        assert faults(wanted, lower(yaml.safe_load(data))) == []
    broken = lower(yaml.safe_load(recipes()[0]))
    broken["manifests"][0]["lifecycle"]["run"] = {"timeout": 5}
    assert faults(wanted, broken)


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for data in recipes():
        assert yaml.safe_load(data) == YAML(typ="safe", pure=True).load(StringIO(data.decode()))


@pytest.mark.parametrize("name", VENDORS)
def test_the_deployment_names_the_versions_of_the_recipes(name: str) -> None:
    files = vendor_files(name, "greengrass")
    found = [yaml.safe_load(data) for path, data in files.items() if path.endswith(".yaml")]
    components = json.loads(files["deployment.json"])["components"]
    versions = {name: component["componentVersion"] for name, component in components.items()}
    assert versions == {entry["ComponentName"]: entry["ComponentVersion"] for entry in found}
    assert all(re.fullmatch(r"1\.\d{1,5}\.\d{1,5}", version) for version in versions.values())


def test_another_content_is_another_version() -> None:
    (cohort,) = PLAIN.cohorts
    (chat,) = cohort.runs
    other = replace(PLAIN, cohorts=(replace(cohort, runs=(replace(chat, environment=(("A", "1"),)),)),))
    first, second = (recipe(built(fleet)) for fleet in (PLAIN, other))
    assert first.pop("ComponentVersion") != second.pop("ComponentVersion")
    assert first != second


def test_a_failed_deployment_goes_back() -> None:
    deployment = json.loads(vendor_files("options", "greengrass")["deployment.json"])
    assert deployment["targetArn"] == "arn:aws:iot:eu-central-1:123456789012:thinggroup/shops-pi"
    assert deployment["deploymentPolicies"]["failureHandlingPolicy"] == "ROLLBACK"
    (component,) = deployment["components"].values()
    assert component["runWith"] == {
        "posixUser": "llm:llm",
        "systemResourceLimits": {"cpus": 4, "memory": 415236096 // 1024},
    }


class Device:
    """A folder in the place of a core device: `{artifacts:path}` and `/var/lib/slmc` lie in it."""

    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        self.folder = folder
        self.downloads = folder / "greengrass artifacts"
        self.lifecycle = recipe(files)["Manifests"][0]["Lifecycle"]
        self.rules = folder / "rules.nft"
        uris = [artifact["URI"] for artifact in recipe(files)["Manifests"][0]["Artifacts"]]
        assert all(uri.startswith("s3://shops-models/slmc/blobs/sha256/") for uri in uris)
        known = {hexes(data): data for data in (*FILES.values(), *files.values())}
        self.downloads.mkdir(parents=True)
        for uri in uris:
            (self.downloads / uri.rpartition("/")[2]).write_bytes(known[uri.rpartition("/")[2]])
        (folder / "bin").mkdir()
        (folder / "bin" / "nft").write_text(f'#!/bin/sh\nexec cat > "{self.rules}"\n')
        (folder / "bin" / "nft").chmod(0o755)

    def script(self, step: str, *replaced: tuple[str, str]) -> subprocess.CompletedProcess[bytes]:
        text = self.lifecycle[step]["Script"]
        places = (("{artifacts:path}", str(self.downloads)), ("/var/lib/slmc", f"{self.folder}/slmc"))
        for written, real in (*places, *replaced):
            text = text.replace(written, real)
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-c", text], env=environment, capture_output=True, check=False)


def test_install_puts_everything_in_its_place(tmp_path: Path) -> None:
    files = built(OWN_RUNTIME)
    device = Device(tmp_path, files)
    for _ in range(2):  # it runs again each time that Greengrass starts
        done = device.script("Install")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    artifact = tmp_path / "slmc" / "artifacts" / ("c" * 64)
    assert {path.relative_to(artifact).as_posix(): path.read_bytes() for path in artifact.rglob("*.*")} == FILES
    assert (artifact / "model.onnx").samefile(device.downloads / hexes(MODEL))
    (release,) = (tmp_path / "slmc" / "releases").iterdir()
    own = ("artifacts.json", "golden.json", "serve.json")
    assert {path.name: path.read_bytes() for path in release.iterdir()} == {
        **{name: files[name] for name in own},
        "SHA256SUMS": "".join(f"{hexes(files[name])}  {name}\n" for name in own).encode(),
    }
    assert open_bundle(release, "chat", {}).id == release.name
    assert release.name == hexes((release / "SHA256SUMS").read_bytes())
    assert device.script("Recover").returncode == 0


def test_a_corrupt_download_is_not_installed_and_a_corrupt_artifact_not_recovered(tmp_path: Path) -> None:
    device = Device(tmp_path, built(OWN_RUNTIME))
    (device.downloads / hexes(MODEL)).write_bytes(b"(the modem)")
    assert device.script("Install").returncode != 0
    assert not (tmp_path / "slmc").exists()
    (device.downloads / hexes(MODEL)).write_bytes(MODEL)
    assert device.script("Install").returncode == 0
    (tmp_path / "slmc" / "artifacts" / ("c" * 64) / "model.onnx").write_bytes(b"")
    assert device.script("Recover").returncode != 0


def test_run_starts_the_command_with_its_environment(tmp_path: Path) -> None:
    device = Device(tmp_path, built(NASTY_STRINGS))
    server = tmp_path / "server"
    server.write_text('#!/bin/sh\nenv -0\nprintf "%s\\0" "" "$@"\n')
    server.chmod(0o755)
    done = device.script("Run", (NASTY_COMMAND[0], str(server)))
    assert (done.returncode, done.stderr) == (0, b"")
    variables, words = done.stdout.removesuffix(b"\0").split(b"\0\0", 1)
    environment = dict(entry.split("=", 1) for entry in variables.decode().split("\0"))
    assert {name: environment[name] for name, _ in NASTY} == dict(NASTY)
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert tuple(words.decode().split("\0")) == NASTY_COMMAND[1:]


def test_no_value_of_the_blueprint_is_one_of_greengrass() -> None:
    """It would put another text for `{configuration:/a}` in a script."""
    (cohort,) = PLAIN.cohorts
    (chat,) = cohort.runs
    odd = replace(chat, environment=(("A", "{configuration:/a}"),), command=("/bin/slm", "{iot:thingName}"))
    script = recipe(built(replace(PLAIN, cohorts=(replace(cohort, runs=(odd,)),))))["Manifests"][0]["Lifecycle"]["Run"]
    assert "{configuration:" not in script["Script"]
    assert "{iot:" not in script["Script"]


def test_slmcs_own_runtime_reads_what_install_placed() -> None:
    files = built(OWN_RUNTIME)
    lifecycle = recipe(files)["Manifests"][0]["Lifecycle"]
    (release,) = set(re.findall(rf"{RELEASES}/[0-9a-f]{{64}}", lifecycle["Install"]["Script"]))
    last = lifecycle["Run"]["Script"].splitlines()[-1]
    assert last == f"exec /opt/slmc/bin/slmc-serve --bundle {release} --run chat"


def test_nft_takes_the_rules_that_deny_egress(tmp_path: Path) -> None:
    need_root()
    device = Device(tmp_path, built(PLAIN))
    assert device.script("Install", ('"slmc"', '"root"')).returncode == 0  # a user that is here
    assert 'meta skuid "root" oifname != "lo" counter reject' in device.rules.read_text()
    done = run("unshare", "-n", "nft", "-c", "-f", device.rules)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "nft"
        not in recipe(vendor_files("egress-allowed", "greengrass"))["Manifests"][0]["Lifecycle"]["Install"]["Script"]
    )
