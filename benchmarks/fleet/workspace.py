"""The workload as a workspace of slmc, in two variants, and the edits that are measured on it.

OWN: every device differs, so each has a bundle of its own; its files are those of the peers.
COHORTS: the same devices in 40 configurations; what is unique (site, update window, name, serial) are variables
in the table of devices, and the files say `${SLM_…}` in their place.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

from benchmarks.fleet import workload
from benchmarks.fleet.workload import CANDIDATE, STABLE, Values

FLEET = "retail-edge"
RUN = "slm"
TARGET = "edge"
BLUEPRINT = "fleet.slmc.yaml"
EDITED_DEVICE = 3

HELLO = Path(__file__).parents[2] / "blueprints" / "hello"
RECIPES = {
    "int8": "[{kind: optimize}, {kind: quantize, scheme: int8-dynamic}]",
    "int4": "[{kind: optimize}, {kind: quantize, scheme: int4, blockSize: 32}]",
    "fp": "[{kind: optimize}]",
}
SOURCES = {"first": STABLE, "second": CANDIDATE, "third": CANDIDATE}
"""Model folders and which version they can be: `edit_model` moves the candidate from the second to the third."""


class Variant(Enum):
    OWN = "own"
    COHORTS = "cohorts"


_TYPED = {
    "fleet",
    "arch",
    "model_name",
    "model_version",
    "model_digest",
    "quantization",
    "port",
    "threads",
    "memory_mb",
}
"""Fields that slmc has a word of its own for; the others are `parameters` of the run."""

_SPELT = {
    "fleet": "fleet.name",
    "arch": "cohort.device_class.arch",
    "model_name": "run.model.name",
    "model_version": "run.model.version",
    "model_digest": "run.artifact.digest",
    "quantization": "run.recipe",
    "port": "run.port",
    "threads": "run.threads",
    "memory_mb": "(run.memory_limit // 1048576)",
    "env": "run.environment",
    "labels": "labels",
}
_VARIABLES = {
    "device": '"${SLM_DEVICE}"',
    "site": '"${SLM_SITE}"',
    "update_window": '"${SLM_UPDATE_WINDOW}"',
    "env": 'dict(run.environment, SLM_SITE="${SLM_SITE}", SLM_DEVICE_SERIAL="${SLM_DEVICE_SERIAL}")',
}
_LABELS = {"app": "label_app", "team": "label_team", "tier": "label_tier", "site": "site", "device": "device"}

_COLUMNS = {
    Variant.OWN: {
        "name": f"runs.{RUN}.parameters.device",
        "threads": f"runs.{RUN}.threads",
        "memory": f"runs.{RUN}.memoryLimit",
        "quantization": f"runs.{RUN}.recipe",
        "serial": f"runs.{RUN}.environment.SLM_DEVICE_SERIAL",
        "log_level": f"runs.{RUN}.parameters.log_level",
        "model": f"runs.{RUN}.model",
    },
    Variant.COHORTS: {
        "name": "device.SLM_DEVICE",
        "threads": f"runs.{RUN}.threads",
        "memory": f"runs.{RUN}.memoryLimit",
        "quantization": f"runs.{RUN}.recipe",
        "serial": "device.SLM_DEVICE_SERIAL",
        "log_level": f"runs.{RUN}.parameters.log_level",
        "model": f"runs.{RUN}.model",
        "place": "device.SLM_SITE",
        "window": "device.SLM_UPDATE_WINDOW",
    },
}


def write(n: int, folder: Path, variant: Variant) -> None:
    """A workspace of `n` devices in a new `folder`."""
    folder.mkdir(parents=True)
    write_models(folder)
    (folder / BLUEPRINT).write_text(_blueprint(n, variant))
    _write_target(folder / "targets" / TARGET, variant)
    _write_inventory(n, folder / "inventory", variant)


def write_models(folder: Path) -> None:
    """The example's model as three folders that differ in one value, and its evaluation data."""
    shutil.copytree(HELLO / "data", folder / "data")
    for number, name in enumerate(SOURCES):
        source = shutil.copytree(HELLO / "models" / "pydoc-1.0", folder / "models" / name)
        settings = json.loads((source / "tokenizer_config.json").read_text())
        (source / "tokenizer_config.json").write_text(json.dumps(settings | {"benchmark": number}))


