"""What columns of an inventory set is laid over like an overlay of level `device`."""

from __future__ import annotations

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.where import where
from compiler.report.where import where_text
from tests.fleet.inventories import device, fleet_over

RUN = "    runs:\n      assistant: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/slm]}}\n"


def overlays(*lines: str) -> str:
    return RUN + "    overlays:\n" + "".join(f"      - {line}\n" for line in lines)


def threads(*lines: str) -> int:
    fleet, diagnostics = fleet_over([device("d1", values={"threads": 2}, site="a")], overlays(*lines))
    assert diagnostics == []
    return fleet.cohorts[0].runs[0].threads


def shown(diagnostic: Diagnostic) -> tuple[Code, str, str, list[tuple[str, str]]]:
    related = [(str(place), text) for place, text in diagnostic.related]
    return diagnostic.code, str(diagnostic.span), diagnostic.message, related


def test_a_column_is_over_labels_and_under_a_device_of_higher_priority() -> None:
    assert threads("{match: {site: a}, priority: 9, runs: {assistant: {threads: 3}}}") == 2
    assert threads("{match: {device: d1}, priority: 1, runs: {assistant: {threads: 3}}}") == 3
    assert threads("{match: {device: d1}, priority: -1, runs: {assistant: {threads: 3}}}") == 2
    assert threads("{match: {device: d1}, runs: {assistant: {threads: 2}}}") == 2


def test_an_overlay_over_columns_finds_what_they_set() -> None:
    line = "{match: {device: d1}, priority: 1, rules: {runs.assistant.environment.A: remove}}"
    fleet, diagnostics = fleet_over([device("d1", values={"environment.A": "x", "environment.B": "y"})], overlays(line))
    assert diagnostics == []
    assert fleet.cohorts[0].runs[0].environment == (("B", "y"),)


def test_a_column_and_an_overlay_for_the_device_that_disagree() -> None:
    devices = [device(f"d{number}", values={"threads": number}) for number in (1, 2, 3)]
    fleet, (found,) = fleet_over(devices, overlays("{match: {device: [d1, d2, d3]}, runs: {assistant: {threads: 2}}}"))
    assert shown(found) == (
        Code.OVERLAY_CONFLICT,
        "fleet.slmc.yaml:10:69",
        "`runs.assistant.threads`: this overlay sets `2`, a column of the inventory sets `1`, "
        "on 2 devices, such as `d1`.",
        [("shops.csv:1:1", "a column of the inventory sets `1`")],
    )
    assert found.help == "With a `priority` above 0 the overlay wins, with one below 0 the column."
    assert len(fleet.cohorts) == 3


def test_where_shows_the_row_of_a_column() -> None:
    fleet, _ = fleet_over(
        [device("d7", values={"threads": 2}, site="a")],
        overlays("{match: {site: a}, runs: {assistant: {threads: 3}}}"),
    )
    path = "fleets.shops.runs.assistant.threads"
    assert where_text(where([fleet], path, "d7")[0]) == (
        f"{path}: 2 (on d7)\n"
        "  set by a column of the inventory at shops.csv:7:1\n"
        "      a row\n"
        "  overrides 3, set by the overlay of level site at fleet.slmc.yaml:10:56\n"
        "  overrides 4, the default\n"
    )


def test_a_column_may_set_only_what_a_device_may() -> None:
    body = (
        RUN
        + """
    columns: {Threads: runs.assistant.threads, Lang: runs.assistant.environment.LANG, RAM: fact.memory}
    overridable: {device: [runs.*.environment]}
"""
    )
    _, (found,) = fleet_over([device("d1")], body)
    assert shown(found) == (
        Code.NOT_OVERRIDABLE,
        "fleet.slmc.yaml:10:24",
        "Columns of level `device` may not set `runs.assistant.threads`.",
        [("fleet.slmc.yaml:11:19", "level `device` may set only what is listed here")],
    )


def test_a_column_that_names_no_model_is_reported_once() -> None:
    devices = [device(f"d{number}", values={"model": "chat@9"}) for number in (1, 2)]
    fleet, (found,) = fleet_over(devices, RUN)
    assert (found.code, found.message) == (Code.UNKNOWN_REFERENCE, "Model `chat` has no version `9`.")
    assert fleet.cohorts == ()


def test_two_columns_that_make_one_configuration_make_one_cohort() -> None:
    """A column may say what an overlay says, or what holds anyway."""
    devices = [
        device("d1", values={"threads": 2}, site="b"),
        device("d2", site="a"),
        device("d3", values={"threads": 4}),
        device("d4"),
    ]
    fleet, _ = fleet_over(devices, overlays("{match: {site: a}, runs: {assistant: {threads: 2}}}"))
    assert {cohort.name: [member.id for member in cohort.devices] for cohort in fleet.cohorts} == {
        "till": ["d3", "d4"],
        "till-a": ["d1", "d2"],
    }
