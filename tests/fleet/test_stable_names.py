"""A cohort's name depends on the blueprint and on its configuration, and on nothing else."""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.fleet.devices import Device
from tests.fleet.inventories import device, fleet_over, places

GIB = 2**30
RUNS = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small, environment: {LANG: C}, serve: {command: [/bin/slm]}}
      search: {model: chat@1.4.0, recipe: fast, match: {site: [lyon, pi-5]}}
    overridable: {site: [runs, privacy], label: [runs, privacy]}
    overlays:
"""
POOL = [
    "{match: {class: till}, runs: {assistant: {contextLength: 64}}}",
    "{match: {site: berlin}, priority: 1, runs: {assistant: {threads: 2, environment: {LOG: debug}}}}",
    "{match: {site: [berlin, lyon]}, runs: {assistant: {threads: 2}}}",
    "{match: {site: lyon}, priority: 2, runs: {assistant: {threads: 1}, search: {threads: 1}}}",
    "{match: {site: berlin, class: kiosk}, priority: 3, runs: {assistant: {serve: {port: 8081}}}}",
    "{match: {site: lyon}, privacy: {egress: allow, telemetry: [errors]}}",
    "{match: {shift: night}, runs: {assistant: {environment: {X: n}}}, rules: {runs.assistant.environment: replace}}",
    "{match: {shift: day}, priority: 7, runs: {assistant: {serve: {command: [-v]}}},"
    " rules: {runs.assistant.serve.command: append}}",
    "{match: {shift: day, site: lyon}, priority: 8, rules: {runs.assistant.environment.LANG: remove}}",
    "{match: {site: pi-5}, priority: 4, runs: {assistant: {threads: 8}}}",
    "{match: {site: threads-3}, runs: {assistant: {parameters: {gain: 1}}}}",
    "{match: {device: d1}, priority: 1, runs: {assistant: {threads: 3, parameters: {gain: true}}}}",
    "{match: {device: d2}, priority: -1, runs: {assistant: {threads: 4, memoryLimit: 1GiB}}}",
]
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "threads": st.integers(1, 4),
        "memoryLimit": st.sampled_from([GIB, GIB + 1]),
        "serve.port": st.sampled_from([8080, 8081, 9000]),
        "environment.LANG": st.sampled_from(["C", "c", "de"]),
        "parameters.gain": st.sampled_from([1, True, 1.0, "1"]),
    },
)
FACTS = st.fixed_dictionaries({}, optional={"memory": st.sampled_from([4 * GIB, 8 * GIB]), "systemd": st.just(250)})


@st.composite
def fleets(draw: Any) -> list[Device]:
    return [
        device(
            f"d{number}",
            draw(st.sampled_from(["till", "kiosk", "office"])),
            draw(FACTS),
            draw(VALUES),
            site=draw(st.sampled_from(["berlin", "lyon", "pi-5", "threads-3", "oslo"])),
            shift=draw(st.sampled_from(["night", "day"])),
        )
        for number in range(draw(st.integers(1, 8)))
    ]


@given(fleets(), st.lists(st.sampled_from(POOL), unique=True, min_size=1), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_devices_that_come_and_go_rename_nothing(
    devices: list[Device], overlays: list[str], dice: random.Random
) -> None:
    body = RUNS + "".join(f"      - {overlay}\n" for overlay in overlays)
    whole, _ = fleet_over(devices, body)
    some, _ = fleet_over(dice.sample(devices, dice.randint(1, len(devices))), body)
    names = places(whole)
    assert places(some) == {id: names[id] for id in places(some)}
    assert {cohort.name for cohort in some.cohorts} <= {cohort.name for cohort in whole.cohorts}
    configurations = {repr((cohort.device_class, cohort.runs, cohort.privacy)) for cohort in whole.cohorts}
    assert len(configurations) == len(whole.cohorts) == len({cohort.name for cohort in whole.cohorts})
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,48}[a-z0-9]", cohort.name) for cohort in whole.cohorts)


@given(fleets(), st.lists(st.sampled_from(POOL), unique=True, min_size=1))
@settings(max_examples=30, deadline=None)
def test_the_last_origin_of_each_value_is_what_the_runs_have(devices: list[Device], overlays: list[str]) -> None:
    fleet, _ = fleet_over(devices, RUNS + "".join(f"      - {overlay}\n" for overlay in overlays))
    for cohort in fleet.cohorts:
        for member in cohort.devices:
            values = {path: setting.value for path, setting in cohort.provenance_of(member.id).items()}
            for run in cohort.runs:
                at = f"runs.{run.name}."
                entries = {name for name in values if name.startswith(f"{at}environment.") and values[name] is not None}
                assert entries == {f"{at}environment.{name}" for name, _ in run.environment}
                command = values[f"{at}serve.command"]
                assert (values[f"{at}threads"], values[f"{at}serve.port"]) == (run.threads, run.port)
                assert (None if command is None else tuple(command)) == run.command
            assert values["privacy.egress"] == cohort.privacy.egress
            assert tuple(values["privacy.telemetry"]) == cohort.privacy.telemetry


def test_names_spell_out_facts_and_values() -> None:
    devices = [
        device("a1", facts={"memory": 4 * GIB}),
        device("a2", facts={"memory": 8 * GIB, "systemd": 252}),
        device("a3", values={"threads": 2}),
        device("a4", values={"threads": 2, "contextLength": 128}, facts={"memory": 4 * GIB}),
        device("a5", values={"environment.LANG": "De_de"}),
        device("a6", values={"threads": 4}),
        device("a7", site="berlin", facts={"storage": 10**9}),
        device("a8", values={"threads": 7}),
    ]
    body = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {site: berlin}, runs: {assistant: {threads: 7}}}
"""
    fleet, diagnostics = fleet_over(devices, body)
    assert diagnostics == []
    assert {id: re.sub("-[0-9a-f]{12}$", "-HASH", name) for id, name in places(fleet).items()} == {
        "a1": "till-memory-4gib",
        "a2": "till",
        "a3": "till-threads-2",
        "a4": "till-memory-4gib-context-length-128-HASH",
        "a5": "till-lang-de-de-HASH",
        "a6": "till",
        "a7": "till-berlin-storage-1gb",
        "a8": "till-berlin",
    }
    assert {cohort.device_class.memory for cohort in fleet.cohorts if "4gib" in cohort.name} == {4 * GIB}


