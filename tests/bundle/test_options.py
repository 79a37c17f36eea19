"""Options of targets: what templates see of them, and whose bundles they shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet, TargetOption, TargetUse
from compiler.plan.changes import Change, Kind, Subject, Value
from compiler.plan.difference import difference
from compiler.plan.pairs import pair_up
from tests.bundle.scenarios import PLAIN
from tests.bundle.test_own_targets import write
from tests.bundle.test_trace import traced
from tests.values import PLACE, artifacts_of

DEFINITION = """\
description: A note
options:
  title: {type: text, description: The first line, default: Runs}
  tags: {type: list, description: Words}
  lines: {type: integer, description: How many, required: true}
files:
  - {path: note.txt, template: note.j2}
"""
TEMPLATE = "{{ target.options.title }} {{ target.options.lines }}\n{{ target.options.tags | yaml }}\n"


def option(name: str, value: object) -> TargetOption:
    return TargetOption(name, value, PLACE, PLACE)


def fleet(name: str, *options: TargetOption) -> Fleet:
    return replace(PLAIN, name=name, targets=(TargetUse("note", PLACE, options),))


PLAIN_NOTE = fleet("shops", option("lines", 2))
OTHER_NOTE = fleet("depots", option("lines", 3), option("tags", ("a", "no")), option("title", "Other"))


def test_each_fleet_has_its_own_values_and_the_defaults(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": DEFINITION, "note.j2": TEMPLATE})
    fleets = (PLAIN_NOTE, OTHER_NOTE)
    targets, diagnostics = check_targets(tmp_path, fleets)
    assert diagnostics == []
    artifacts = artifacts_of()
    estimates, _ = check(fleets, artifacts)
    bundles = render(targets, fleets, artifacts, estimates, {"shops": 0, "depots": 0})
    assert {bundle.fleet: bundle.files["note.txt"] for bundle in bundles.bundles} == {
        "shops": b"Runs 2\nnull\n",
        "depots": b'Other 3\n["a", "no"]\n',
    }
    assert bundles.diagnostics == []


def test_a_value_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": DEFINITION, "note.j2": TEMPLATE})

    def fingerprint(*options: TargetOption) -> str:
        found = (fleet("shops", *options),)
        targets, _ = check_targets(tmp_path, found)
        artifacts = artifacts_of()
        (bundle,) = render(targets, found, artifacts, check(found, artifacts)[0], {"shops": 0}).bundles
        return bundle.fingerprint

    two = fingerprint(option("lines", 2))
    assert two == fingerprint(option("lines", 2), option("title", "Runs"))  # the default, written
    assert two != fingerprint(option("lines", 3))


def test_lines_know_the_options_that_they_came_from(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": DEFINITION, "note.j2": TEMPLATE})
    lines = traced(tmp_path, OTHER_NOTE, "note", "note.txt")
    assert [line.facts for line in lines] == [
        (("target", "options", "lines"), ("target", "options", "title")),
        (("target", "options", "tags"),),
    ]


def test_a_plan_says_which_options_change() -> None:
    was, now = fleet("shops", option("lines", 2)), fleet("shops", option("lines", 3), option("title", "Other"))
    found = difference([was], [now], pair_up([was], [now]))
    values = (Value("lines", 2, 3, 1), Value("title", None, "Other", 1))
    assert found.changes == (Change(Kind.CHANGE, Subject.TARGET, "note", "shops", 1, values, place=PLACE),)
    assert found.touched == 1
