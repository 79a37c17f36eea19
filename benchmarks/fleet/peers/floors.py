"""Floors in plain Python: what any tool of this kind has to do at least.

render: read three YAML files by libyaml, lay the values over each other, render four templates that were compiled
once, write the files. write: write the same bytes from a file that has them all. As a script:
`floors.py render|write|keep SOURCES OUTPUT`, where `keep` makes that file.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FILES = ("slm.service", "compose.yaml", "deployment.yaml", "manifest.json")
Rendered = tuple[str, list[tuple[str, bytes]]]


def write_sources(n: int, folder: Path) -> None:
    import yaml

    from benchmarks.fleet import workload

    (folder / "templates").mkdir(parents=True)
    devices = {values["device"]: {"at": site, **values} for site, values in workload.devices(n)}
    for name, values in (("fleet", workload.fleet()), ("sites", workload.sites(n)), ("devices", devices)):
        with (folder / f"{name}.yaml").open("w") as file:
            yaml.dump(values, file, Dumper=yaml.CSafeDumper, sort_keys=False)
    for name in workload.FILES:
        (folder / "templates" / name).write_text(workload.template(name))


def command(mode: str, sources: Path, output: Path) -> list[str]:
    return [sys.executable, __file__, mode, str(sources), str(output)]


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return merged


def _resolved(sources: Path) -> Iterator[dict[str, Any]]:
    import yaml

    fleet, sites, devices = (
        yaml.load((sources / f"{name}.yaml").read_bytes(), Loader=yaml.CSafeLoader)
        for name in ("fleet", "sites", "devices")
    )
    by_site = {name: _laid_over(fleet, values) for name, values in sites.items()}
    for values in devices.values():
        yield _laid_over(by_site[values.pop("at")], values)


def _rendered(sources: Path) -> Iterator[Rendered]:
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(sources / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates = [(name, environment.get_template(name)) for name in FILES]
    for values in _resolved(sources):
        yield values["device"], [(name, template.render(p=values).encode()) for name, template in templates]


def _write(devices: Iterable[Rendered], output: str) -> None:
    for device, files in devices:
        folder = f"{output}/{device}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)  # noqa: PTH102 - a Path for each device is more than the floor has to do
        for name, data in files:
            file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.write(file, data)
            os.close(file)


def main(mode: str, sources: str, output: str) -> None:
    if mode == "keep":
        Path(output).write_bytes(marshal.dumps(list(_rendered(Path(sources)))))
    elif mode == "write":
        _write(marshal.loads(Path(sources).read_bytes()), output)
    else:
        _write(_rendered(Path(sources)), output)


if __name__ == "__main__":
    main(*sys.argv[1:])
