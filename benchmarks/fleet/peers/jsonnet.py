"""rjsonnet: three libraries of objects, and one evaluation that gives every file of every device."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.fleet import workload
from benchmarks.fleet.workload import Values

PROGRAMS = Path(__file__).parent / "programs"


def write_sources(n: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("all.jsonnet", "render.libsonnet"):
        (folder / name).write_text((PROGRAMS / name).read_text())
    (folder / "fleet.libsonnet").write_text(json.dumps(workload.fleet(), indent=1))
    sites = (f"{json.dumps(name)}: {_object(values)}" for name, values in workload.sites(n).items())
    devices = (
        f"{json.dumps(values['device'])}: {{ site:: {json.dumps(site)}, own:: {_object(values)} }}"
        for site, values in workload.devices(n)
    )
    for name, entries in (("sites", sites), ("devices", devices)):
        (folder / f"{name}.libsonnet").write_text("{\n" + ",\n".join(entries) + "\n}\n")


def command(programs: Path, sources: Path, output: Path) -> list[str]:
    return [str(programs / "python"), str(PROGRAMS / "run_jsonnet.py"), str(sources), str(output)]


def _object(values: Values) -> str:
    """An object whose maps are added to those below it."""
    entries = (f"{json.dumps(key)}{'+' if isinstance(v, dict) else ''}: {json.dumps(v)}" for key, v in values.items())
    return "{ " + ", ".join(entries) + " }"
