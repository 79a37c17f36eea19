"""Thousands of overlays, and thousands of mistakes in them."""

from __future__ import annotations

from collections import Counter

import pytest

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.claims import claimed_twice
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet
from compiler.fleet.provenance import FleetOrigins
from tests.fleet.inventories import device, fleet_over, places

RUN = "    runs:\n      assistant: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/slm]}}\n    overlays:\n"


def lines(count: int, line: str) -> str:
    return RUN + "".join(f"      - {line.replace('NUMBER', str(number))}\n" for number in range(count))


def counted(diagnostics: list[Diagnostic]) -> Counter[Code]:
    return Counter(diagnostic.code for diagnostic in diagnostics)


def test_of_many_overlays_that_match_nothing_the_first_are_shown() -> None:
    body = lines(300, "{match: {site: plce-NUMBER}, runs: {assistant: {threads: 2}}}")
    _, diagnostics = fleet_over([device(f"d{number}", site=f"place-{number}") for number in range(300)], body)
    assert counted(diagnostics) == {Code.OVERLAY_UNUSED: 21}
    assert diagnostics[7].help == "No device has `site: plce-7`. `place-7` has a similar name."
    assert diagnostics[-1].message == "And 280 more like the 20 before, from here on."


def test_among_very_many_values_no_similar_one_is_looked_for() -> None:
    body = lines(1, "{match: {site: plce-NUMBER}, runs: {assistant: {threads: 2}}}")
    _, diagnostics = fleet_over([device(f"d{number}", site=f"place-{number}") for number in range(5001)], body)
    assert [diagnostic.help for diagnostic in diagnostics] == ["No device has `site: plce-0`."]


def test_of_many_labels_with_a_typo_the_first_are_shown() -> None:
    _, diagnostics = fleet_over([device("d1")], lines(100, "{match: {sit: a}, runs: {assistant: {threads: 2}}}"))
    assert counted(diagnostics) == {Code.UNKNOWN_REFERENCE: 21}
    assert diagnostics[0].help == "`site` has a similar name."


def test_of_many_conflicts_the_first_are_shown() -> None:
    _, diagnostics = fleet_over(
        [device("d1", site="a")], lines(50, "{match: {site: a}, runs: {assistant: {threads: 2NUMBER}}}")
    )
    assert counted(diagnostics) == {Code.OVERLAY_CONFLICT: 21}


def test_an_overlay_for_each_device_names_its_cohort() -> None:
    devices = [device(f"d{number}", site="a") for number in range(200)]
    fleet, diagnostics = fleet_over(
        devices, lines(200, "{match: {device: dNUMBER}, runs: {assistant: {contextLength: 2NUMBER}}}")
    )
    assert diagnostics == [] or counted(diagnostics) == {Code.BAD_VALUE: 0}
    assert places(fleet) == {f"d{number}": f"till-d{number}" for number in range(200)}


def test_nothing_but_a_question_works_out_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Device] = []
    answer = FleetOrigins.of
    monkeypatch.setattr(FleetOrigins, "of", lambda self, member: asked.append(member) or answer(self, member))
    fleet, _ = fleet_over([device("d1"), device("d2", values={"threads": 2})], RUN.removesuffix("    overlays:\n"))
    assert asked == []
    assert fleet.cohorts[0].provenance["runs.assistant.threads"].value == 4
    assert [member.id for member in asked] == ["d1"]


def test_of_many_devices_in_two_fleets_the_first_are_shown() -> None:
    fleet, _ = fleet_over([device(f"d{number}") for number in range(100)], RUN.removesuffix("    overlays:\n"))
    second = Fleet("tills", fleet.region, fleet.targets, fleet.privacy, fleet.cohorts, fleet.place)
    diagnostics = claimed_twice([fleet, second])
    assert counted(diagnostics) == {Code.CLAIMED_TWICE: 21}
    assert diagnostics[0].message == "Fleet `tills` runs something on `d0`, and so does fleet `shops`."
