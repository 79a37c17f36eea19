"""The fleet benchmark still runs, and compares like with like."""

from __future__ import annotations

import csv
import re
import string
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from benchmarks import render
from benchmarks.fleet import table, workload
from benchmarks.fleet.extent import TINY, WHOLE
from benchmarks.fleet.git_cost import Cost
from benchmarks.fleet.measure import Figure
from benchmarks.fleet.results import Results
from benchmarks.fleet.rows import rows
from benchmarks.fleet.run import run
from benchmarks.fleet.workload import Values

SLMC = {
    "cold own 1000": 0.4,
    "cold own 10000": 2.0,
    "cold own 100000": 28.0,
    "cold cohorts 10000": 1.3,
    "no-op 10000": 0.5,
    "no-op 100000": 3.0,
    "validate 10000": 0.4,
    "validate 100000": 2.4,
    "one device 10000": 0.7,
    "one device 100000": 2.8,
    "one overlay 10000": 0.7,
    "one model 10000": 0.9,
}
PEERS = {
    "floor 10000": 4.0,
    "write 10000": 0.5,
    "kapitan 10000": 200.0,
    "kapitan no-op 10000": 200.0,
    "kapitan one device 10000": 20.0,
    "KCL 1000": 1.5,
    "KCL 10000": 80.0,
    "rjsonnet 10000": 8.0,
}


def test_goals_are_judged() -> None:
    seconds = {f"slmc {name}": cpu for name, cpu in SLMC.items()} | PEERS
    results = Results(WHOLE, {name: Figure(cpu, 200_000_000, 3) for name, cpu in seconds.items()})
    results.yaml = {"slmc": 4.1, "ruamel": 0.2}
    results.git = {
        "slmc version": Cost(280, 900_000, 0),
        "floor version": Cost(30_000, 13_500_000, 0),
        "slmc one device in cohorts": Cost(8, 0, 11_000),
        "floor one device": Cost(4, 0, 250_000),
    }
    judged = [(row.tool, row.devices, row.result, row.goal, row.reached) for row in rows(results) if row.goal]
    assert judged == [
        ("slmc", 10_000, "2.00 s", "≤ 3.0 s and ≤ 0.6 × floor", True),
        ("kapitan", 10_000, "200.00 s", "≥ 75 × slmc", True),
        ("KCL", 10_000, "80.00 s", "≥ 30 × slmc", True),
        ("rjsonnet", 10_000, "8.00 s", "≥ 3.5 × slmc", True),
        ("slmc", 10_000, "1.30 s", "≤ 1.2 s", False),
        ("slmc", 10_000, "0.50 s", "≤ 0.6 s", True),
        ("slmc", 100_000, "3.00 s", "≤ 4 s", True),
        ("slmc", 10_000, "0.70 s", "≤ 0.8 s", True),
        ("slmc", 100_000, "2.80 s", "≤ that and 2.00 s more to read", False),
        ("kapitan", 10_000, "20.00 s", "≥ 40 × slmc", False),
        ("slmc", 0, "exponent 0.92", "≤ 1.05", True),
        ("slmc", 100_000, "28.00 s", "≤ 30 s", True),
        ("slmc", 10_000, "200 MB", "≤ 250 MB", True),
        ("slmc", 100_000, "200 MB", "≤ 1,200 MB", True),
        ("slmc", 0, "4.1 MB/s", "≥ 4 MB/s", True),
        ("slmc, in cohorts", 10_000, "280 files, 0.90 MB", "≤ 300 files, ≤ 1 MB", True),
        ("slmc, in cohorts", 10_000, "10.7 KiB", "≤ 10 KiB", False),
    ]


def test_every_device_differs_and_cohorts_have_forty_configurations() -> None:
    own = {"device", "labels", "env"}
    few = {
        (workload.region_of(number), *((key, value) for key, value in values.items() if key not in own))
        for number in range(1_000)
        for values in [workload.few_configurations(number)]
    }
    assert len(few) == workload.CONFIGURATIONS
    assert len({values["device"] for values in workload.resolved(1_000)}) == 1_000


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def tiny(work: Path) -> Results:
    return run(TINY, work)


def test_what_templates_see_is_made_as_the_bundle_stage_makes_it() -> None:
    assert [context["cohort"].name for context in render.contexts(render.workload(2))] == ["dev-000000", "dev-000001"]


@pytest.mark.slow
def test_floors_run(tiny: Results) -> None:
    assert {name for name, figure in tiny.figures.items() if not figure.failed} >= {"floor 100", "write 100"}
    assert tiny.git["floor version"].files == 3 * TINY.devices
    assert "floor: libyaml and jinja2" in table.text(tiny)
    assert "| floor: libyaml and jinja2 | 100 |" in table.markdown(tiny)


@pytest.mark.slow
def test_slmc_gives_every_device_the_values_that_the_floor_gives(tiny: Results) -> None:
    assert tiny.refused == ""
    assert tiny.different == {"slmc": 0}
    assert {name: figure.failed for name, figure in tiny.figures.items() if figure.failed} == {}
    assert len(tiny.git) == 5


@pytest.mark.slow
def test_cohorts_and_the_table_of_devices_say_what_each_device_was_given(tiny: Results, work: Path) -> None:
    assert tiny.refused == ""
    deploy = work / "run" / f"cohorts-{TINY.devices}" / "deploy" / "retail-edge"
    rows = [row for path in sorted(deploy.rglob("*.csv")) for row in csv.DictReader(path.read_text().splitlines())]
    found = {row["id"]: _files(next(deploy.rglob(row["cohort"])) / "edge", row) for row in rows}
    assert found == {name: _rendered(values) for name, values in _given(TINY.devices)}


def _given(n: int) -> Iterator[tuple[str, Values]]:
    """All values of each device of the variant in cohorts, after the bump of the version that Git was asked about."""
    fleet, sites = workload.fleet() | {"runtime_version": "2.4.0"}, workload.sites(n)
    for number in range(n):
        site = workload.laid_over(fleet, sites[workload.site_name(number)])
        yield workload.device_name(number), workload.laid_over(site, workload.few_configurations(number))


def _rendered(values: Values) -> dict[str, str]:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    texts = {name: environment.from_string(workload.template(name)).render(p=values) for name in workload.FILES}
    return {name: _without_digest(text) for name, text in texts.items()}


def _files(bundle: Path, variables: dict[str, str]) -> dict[str, str]:
    """The texts of a cohort's files with the device's own words in place of `${NAME}`."""
    texts = {name: string.Template((bundle / name).read_text()).substitute(variables) for name in workload.FILES}
    return {name: _without_digest(text) for name, text in texts.items()}


def _without_digest(text: str) -> str:
    return re.sub("sha256:[0-9a-f]{64}", "sha256:…", text)
