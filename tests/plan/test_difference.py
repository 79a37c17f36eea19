"""What changes between two resolved workspaces: whole lists of changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.base.span import Span
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet
from compiler.plan.changes import Change, Difference, Kind, Subject, Value
from compiler.plan.coarse import Row, coarse_difference, coarse_index_changes
from compiler.plan.difference import difference, index_changes
from compiler.plan.pairs import pair_up
from tests.fleet.workspaces import INVENTORY, resolved
from tests.values import COHORT, DEVICE, FLEET, PRIVACY, RECIPE, RUN

RUNS = "    runs:\n      chat: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/x]}}\n"
OVERLAYS = RUNS + "    overlays:\n"
BERLIN = "      - {match: {site: berlin}, runs: {chat: {threads: 2}}}\n"


def state(folder: Path, name: str, body: str, inventory: str = INVENTORY) -> Fleet:
    (folder / name).mkdir()
    fleet, _ = resolved(folder / name, body, inventory)
    return fleet


def between(old: Fleet | None, new: Fleet | None) -> Difference:
    before, after = [[fleet] if fleet else [] for fleet in (old, new)]
    return difference(before, after, pair_up(before, after))


def said(found: Difference) -> list[tuple[object, ...]]:
    """Changes without what they leave empty; lines as numbers, those of the earlier blueprint negative."""

    def line(change: Change) -> int | None:
        return change.place.line if change.place else -change.was.line if change.was else None

    return [
        (
            c.kind.value,
            c.subject.value,
            c.name,
            c.devices,
            line(c),
            *((v.path, v.old, v.new, v.devices) for v in c.values),
        )
        for c in found.changes
    ]


def test_nothing_changed(tmp_path: Path) -> None:
    old, new = state(tmp_path, "a", OVERLAYS + BERLIN), state(tmp_path, "b", OVERLAYS + BERLIN)
    assert between(old, new) == Difference((), 4, 0)


def test_one_line_is_one_change_over_all_runs_and_cohorts(tmp_path: Path) -> None:
    runs = (
        RUNS + "      ask: {model: chat@1.4.0, recipe: small, threads: 3, serve: {command: [/bin/x]}}\n    overlays:\n"
    )
    here = "      - {match: {device: berlin-1}, runs: {chat: {memoryLimit: 1GiB}}}\n"
    line = "      - {match: {site: [berlin, lyon]}, runs: {chat: {threads: 2, contextLength: 64}, ask: {threads: 2}}}\n"
    old = state(tmp_path, "a", runs + here)
    new = state(tmp_path, "b", runs + here + line)
    assert said(between(old, new)) == [
        ("change", "values", "", 4, 12,
         ("runs.ask.threads", 3, 2, 4), ("runs.chat.contextLength", None, 64, 4), ("runs.chat.threads", 4, 2, 4)),
    ]  # fmt: skip
    assert between(old, new).touched == 4


def test_line_that_is_taken_away_is_named(tmp_path: Path) -> None:
    old, new = state(tmp_path, "a", OVERLAYS + BERLIN), state(tmp_path, "b", RUNS)
    assert said(between(old, new)) == [("change", "values", "", 2, -10, ("runs.chat.threads", 2, 4, 2))]
    assert said(between(new, old)) == [("change", "values", "", 2, 10, ("runs.chat.threads", 4, 2, 2))]


def test_other_cohort_with_the_same_values_is_no_change(tmp_path: Path) -> None:
    old = state(tmp_path, "a", OVERLAYS + BERLIN)
    again = "      - {match: {site: berlin}, priority: -1, runs: {chat: {threads: 3}}}\n" + BERLIN
    assert between(old, state(tmp_path, "b", OVERLAYS + again)) == Difference((), 4, 0)


def test_truth_is_not_the_number_one(tmp_path: Path) -> None:
    one = "      - {match: {site: berlin}, runs: {chat: {parameters: {gain: 1}}}}\n"
    old, new = state(tmp_path, "a", OVERLAYS + one), state(tmp_path, "b", OVERLAYS + one.replace("1", "true"))
    assert repr(said(between(old, new))) == repr(
        [("change", "values", "", 2, 10, ("runs.chat.parameters.gain", 1, True, 2))]
    )


def test_devices_of_one_cohort_may_have_come_to_it_by_other_lines(tmp_path: Path) -> None:
    two = BERLIN + "      - {match: {site: lyon}, runs: {chat: {threads: 2}}}\n"
    old, new = state(tmp_path, "a", RUNS), state(tmp_path, "b", OVERLAYS + two)
    assert said(between(old, new)) == [
        ("change", "values", "", 2, 10, ("runs.chat.threads", 4, 2, 2)),
        ("change", "values", "", 2, 11, ("runs.chat.threads", 4, 2, 2)),
    ]


def test_runs_begin_and_end_once_for_all_devices(tmp_path: Path) -> None:
    dotted = (
        RUNS + "      chat.b: {model: chat@1.5.0, recipe: fast, match: {class: till}, serve: {command: [/bin/x]}}\n"
    )
    old, new = state(tmp_path, "a", RUNS), state(tmp_path, "b", dotted)
    assert said(between(old, new)) == [("add", "run", "chat.b", 3, 9)]
    assert said(between(new, old)) == [("remove", "run", "chat.b", 3, -9)]


def test_devices_come_go_change_class(tmp_path: Path) -> None:
    old = state(tmp_path, "a", RUNS)
    new = state(tmp_path, "b", RUNS, "id,class,site\nberlin-1,office,berlin\nlyon-1,till,lyon\noslo-1,till,oslo\n")
    found = between(old, new)
    assert said(found) == [
        ("remove", "devices", "", 2, None),
        ("change", "values", "", 1, None, ("class", "till", "office", 1)),
        ("add", "devices", "", 1, None),
    ]
    assert [change.ids for change in found.changes] == [("berlin-2", "lyon-2"), (), ("oslo-1",)]
    assert (found.devices, found.touched) == (5, 4)
    assert index_changes(pair_up([old], [new])) == {"shops": 4}


def test_fleet_as_a_whole(tmp_path: Path) -> None:
    fleet = state(tmp_path, "a", RUNS)
    assert said(between(None, fleet)) == [("add", "fleet", "shops", 4, 4)]
    assert said(between(fleet, None)) == [("remove", "fleet", "shops", 4, -4)]
    assert said(between(None, replace(fleet, cohorts=()))) == [("add", "fleet", "shops", 0, 4)]


def test_table_of_devices_is_counted_by_column() -> None:
    def fleet(*addresses: str) -> Fleet:
        devices = tuple(
            replace(DEVICE, id=f"till-{n}", variables=(("address", a), ("name", "x"))) for n, a in enumerate(addresses)
        )
        return replace(FLEET, cohorts=(replace(COHORT, devices=devices),))

    found = between(fleet("a", "b", "c"), fleet("a", "x", "y"))
    assert found.changes == (Change(Kind.CHANGE, Subject.VARIABLE, "address", "shops", 2),)
    assert found.touched == 2


def test_idle_devices_begin_to_run() -> None:
    idle = replace(FLEET, cohorts=(), idle=(DEVICE,))
    assert said(between(idle, FLEET)) == [("add", "run", "chat", 1, 3)]
    assert said(between(FLEET, idle)) == [("remove", "run", "chat", 1, -3)]
    assert index_changes(pair_up([idle], [FLEET])) == {"shops": 1}


def test_device_that_two_fleets_had_did_not_move() -> None:
    other = replace(FLEET, name="others")
    third = replace(FLEET, name="third")
    found = difference([FLEET, other], [third], pair_up([FLEET, other], [third]))
    assert [(c.kind, c.subject, c.fleet, c.devices) for c in found.changes] == [
        (Kind.REMOVE, Subject.FLEET, "others", 1),
        (Kind.REMOVE, Subject.FLEET, "shops", 1),
        (Kind.ADD, Subject.FLEET, "third", 1),
    ]


def test_recipe_that_changes_renews_devices() -> None:
    new = replace(
        FLEET, cohorts=(replace(COHORT, runs=(replace(RUN, recipe=replace(RECIPE, steps=RECIPE.steps[:1])),)),)
    )
    found = difference([FLEET], [new], pair_up([FLEET], [new]), {RUN.artifact})
    value = Value("recipes.int4.steps.1", {"kind": "quantize", **RECIPE.steps[1].parameters}, None, 1)
    place: Span = RECIPE.steps[1].place
    assert found == Difference(
        (Change(Kind.CHANGE, Subject.DECLARATION, "recipes.int4", None, 1, (value,), was=place),), 1, 1
    )


@pytest.mark.parametrize("devices", [1, 20_000])
def test_cost_is_that_of_pairs(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many devices: values are compared once for each way that leads to them."""
    import compiler.plan.values as values

    members = tuple(Device(f"d-{n:06}", "pi", (), DEVICE.place) for n in range(devices))
    old = replace(FLEET, cohorts=(replace(COHORT, devices=members),))
    open_ = replace(old.cohorts[0], name="x", privacy=replace(PRIVACY, egress="allow"))
    new = replace(old, cohorts=(open_,))
    calls = []
    original = values._steps
    monkeypatch.setattr(values, "_steps", lambda *all: calls.append(1) or original(*all))
    between(old, new)
    assert len(calls) == 1


def test_index_gives_a_coarser_difference() -> None:
    old = {"shops": {"till-1": Row("pi", "old"), "till-2": Row("pi", "pi")}, "gone": {}}
    found = coarse_difference(old, [FLEET])
    assert [(c.kind, c.subject, c.fleet, c.ids, c.values) for c in found.changes] == [
        (Kind.REMOVE, Subject.FLEET, "gone", (), ()),
        (Kind.REMOVE, Subject.DEVICES, "shops", ("till-2",), ()),
        (Kind.CHANGE, Subject.COHORT, "shops", ("till-1",), (Value("cohort", "old", "pi", 1),)),
    ]
    assert (found.devices, found.touched) == (2, 2)
    assert coarse_index_changes(old, [FLEET]) == {"shops": 2}
