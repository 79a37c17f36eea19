"""Cohorts are called after what distinguishes them, and after nothing else."""

from __future__ import annotations

import random
import re
import string
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.workspaces import cohorts, resolved

RUNS = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
      search: {model: chat@1.4.0, recipe: fast, match: {site: [lyon, paris]}}
"""
OVERLAYS = """
    overlays:
      - {match: {site: berlin}, runs: {assistant: {threads: 2}}}
      - {match: {class: till}, runs: {assistant: {contextLength: 64}}}
      - {match: {device: lyon-1}, runs: {assistant: {threads: 1}, search: {threads: 1}}}
      - {match: {site: [paris, oslo, rome]}, runs: {assistant: {threads: 1}}}
"""
ROWS = [
    "berlin-1,till,berlin",
    "berlin-2,office,berlin",
    "lyon-1,till,lyon",
    "lyon-2,till,lyon",
    "oslo-1,office,oslo",
    "paris-1,till,paris",
    "rome-1,builtin/rk3588-8g,rome",
]


def inventory(rows: list[str]) -> str:
    return "\n".join(["id,class,site", *rows]) + "\n"


def test_names_say_class_runs_and_overlays(tmp_path: Path) -> None:
    fleet, diagnostics = resolved(tmp_path, RUNS + OVERLAYS, inventory(ROWS))
    assert diagnostics == []
    assert cohorts(fleet) == {
        "office-berlin": ["berlin-2"],
        "office-paris-and-2-more": ["oslo-1"],
        "rk3588-8g-paris-and-2-more": ["rome-1"],
        "till-berlin": ["berlin-1"],
        "till-search": ["lyon-2"],
        "till-search-lyon-1": ["lyon-1"],
        "till-search-paris-and-2-more": ["paris-1"],
    }


@given(st.permutations(ROWS))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_changes_nothing(rows: list[str]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        shuffled, _ = resolved(Path(one), RUNS + OVERLAYS, inventory(rows))
        sorted_, _ = resolved(Path(other), RUNS + OVERLAYS, inventory(ROWS))
    assert shuffled == sorted_
    assert [cohort.provenance for cohort in shuffled.cohorts] == [cohort.provenance for cohort in sorted_.cohorts]


def test_a_cohort_keeps_its_name_whatever_the_others_are(tmp_path: Path) -> None:
    whole, _ = resolved(tmp_path, RUNS + OVERLAYS, inventory(ROWS))
    name_of = {device: name for name, devices in cohorts(whole).items() for device in devices}
    for row in ROWS:
        alone, _ = resolved(tmp_path, RUNS + OVERLAYS, inventory([row]))
        id = row.partition(",")[0]
        assert cohorts(alone) == {name_of[id]: [id]}


def test_an_overlay_without_effect_makes_no_cohort(tmp_path: Path) -> None:
    body = RUNS + "    overlays:\n      - {match: {site: berlin}, runs: {assistant: {threads: 4}}}\n"
    fleet, _ = resolved(tmp_path, body, inventory(["b,till,berlin", "o,till,oslo"]))
    assert cohorts(fleet) == {"till": ["b", "o"]}


def test_overlays_that_set_the_same_values_make_one_cohort(tmp_path: Path) -> None:
    sites = ["berlin", "oslo", "rome"]
    lines = [f"      - {{match: {{site: {site}}}, runs: {{assistant: {{threads: 2}}}}}}\n" for site in sites]
    rows = [f"{site}-1,till,{site}" for site in sites]
    for kept in (rows, rows[:1], rows[1:]):
        fleet, _ = resolved(tmp_path, RUNS + "    overlays:\n" + "".join(lines), inventory(kept))
        assert list(cohorts(fleet)) == ["till-berlin-and-2-more"]


def test_words_that_two_overlays_share_are_told_apart(tmp_path: Path) -> None:
    body = (
        RUNS
        + """
    overlays:
      - {match: {site: Halle 1}, runs: {assistant: {threads: 1}}}
      - {match: {site: halle-1}, runs: {assistant: {threads: 2}}}
      - {match: {site: 上海}, runs: {assistant: {threads: 3}}}
      - {match: {site: Würzburg}, runs: {assistant: {threads: 5}}}
"""
    )
    rows = ["a,till,Halle 1", "b,till,halle-1", "c,till,上海", "d,till,Würzburg", "e,till,lyon", "f,till,paris"]
    fleet, diagnostics = resolved(tmp_path, body, inventory(rows))
    assert diagnostics == []
    names = {devices[0]: name for name, devices in cohorts(fleet).items()}
    shape = {id: re.sub("[0-9a-f]{8}$", "HASH", name) for id, name in names.items()}
    assert shape == {
        "a": "till-halle-1-HASH",
        "b": "till-halle-1-HASH",
        "c": "till-HASH",
        "d": "till-wurzburg",
        "e": "till-search",
    }
    assert names["a"] != names["b"]


def test_a_class_of_the_workspace_goes_before_a_built_in_one_of_its_name(tmp_path: Path) -> None:
    rows = ["a,rk3588-8g,berlin", "b,builtin/rk3588-8g,berlin", "c,till,lyon"]
    (tmp_path / "own.slmc.yaml").write_text(
        "apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\ndeviceClasses:\n  rk3588-8g: {extends: builtin/rk3588-8g}\n"
    )
    fleet, diagnostics = resolved(tmp_path, RUNS, inventory(rows))
    assert diagnostics == []
    assert cohorts(fleet) == {"builtin-rk3588-8g": ["b"], "rk3588-8g": ["a"], "till-search": ["c"]}


def test_words_that_run_together_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "own.slmc.yaml").write_text(
        "apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\ndeviceClasses:\n"
        "  pi: {extends: builtin/rk3588-8g}\n  pi-5: {extends: builtin/rk3588-8g}\n"
    )
    body = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {site: 5-a}, runs: {assistant: {threads: 1}}}
      - {match: {site: a}, runs: {assistant: {threads: 2}}}
"""
    fleet, _ = resolved(tmp_path, body, inventory(["x,pi,5-a", "y,pi-5,a"]))
    shape = [re.sub("[0-9a-f]{12}$", "HASH", name) for name in cohorts(fleet)]
    assert shape == ["pi-5-a-HASH", "pi-5-a-HASH"]
    assert len(set(cohorts(fleet))) == 2


def test_names_are_short_and_safe(tmp_path: Path) -> None:
    dice = random.Random(1)
    places = ["".join(dice.choices(string.printable.strip() + "äß€", k=60)).replace('"', "") for _ in range(20)]
    quoted = ["'" + place.replace("'", "''") + "'" for place in places]
    lines = [
        f"      - {{match: {{site: {text}}}, runs: {{assistant: {{threads: {number}}}}}}}\n"
        for number, text in enumerate(quoted, 5)
    ]
    rows = [f'd-{number},till,"{place}"' for number, place in enumerate(places)]
    body = "    runs:\n      assistant: {model: chat@1.4.0, recipe: small}\n    overlays:\n" + "".join(lines)
    fleet, diagnostics = resolved(tmp_path, body, inventory(rows))
    assert diagnostics == []
    assert len(fleet.cohorts) == 20
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,48}[a-z0-9]", cohort.name) for cohort in fleet.cohorts)
