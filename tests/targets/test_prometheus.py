"""The Prometheus target, read and run by promtool: configuration, rules, and the tests that come with the rules."""

from __future__ import annotations

import json
import os
import re
import subprocess
from io import StringIO
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from tests.bundle.scenarios import WATCHED, files_of
from tests.conftest import REPOSITORY
from tests.tools import put, run

RULED = ("observed", "little-observed")
DEVICES = "/etc/prometheus/slmc/shops/pi.json"
MAIN = 'global: {scrape_interval: 1m}\nscrape_config_files: ["pi/scrape.yml"]\nrule_files: ["pi/rules/*.yml"]\n'


def bundle(name: str) -> dict[str, bytes]:
    return files_of(WATCHED[name], "prometheus")


def alerts_of(files: dict[str, bytes], name: str) -> list[str]:
    (group,) = yaml.safe_load(files[f"rules/{name}.yml"])["groups"]
    return [rule["alert"] for rule in group["rules"] if "alert" in rule]


def outcome(
    files: dict[str, bytes], folder: Path, name: str = "chat", alert: str = ""
) -> subprocess.CompletedProcess[str]:
    """What the bundle's own tests of a run, or of one of its alerts, say."""
    return run("promtool", "test", "rules", f"--run=^{alert}", put(files, folder) / f"tests/{name}.yml")


@pytest.mark.parametrize("name", WATCHED)
def test_a_prometheus_that_includes_the_bundle_accepts_it(name: str, tmp_path: Path) -> None:
    targets = [{"targets": ["till-1.shops.example"], "labels": {"device": "till-1"}}]
    put({"prometheus.yml": MAIN.encode(), "devices.json": json.dumps(targets).encode()}, tmp_path)
    files = {path: data.replace(DEVICES.encode(), b"../devices.json") for path, data in bundle(name).items()}
    put(files, tmp_path / "pi")
    done = run("promtool", "check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout + done.stderr
    read = sorted(Path(path).stem for path in re.findall(r"Checking (.*/rules/.*)\n  SUCCESS", done.stdout))
    assert read == sorted(Path(path).stem for path in files if path.startswith("rules/"))


@pytest.mark.parametrize("name", RULED)
def test_the_rules_pass_every_lint_and_their_own_tests(name: str, tmp_path: Path) -> None:
    files = bundle(name)
    put(files, tmp_path)
    for path in (path for path in files if path.startswith("rules/")):
        done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", tmp_path / path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        done = outcome(files, tmp_path, Path(path).stem)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", RULED)
def test_each_alert_is_tested_both_ways(name: str) -> None:
    files = bundle(name)
    for path in (path for path in files if path.startswith("tests/")):
        said: dict[str, set[bool]] = {}
        for group in yaml.safe_load(files[path])["tests"]:
            (case,) = group["alert_rule_test"]
            said.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
        assert said == {alert: {True, False} for alert in alerts_of(files, Path(path).stem)}


