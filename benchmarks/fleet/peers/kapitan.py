"""kapitan with reclass-rs: a class for the fleet and for each site, a target for each device, Jinja templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.fleet import workload

NAME_OF_TARGET = "${_reclass_:name:short}"
ONE = workload.device_name(3)


def write_sources(n: int, folder: Path) -> None:
    inventory = folder / "inventory"
    compile = [{"input_type": "jinja2", "output_path": ".", "input_paths": ["templates"]}]
    fleet = {
        "slm": workload.fleet(),
        "target_name": NAME_OF_TARGET,
        "kapitan": {"vars": {"target": NAME_OF_TARGET}, "compile": compile},
    }
    _dump(inventory / "classes" / "fleet.yml", {"parameters": fleet})
    for site, values in workload.sites(n).items():
        _dump(inventory / "classes" / "sites" / f"{site}.yml", {"parameters": {"slm": values}})
    for site, values in workload.devices(n):
        target = {"classes": ["fleet", f"sites.{site}"], "parameters": {"slm": values}}
        _dump(inventory / "targets" / f"{values['device']}.yml", target)
    (folder / "templates").mkdir()
    for name in workload.FILES:
        text = "{% set p = inventory.parameters.slm %}\n" + workload.template(name)
        (folder / "templates" / name).write_text(text)


def command(programs: Path, *targets: str) -> list[str]:
    """Compiles the sources in the folder that it is run in to `compiled`: all targets, or those that are named."""
    chosen = ["-t", *targets] if targets else []
    return [str(programs / "kapitan"), "compile", "--inventory-backend", "reclass-rs", *chosen]


def _dump(path: Path, values: Any) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yaml.dump(values, file, Dumper=yaml.CSafeDumper, sort_keys=False)