def test_a_hash_follows_words_that_could_mean_a_value() -> None:
    body = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {site: threads-2}, runs: {assistant: {contextLength: 64}}}
"""
    fleet, _ = fleet_over([device("a", site="threads-2"), device("b", site="x", values={"threads": 2})], body)
    assert [re.sub("[0-9a-f]{12}$", "HASH", cohort.name) for cohort in fleet.cohorts] == ["till-threads-2-HASH"] * 2


def test_an_overlay_of_which_half_holds_is_named_before_the_hash() -> None:
    body = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {site: berlin}, runs: {assistant: {threads: 2, contextLength: 64, environment: {A: a, B: b}}}}
      - {match: {site: lyon}, runs: {assistant: {threads: 3, contextLength: 65}}}
"""
    devices = [
        device("d1", site="berlin", values={"threads": 3, "environment.A": "x"}),
        device("d2", site="berlin", values={"threads": 3, "environment.A": "x", "environment.B": "y"}),
        device("d3", values={"threads": 3, "environment.A": "x"}),
    ]
    fleet, diagnostics = fleet_over(devices, body)
    assert [diagnostic.code.slug for diagnostic in diagnostics] == ["overlay-unused"]
    assert {id: re.sub("-[0-9a-f]{12}$", "-HASH", name) for id, name in places(fleet).items()} == {
        "d1": "till-berlin-a-x-threads-3-HASH",
        "d2": "till-context-length-64-a-x-HASH",
        "d3": "till-a-x-threads-3-HASH",
    }


def test_what_runs_and_overlays_say_renames_nothing() -> None:
    """Another version for the whole fleet, other values of an overlay: each cohort keeps its name, hash and all."""
    listed = [
        device("d1", values={"threads": 3, "environment.LANG": "de"}, site="berlin"),
        device("d2", facts={"memory": 4 * GIB}, values={"memoryLimit": GIB, "threads": 1}, site="berlin"),
        device("d3", values={"parameters.gain": 2}, site="oslo"),
        device("d4", site="berlin"),
    ]
    overlay = "      - {match: {site: berlin}, runs: {assistant: {threads: 2, environment: {LOG: debug, A: b}}}}\n"
    before, _ = fleet_over(listed, RUNS + overlay)
    other = RUNS.replace("assistant: {model: chat@1.4.0", "assistant: {model: chat@1.5.0")
    after, _ = fleet_over(listed, other + overlay.replace("debug", "info").replace("A: b", "A: c"))
    assert places(after) == places(before)
    assert {run.model.version for cohort in after.cohorts for run in cohort.runs if run.name == "assistant"} == {
        "1.5.0"
    }
    assert sum(re.fullmatch(r".*-[0-9a-f]{12}", cohort.name) is not None for cohort in before.cohorts) == 3


def test_a_long_name_is_cut_between_words() -> None:
    listed = [device("d1", values={"environment.A_RATHER_LONG_NAME": "value", "parameters.gain": 1}, site="berlin")]
    overlay = "      - {match: {site: berlin}, runs: {assistant: {threads: 2}}}\n"
    fleet, _ = fleet_over(listed, RUNS + overlay)
    assert [re.sub("[0-9a-f]{12}$", "…", cohort.name) for cohort in fleet.cohorts] == [
        "till-berlin-assistant-a-rather-long-…"
    ]