WRONG = [
    ("SlmcTimeToFirstToken", b'le=~"0.36"', b'le=~"0.37"'),  # a bucket that no server has
    ("SlmcTimeToFirstToken", b"< 0.95", b"< 0.5"),
    ("SlmcTimePerToken", b">= 20", b">= 2"),
    ("SlmcErrorRate", b'outcome!~"disconnected|invalid"', b'outcome!~"disconnected"'),
    ("SlmcErrorRate", b'outcome=~"failed|refused|timeout"', b'outcome!="ok"'),
    ("SlmcAbsent", b"absent(up{", b"absent(upp{"),
    ("SlmcDown", b'for: "15m"', b'for: "5m"'),
    ("SlmcRestartLoop", b"changes(up", b"resets(up"),
    ("SlmcRestartLoop", b"or changes(slmc_ready", b"or changes(slmc_raedy"),
    ("SlmcRestartLoop", b"(resets(", b"(-changes("),
    ("SlmcNotReady", b"slmc_ready{", b"up{"),
    ("SlmcWrongArtifact", b'artifact!="', b'artifact="'),
    ("SlmcSeveralBundles", b"run, bundle)", b"run, device)"),
    ("SlmcQueueFull", b">= 8", b">= 7"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("alert", "written", "wrong"), WRONG)
def test_the_tests_notice_a_rule_that_is_wrong(alert: str, written: bytes, wrong: bytes, tmp_path: Path) -> None:
    files = bundle("observed")
    assert written in files["rules/chat.yml"]
    assert outcome(files, tmp_path, alert=alert).returncode == 0
    done = outcome(files | {"rules/chat.yml": files["rules/chat.yml"].replace(written, wrong)}, tmp_path, alert=alert)
    assert (done.returncode, f"name: {alert}:" in done.stderr) == (1, True)


def test_alerts_are_made_for_what_the_telemetry_allows() -> None:
    always = ["SlmcAbsent", "SlmcDown", "SlmcRestartLoop"]
    own = [*always, "SlmcNotReady", "SlmcWrongArtifact", "SlmcSeveralBundles"]
    observed, little = bundle("observed"), bundle("little-observed")
    objectives = ["SlmcTimeToFirstToken", "SlmcTimePerToken", "SlmcLatency", "SlmcErrorRate"]
    assert alerts_of(observed, "chat") == [*objectives, *own, "SlmcQueueFull"]
    assert alerts_of(observed, "search.v2") == ["SlmcLatency", *own]
    assert alerts_of(little, "chat") == own
    assert alerts_of(little, "foreign") == always
    assert [line.strip() for line in observed["rules/search.v2.yml"].decode().splitlines() if "No alert" in line] == [
        "# No alert for the objective timePerToken: no generated tokens to tell it by."
    ]
    assert [line.strip() for line in little["rules/chat.yml"].decode().splitlines() if "No alert" in line] == [
        "# No alert for the objective latencyP95: no telemetry `latency` to tell it by.",
        "# No alert for the objective errorRate: no telemetry `errors` to tell it by.",
    ]


def test_no_rule_reads_what_a_scrape_drops() -> None:
    for name in RULED:
        files = bundle(name)
        for job in yaml.safe_load(files["scrape.yml"])["scrape_configs"]:
            relabel = job["metric_relabel_configs"][0]
            kept = re.compile(relabel["regex"]) if relabel["action"] == "keep" else re.compile("none")
            rules = files[f"rules/{job['job_name'].rpartition('/')[2]}.yml"].decode()
            read = set(re.findall(r"\b(slmc_\w+)\{", rules))
            assert {metric for metric in read if not kept.fullmatch(metric)} == set()


def test_yaml_1_1_and_1_2_readers_agree() -> None:
    for name in WATCHED:
        for path, data in bundle(name).items():
            if path.endswith(".yml"):
                text = data.decode()
                assert yaml.safe_load(text) == YAML(typ="safe", pure=True).load(StringIO(text))


@pytest.mark.parametrize(
    ("scenario", "name"), [("observed", "chat"), ("observed", "search.v2"), ("little-observed", "chat")]
)
def test_the_runtime_says_what_the_rules_read(
    scenario: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "runtime"))
    metrics = pytest.importorskip("slmc_runtime.metrics", reason="slmc's own runtime is not here")
    config = pytest.importorskip("slmc_runtime.config")
    files = bundle(scenario)
    served = config.read_run(put(files, tmp_path), name, {})
    found = metrics.Metrics("0" * 64, served, {"server": os.getpid()}, (lambda: 0.0, lambda: 0.0))
    said = found.render(True).decode()
    names = set(re.findall(r"^(slmc_\w+)", said, re.MULTILINE))
    rules = files[f"rules/{name}.yml"].decode()
    assert set(re.findall(r"\b(slmc_\w+)\{", rules)) <= names
    for metric, bound in re.findall(r'(slmc_\w+_bucket)\{[^}]*le=~"([^"]*)"', rules):
        bounds = re.findall(rf'^{metric}\{{le="([^"]*)"', said, re.MULTILINE)
        assert len([text for text in bounds if re.fullmatch(bound, text)]) == 1, (metric, bound, bounds)
    jobs = yaml.safe_load(files["scrape.yml"])["scrape_configs"]
    (job,) = [job for job in jobs if job["job_name"].endswith(f"/{name}")]
    kept = job["metric_relabel_configs"][0]["regex"]
    assert {metric for metric in names if not re.fullmatch(kept, metric)} == set()