def models_text(versions: Mapping[str, str]) -> str:
    """The blueprint's head with its models and recipes; `versions` maps a version to its folder in `models`."""
    lines = [
        "apiVersion: slmc.dev/v1alpha1",
        "kind: Blueprint",
        "models:",
        f"  {workload.fleet()['model_name']}:",
        "    task: text-generation",
        "    license: PSF-2.0",
        "    evaluate: {data: data/heldout.jsonl, maxTokens: 256}",
        "    versions:",
        *(f"      {version}: {{source: models/{source}}}" for version, source in versions.items()),
        "recipes:",
        *(f"  {name}: {{steps: {steps}}}" for name, steps in RECIPES.items()),
        "deviceClasses:",
        "  edge: {extends: builtin/raspberry-pi-5-8g, reservedMemory: 2GiB, reservedStorage: 8GB}",
    ]
    return "\n".join(lines) + "\n"


def _blueprint(n: int, variant: Variant) -> str:
    base = workload.fleet()
    lines = [
        "fleets:",
        f"  {FLEET}:",
        "    inventory: inventory/**/*.csv",
        "    columns:",
        *(f"      {column}: {use}" for column, use in _COLUMNS[variant].items()),
        "    runs:",
        f"      {RUN}:",
        f"        model: {base['model_name']}@{base['model_version']}",
        f"        recipe: {base['quantization']}",
        f"        threads: {base['threads']}",
        f"        memoryLimit: {base['memory_mb']}MiB",
        f"        serve: {{port: {base['port']}}}",
        "        environment:",
        *(f"          {name}: {json.dumps(value)}" for name, value in base["env"].items()),
        "        parameters:",
        *(f"          {name}: {json.dumps(value)}" for name, value in _parameters(base).items()),
        f"    targets: [{TARGET}]",
        "    overlays:",
        *(_site_overlays(n) if variant is Variant.OWN else _region_overlays()),
    ]
    return models_text({STABLE: "first", CANDIDATE: "second"}) + "\n".join(lines) + "\n"


def _parameters(base: Values) -> Values:
    """The fleet's values that are no typed fields, flat."""
    labels = {f"label_{name}": value for name, value in base["labels"].items()}
    plain = {name: value for name, value in base.items() if name not in _TYPED and not isinstance(value, dict)}
    return plain | labels


def _site_overlays(n: int) -> list[str]:
    lines = []
    for name, values in workload.sites(n).items():
        lines += [
            f"      - match: {{site: {name}}}",
            "        runs:",
            f"          {RUN}:",
            f"            environment: {{SLM_SITE: {values['env']['SLM_SITE']}}}",
            "            parameters:",
            *(f"              {key}: {json.dumps(value)}" for key, value in values.items() if isinstance(value, str)),
        ]
    return lines


def _region_overlays() -> list[str]:
    lines = []
    for name in workload.REGIONS:
        lines += [f"      - match: {{region: {name}}}", "        runs:", f"          {RUN}:", "            parameters:"]
        lines += [f"              {key}: {json.dumps(value)}" for key, value in workload.region(name).items()]
    return lines


def _write_target(folder: Path, variant: Variant) -> None:
    """The peers' own templates, with slmc's names for what they call `p.NAME`."""
    folder.mkdir(parents=True)
    variables = _VARIABLES if variant is Variant.COHORTS else {}

    def spelt(match: re.Match[str]) -> str:
        return variables.get(match[1]) or _SPELT.get(match[1]) or f"run.parameters.{match[1]}"

    labels = "{% set labels = {" + ", ".join(f'"{label}": p.{field}' for label, field in _LABELS.items()) + "} %}\n"
    lines = ["description: The four files of a device of the benchmark", "needs: []", "files:"]
    for name in workload.FILES:
        text = workload.template(name)
        text = labels + text if "p.labels" in text else text
        (folder / f"{name}.j2").write_text(re.sub(r"\bp\.(\w+)", spelt, text))
        lines.append(f"  - {{path: {name}, template: {name}.j2, per: run}}")
    (folder / "target.yaml").write_text("\n".join(lines) + "\n")


