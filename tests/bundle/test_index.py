"""The index of devices: one file for a small fleet, shards for a large one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.bundle.index import device_index
from tests.values import COHORT, DEVICE, FLEET


def index(ids: Iterable[str]) -> dict[str, bytes]:
    devices = tuple(replace(DEVICE, id=id) for id in ids)
    return device_index(replace(FLEET, cohorts=(replace(COHORT, devices=devices),)))


def ids(count: int) -> list[str]:
    return [f"till-{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("devices", "pattern", "files"),
    [
        (0, r"shops/devices\.csv", 1),
        (512, r"shops/devices\.csv", 1),
        (513, r"shops/devices/([0-9a-f]\.csv|SHA256SUMS)", 17),
        (8192, r"shops/devices/([0-9a-f]\.csv|SHA256SUMS)", 17),
        (8193, r"shops/devices/([0-9a-f]/)?([0-9a-f]\.csv|SHA256SUMS)", 16 * 17 + 1),
    ],
)
def test_layout_by_size_of_the_fleet(devices: int, pattern: str, files: int) -> None:
    paths = index(ids(devices))
    assert [path for path in paths if not re.fullmatch(pattern, path)] == []
    assert len(paths) == files


def test_every_device_stands_once_in_the_shard_that_sha256sum_names() -> None:
    found = {}
    for path, data in index(ids(9000)).items():
        if path.endswith(".csv"):
            header, *rows = data.decode().splitlines()
            assert (header, rows) == ("id,class,cohort", sorted(rows))
            found |= dict.fromkeys(rows, path)
    assert found.keys() == {f"{id},pi,pi" for id in ids(9000)}
    for id in ("till-0", "till-77", "till-8999"):
        command = ["sha256sum"]
        first, second, *_ = subprocess.run(command, input=id, capture_output=True, text=True, check=True).stdout
        assert found[f"{id},pi,pi"] == f"shops/devices/{first}/{second}.csv"


def test_another_device_changes_one_shard_and_its_sums() -> None:
    before, after = index(ids(9000)), index([*ids(9000), "lyon-1"])
    changed = [path for path in after if before.get(path) != after[path]]
    assert [re.sub(r"/[0-9a-f]\b", "/X", path) for path in changed] == [
        "shops/devices/X/X.csv",
        "shops/devices/X/SHA256SUMS",
        "shops/devices/SHA256SUMS",
    ]


def test_sums_of_shards_are_what_sha256sum_reads(tmp_path: Path) -> None:
    for path, data in index(ids(600)).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    folder = tmp_path / "shops" / "devices"
    listed = (folder / "SHA256SUMS").read_text().splitlines()
    assert [line[66:] for line in listed] == [f"{digit}.csv" for digit in "0123456789abcdef"]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def test_every_shard_names_the_variables_and_has_those_of_its_devices() -> None:
    devices = tuple(replace(DEVICE, id=id, variables=(("SERIAL", f"{id}, x"),)) for id in ids(600))
    fleet = replace(FLEET, variables=("NAME", "SERIAL"), cohorts=(replace(COHORT, devices=devices),))
    tables = [data.decode().splitlines() for path, data in device_index(fleet).items() if path.endswith(".csv")]
    assert {table[0] for table in tables} == {"id,class,cohort,NAME,SERIAL"}
    assert {row for table in tables for row in table[1:]} == {f'{id},pi,pi,,"{id}, x"' for id in ids(600)}
