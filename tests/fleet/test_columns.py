"""Columns become facts, values and variables of exactly these devices, whatever the form of the inventory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.fleet.devices import Device
from tests.fleet.workspaces import resolved, resolved_folder
from tests.values import PLACE

COLUMNS = """
    columns:
      ram: fact.memory
      disk: fact.storage
      cpus: fact.cores
      arch: fact.arch
      unit: fact.systemd
      threads: runs.chat.threads
      limit: runs.chat.memoryLimit
      beams: runs.chat.parameters.beams
      log: runs.chat.environment.LOG
      serial: device.SERIAL
      name: device.NAME
    runs:
      chat: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/server]}}
"""
TABLE = """name,id,class,ram,disk,cpus,arch,unit,threads,limit,beams,log,serial,site
"Shop, 1",a,till,4GiB,,2,arm64,254,2,1GiB,0.5,30,0017,x
,b,till,8GB,32GB,4,arm64,252,,,true,,,x
,c,till,8GiB,,,,,,,,,,
"""
GIB = 2**30


def devices(folder: Path, inventory: str, suffix: str = "csv") -> list[Device]:
    body = COLUMNS if suffix == "csv" else COLUMNS.replace("    columns:", "    region: eu\n    columns:")
    fleet, diagnostics = resolved(folder, body, inventory)
    if suffix != "csv":
        (folder / "fleet.slmc.yaml").write_text(
            (folder / "fleet.slmc.yaml").read_text().replace("shops.csv", f"shops.{suffix}")
        )
        (folder / "shops.csv").rename(folder / f"shops.{suffix}")
        fleet, diagnostics = resolved_folder(folder)
    assert diagnostics == []
    assert fleet.variables == ("NAME", "SERIAL")
    found = [device for cohort in fleet.cohorts for device in cohort.devices]
    return sorted(found, key=lambda device: device.id)


EXPECTED = [
    Device(
        "a",
        "till",
        (("site", "x"),),
        PLACE,
        (("cores", 2), ("memory", 4 * GIB), ("systemd", 254)),
        (
            ("runs.chat.environment.LOG", "30"),
            ("runs.chat.memoryLimit", GIB),
            ("runs.chat.parameters.beams", 0.5),
            ("runs.chat.threads", 2),
        ),
        (("NAME", "Shop, 1"), ("SERIAL", "0017")),
    ),
    Device("b", "till", (("site", "x"),), PLACE, (("memory", 8 * 10**9),), (("runs.chat.parameters.beams", True),)),
    Device("c", "till", (), PLACE),
]


def test_a_table_gives_these_devices(tmp_path: Path) -> None:
    found = devices(tmp_path, TABLE)
    assert found == EXPECTED  # what equals the class's fact is left out
    assert found[0].labels is found[1].labels
    places = [str(found[0].column_place(name)) for name in ("name", "id", "ram", "threads", "nothing")]
    assert places == ["shops.csv:2:1", "shops.csv:2:11", "shops.csv:2:18", "shops.csv:2:36", "shops.csv:2:11"]
    assert found[0].column_place("ram").length == 4
    assert str(EXPECTED[0].column_place("ram")) == str(PLACE)


def test_json_lines_give_the_same_devices(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "class": "till", "site": "x", "ram": "4GiB", "cpus": 2, "arch": "arm64", "unit": 254, "threads": 2,
         "limit": "1GiB", "beams": 0.5, "log": "30", "serial": "0017", "name": "Shop, 1"},
        {"class": "till", "id": "b", "site": "x", "ram": "8GB", "disk": "32GB", "cpus": "4", "arch": "arm64",
         "unit": "252", "beams": True, "log": ""},
        {"id": "c", "class": "till", "name": "", "site": ""},
    ]  # fmt: skip
    assert devices(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "jsonl") == EXPECTED


def test_true_and_one_stay_apart(tmp_path: Path) -> None:
    texts = ("1", "true", "1.0", '"1"')
    lines = [f'{{"id": "d-{n}", "class": "till", "beams": {text}}}' for n, text in enumerate(texts)]
    lines.append('{"id": "e", "class": "till", "ram": "8GiB", "disk": "", "cpus": 4, "arch": "", "unit": "",')
    lines[-1] += ' "threads": "", "limit": "", "log": "", "serial": "", "name": ""}'
    found = devices(tmp_path, "\n".join(lines) + "\n", "jsonl")
    values = [dict(device.values).get("runs.chat.parameters.beams") for device in found[:4]]
    assert [(type(value), value) for value in values] == [(int, 1), (bool, True), (float, 1.0), (str, "1")]


def big(devices: int) -> list[str]:
    return [f"dev-{n:07d},till,site-{n % 40},region-{n % 4},floor-{n % 3},4GiB,2" for n in range(devices)]


BIG = """
    columns: {ram: fact.memory, threads: runs.chat.threads}
    runs:
      chat: {model: chat@1.4.0, recipe: small, serve: {command: [/bin/server]}}
"""
HEADER = "id,class,site,region,floor,ram,threads"


def test_an_error_in_row_73412_of_100000_is_shown_at_its_row_and_column(tmp_path: Path) -> None:
    rows = big(100_000)
    rows[73_411] = rows[73_411].replace("4GiB,2", "4GiB,two")
    rows[80_000] = rows[80_000].replace("4GiB", "4GiG")
    _, diagnostics = resolved(tmp_path, BIG, "\n".join([HEADER, *rows, ""]))
    # Row 73,412 is line 73,413: the first line names the columns.
    assert [(d.code, d.message, str(d.span), d.span and d.span.length) for d in diagnostics] == [
        (Code.WRONG_TYPE, "`threads` is `two`; a whole number was expected.", "shops.csv:73413:48", 3),
        (Code.BAD_VALUE, "`4GiG` is not allowed for `memory`.", "shops.csv:80002:42", 4),
    ]


def test_a_mistake_in_every_row_is_told_twenty_times_and_counted(tmp_path: Path) -> None:
    _, diagnostics = resolved(tmp_path, BIG, "\n".join([HEADER, *(row[:-1] + "x" for row in big(1000)), ""]))
    assert [str(d.span) for d in diagnostics] == [
        f"shops.csv:{line}:{row.rindex(',') + 2}" for line, row in enumerate(big(21), 2)
    ]
    assert diagnostics[-1].message == "And 980 more like the 20 before, from here on."


MEASURE = """
import resource, sys
from compiler.cli.main import run
code = run(["validate", sys.argv[1]])
usage = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss: a child begins with its parent's.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(code, int(peak) // 1024, usage.ru_utime + usage.ru_stime)
"""


@pytest.mark.slow
def test_a_million_rows_take_bounded_memory(tmp_path: Path) -> None:
    resolved(tmp_path, BIG, HEADER + "\n" + "\n".join(big(1)) + "\n")
    for path in ("models/chat", "models/chat-1.5"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "held-out.jsonl").write_text('{"text": "One."}\n')
    (tmp_path / "shops.csv").write_text("\n".join([HEADER, *big(1_000_000), ""]))
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    code, megabytes, seconds = done.stdout.splitlines()[-1].split()
    assert code == "0", done.stdout + done.stderr
    assert int(megabytes) < 600
    assert float(seconds) < 30
