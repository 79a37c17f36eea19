"""`docs/how-to/write-a-target.md` lists exactly what a template sees, and every filter."""

from __future__ import annotations

import re
from dataclasses import fields

from compiler.bundle.context import (
    ArtifactFacts,
    ClassFacts,
    CohortFacts,
    FileFacts,
    FleetFacts,
    ModelFacts,
    PrivacyFacts,
    RunFacts,
    RuntimeFacts,
    TargetFacts,
)  # fmt: skip
from compiler.bundle.quoting import FILTERS
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "how-to" / "write-a-target.md").read_text(encoding="utf-8")
KINDS = {
    "fleet": FleetFacts,
    "fleet.privacy": PrivacyFacts,
    "cohort": CohortFacts,
    "cohort.device_class": ClassFacts,
    "run": RunFacts,
    "run.model": ModelFacts,
    "run.artifact": ArtifactFacts,
    "run.artifact.files": FileFacts,
    "run.runtime": RuntimeFacts,
    "target": TargetFacts,
}


def table(head: str) -> dict[str, str]:
    """The second column of the table with the first column named `head`, by the first."""
    rows = PAGE.partition(f"\n| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return dict(re.fullmatch(r"\| `(.*?)` \| (.*) \|", row).groups() for row in rows)  # type: ignore[union-attr,misc]


def test_every_attribute_is_listed() -> None:
    listed = {
        value: re.findall(r"`(\w+)`(\??)", re.sub(r"\([^)]*\)", "", text)) for value, text in table("value").items()
    }
    assert listed == {
        value: [(field.name, "?" if "None" in str(field.type) else "") for field in fields(kind)]
        for value, kind in KINDS.items()
    }


def test_every_filter_is_listed() -> None:
    assert sorted(table("filter")) == sorted(FILTERS)
