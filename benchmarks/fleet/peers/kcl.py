"""KCL: one program with a schema, the values of all levels as unions, and every file of every device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.fleet import workload

PROGRAMS = Path(__file__).parent / "programs"


def write_sources(n: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = [
        (PROGRAMS / "render.k").read_text(),
        f"_fleet = {_literal(workload.fleet())}",
        "_sites = {",
        *(f"    {json.dumps(name)}: {_literal(values)}" for name, values in workload.sites(n).items()),
        "}",
        "_devices = {",
        *(
            f"    {json.dumps(values['device'])}: {{site = {json.dumps(site)}, own = {_literal(values)}}}"
            for site, values in workload.devices(n)
        ),
        "}",
        "out = {name: render(Values {**(_fleet | _sites[device.site] | device.own)}) for name, device in _devices}",
    ]
    (folder / "main.k").write_text("\n".join(lines) + "\n")


def command(programs: Path, sources: Path, output: Path) -> list[str]:
    return [str(programs / "python"), str(PROGRAMS / "run_kcl.py"), str(sources), str(output)]


def _literal(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    entries = (f"{json.dumps(k)}{':' if isinstance(v, dict) else ' ='} {_literal(v)}" for k, v in value.items())
    return "{" + ", ".join(entries) + "}"
