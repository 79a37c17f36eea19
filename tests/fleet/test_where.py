"""`where` counts each origin of a value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compiler.base.codes import Code
from compiler.fleet.where import Answer, where
from compiler.report.where import where_text
from tests.fleet.workspaces import resolved

BODY = """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {device: lyon-1}, runs: {assistant: {threads: 2}}}
      - {match: {device: lyon-2}, runs: {assistant: {threads: 2}}}
"""


def test_origins_are_counted_apart_also_within_a_cohort(tmp_path: Path) -> None:
    fleet, _ = resolved(tmp_path, BODY)
    path = "fleets.shops.runs.assistant.threads"
    answer, diagnostics = where([fleet], path, None)
    assert diagnostics == []
    assert [(finding.path, finding.setting.value, finding.devices) for finding in answer.findings] == [
        (path, 4, 2),
        (path, 2, 1),
        (path, 2, 1),
    ]
    assert where_text(where([fleet], path, "lyon-2")[0]) == (
        f"{path}: 2 (on lyon-2)\n"
        "  set by the overlay of level device at fleet.slmc.yaml:12:63\n"
        "      - {match: {device: lyon-2}, runs: {assistant: {threads: 2}}}\n"
        "  overrides 4, the default\n"
    )


def test_of_two_fleets_the_longer_name_is_meant(tmp_path: Path) -> None:
    fleet, _ = resolved(tmp_path, BODY)
    other = replace(fleet, name="shops.region")
    answer, _ = where([fleet, other], "fleets.shops.region.targets", None)
    assert [finding.path for finding in answer.findings] == ["fleets.shops.region.targets"]
    plain, _ = where([fleet, other], "fleets.shops.region", "lyon-1")
    assert {finding.path.removeprefix("fleets.shops.region") for finding in plain.findings} >= {".targets"}


def test_an_unknown_path_has_no_place(tmp_path: Path) -> None:
    fleet, _ = resolved(tmp_path, BODY)
    answer, (diagnostic,) = where([fleet], "fleets.shops.target", None)
    assert answer == Answer("fleets.shops.target", None, ())
    assert (diagnostic.code, diagnostic.message, diagnostic.help, diagnostic.span, diagnostic.file) == (
        Code.UNKNOWN_REFERENCE,
        "Fleet `shops` has no value at `target`.",
        "`targets` has a similar name.",
        None,
        None,
    )
