"""The table of targets in the reference."""

from __future__ import annotations

import re

import yaml

from tests.conftest import REPOSITORY


def test_the_reference_has_every_target_and_option() -> None:
    text = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
    _, _, rows = text.partition("| target | writes | options |\n|---|---|---|\n")
    documented = {}
    for row in rows.partition("\n\n")[0].splitlines():
        _, name, _, options, _ = row.split("|")
        documented[name.strip(" `")] = sorted(re.findall(r"`(\w+)`", options))
    declared = {
        path.parent.name: sorted(yaml.safe_load(path.read_text(encoding="utf-8")).get("options", {}))
        for path in (REPOSITORY / "targets").glob("*/target.yaml")
    }
    assert documented == declared