def _write_inventory(n: int, folder: Path, variant: Variant) -> None:
    """One table for each site, in its region's folder. An empty cell sets nothing."""
    row = _own_row if variant is Variant.OWN else _cohort_row
    for first in range(0, n, workload.DEVICES_PER_SITE):
        path = inventory_file(folder, first)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["id", "class", "region", "site", *_COLUMNS[variant]])
            for number in range(first, min(n, first + workload.DEVICES_PER_SITE)):
                common = workload.device_name(number), "edge", workload.region_of(number), workload.site_name(number)
                table.writerow([*common, *row(number)])


def inventory_file(folder: Path, number: int) -> Path:
    """The table that has the device, below the folder of inventories."""
    return folder / workload.region_of(number) / f"{workload.site_name(number)}.csv"


def _own_row(number: int) -> list[str]:
    return _cells(workload.device(number))


def _cohort_row(number: int) -> list[str]:
    site = workload.site_name(number)
    return [*_cells(workload.few_configurations(number)), site, workload.site(number)["update_window"]]


def _cells(values: Values) -> list[str]:
    version = values.get("model_version")
    return [
        values["device"],
        str(values["threads"]),
        f"{values['memory_mb']}MiB",
        values["quantization"],
        values["env"]["SLM_DEVICE_SERIAL"],
        values.get("log_level", ""),
        f"{workload.fleet()['model_name']}@{version}" if version else "",
    ]


def edit_device(folder: Path) -> None:
    """One cell of one table: the threads of one device."""
    name = workload.device_name(EDITED_DEVICE)
    threads = workload.device(EDITED_DEVICE)["threads"]
    _swap(inventory_file(folder / "inventory", EDITED_DEVICE), f",{name},{threads},", f",{name},{threads + 1},")


def move_device(folder: Path) -> None:
    """One row of one table of the cohorts: a device gets the configuration of its neighbour."""
    own, neighbour = (_cells(workload.few_configurations(number)) for number in (EDITED_DEVICE, EDITED_DEVICE + 1))
    moved = [own[0], *neighbour[1:4], own[4], *neighbour[5:]]
    path = inventory_file(folder / "inventory", EDITED_DEVICE)
    _swap(path, f",{','.join(own)},", f",{','.join(moved)},")


def edit_overlay(folder: Path) -> None:
    """One line of the overlay of one site, which has 50 devices."""
    window = workload.site(0)["update_window"]
    _swap(folder / BLUEPRINT, f'              update_window: "{window}"', '              update_window: "04:30-05:30"')


def edit_model(folder: Path) -> None:
    """The candidate's source: the devices that run it, 1 of 25, get another artifact."""
    _swap(
        folder / BLUEPRINT,
        f"      {CANDIDATE}: {{source: models/second}}",
        f"      {CANDIDATE}: {{source: models/third}}",
    )


def bump_version(folder: Path) -> None:
    """The fleet's version of the runtime, which every device has in three of its files."""
    version = workload.fleet()["runtime_version"]
    _swap(folder / BLUEPRINT, f'          runtime_version: "{version}"', '          runtime_version: "2.4.0"')


Edit = Callable[[Path], None]


def _swap(path: Path, one: str, other: str) -> None:
    """Put the other in the place of the one that is there, the first time that it occurs."""
    text = path.read_text()
    old, new = (one, other) if one in text else (other, one)
    if old not in text:
        raise ValueError(f"{path.name} has neither `{one.strip()}` nor `{other.strip()}`")
    path.write_text(text.replace(old, new, 1))
