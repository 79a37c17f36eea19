"""Small workspaces on disk, resolved."""

from __future__ import annotations

from pathlib import Path

from compiler.base.diagnostics import Diagnostic, in_order
from compiler.blueprint.merge import merge
from compiler.fleet.catalogue import load
from compiler.fleet.graph import Fleet
from compiler.fleet.resolve import resolve
from compiler.syntax.read import read_all

HEAD = "apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\n"
PARTS = (
    HEAD
    + """
models:
  chat:
    task: text-generation
    license: MIT
    evaluate: {data: ./held-out.jsonl, maxTokens: 1000}
    versions: {1.4.0: {source: models/chat/}, 1.5.0: {source: models/chat-1.5}}
recipes:
  small:
    steps: [{kind: optimize}, {kind: quantize, scheme: int4, blockSize: 64}]
    gates: {size: {max: 1MiB}, perplexity: {max: 20}, topOneAgreement: {min: 90%}}
  fast:
    steps: [{kind: quantize, scheme: int8-dynamic}]
deviceClasses:
  till: {extends: builtin/raspberry-pi-5-8g, reservedMemory: 2GiB}
  kiosk: {extends: till, memory: 4GiB, isa: [neon]}
  office: {arch: amd64, memory: 8GiB, storage: 100GB}
"""
)
INVENTORY = """id,class,site
berlin-1,till,berlin
berlin-2,office,berlin
lyon-1,till,lyon
lyon-2,till,lyon
"""


def fleet_text(body: str) -> str:
    return f"{HEAD}fleets:\n  shops:\n    inventory: shops.csv\n    targets: [systemd]\n{body}"


def resolved(folder: Path, body: str, inventory: str = INVENTORY) -> tuple[Fleet, list[Diagnostic]]:
    """The fleet `shops` with `body` (its runs and overlays) beside PARTS, and what was found wrong."""
    (folder / "parts.slmc.yaml").write_text(PARTS)
    (folder / "fleet.slmc.yaml").write_text(fleet_text(body))
    (folder / "shops.csv").write_text(inventory)
    return resolved_folder(folder)


def resolved_folder(folder: Path) -> tuple[Fleet, list[Diagnostic]]:
    documents, found = read_all(folder)
    blueprint, wrong = merge(documents)
    catalogue, broken = load()
    fleets, diagnostics = resolve(folder, blueprint, catalogue)
    (fleet,) = fleets
    return fleet, in_order([*found, *wrong, *broken, *diagnostics])


def cohorts(fleet: Fleet) -> dict[str, list[str]]:
    """Cohort → ids of its devices."""
    return {cohort.name: [device.id for device in cohort.devices] for cohort in fleet.cohorts}
