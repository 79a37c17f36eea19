"""Whole bundles of the vendors' targets: golden trees, and what `slmc where` knows of their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.bundle.bundles import Bundle
from tests.bundle.scenarios import rendered
from tests.bundle.test_trace import traced
from tests.bundle.vendor_scenarios import VENDORS, vendor_files
from tests.conftest import REPOSITORY
from tests.tree import golden

EXPECTED = Path(__file__).parent.parent / "expected" / "vendors"
_OWN = ("SHA256SUMS", "artifacts.json", "golden.json", "serve.json")


def bundles(name: str) -> list[Bundle]:
    return list(rendered(VENDORS[name]).bundles)


@pytest.mark.parametrize("name", VENDORS)
def test_bundles_are_as_expected(name: str, update: bool) -> None:
    """`pytest tests/bundle --update` rewrites the trees."""
    files = rendered(VENDORS[name]).files()
    assert files == golden(files, EXPECTED / name, update)


def test_every_expected_tree_has_a_scenario() -> None:
    assert sorted(path.name for path in EXPECTED.iterdir()) == sorted(VENDORS)


@pytest.mark.parametrize("name", VENDORS)
def test_traced_lines_are_the_rendered_ones(name: str) -> None:
    for bundle in bundles(name):
        for path in bundle.files.keys() - set(_OWN):
            lines = traced(REPOSITORY, VENDORS[name], bundle.target, path)
            assert [line.text for line in lines] == bundle.files[path].decode().removesuffix("\n").split("\n")


@pytest.mark.parametrize("target", ["azure-iot-edge", "flightctl"])
@pytest.mark.parametrize("name", VENDORS)
def test_the_agent_is_told_of_every_unit(name: str, target: str) -> None:
    files = vendor_files(name, target)
    installed = [line.split("\t") for line in files["install.tsv"].decode().splitlines()]
    units = {path for path in files if path.endswith((".service", ".timer"))}
    assert {source for source, _, _ in installed} == units
    assert {destination for _, destination, _ in installed} == {f"/etc/systemd/system/{unit}" for unit in units}
    started = [line.split("\t")[:2] for line in files["units.tsv"].decode().splitlines()]
    guards = [["slmc-network.service", "guard"]] if "slmc-network.service" in units else []
    assert started == [*guards, ["slmc-sync.timer", "timer"]]
    assert ("slmc-network.service" in units) == (target == "azure-iot-edge" and name != "egress-allowed")


@pytest.mark.parametrize("name", VENDORS)
def test_every_image_and_artifact_goes_by_digest(name: str) -> None:
    digest = "c" * 64
    for bundle in bundles(name):
        text = b"\n".join(data for path, data in bundle.files.items() if path not in _OWN).decode()
        assert f"/var/lib/slmc/artifacts/{digest}" in text
        assert text.count("registry.example/") == text.count("registry.example/slm-server@sha256:")
        assert "ORT_DISABLE_TELEMETRY" in text
