"""Templates of slmc's own targets in another target: `template: builtin/TARGET/FILE`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compiler.bundle import targets
from compiler.bundle.checks import check_targets
from compiler.bundle.template_digests import template_digest
from compiler.report.text import diagnostic_text
from tests.bundle.scenarios import PLAIN
from tests.bundle.test_own_targets import compiled, using, write
from tests.bundle.test_trace import traced
from tests.conftest import REPOSITORY

BORROWS = "description: A note\nfiles:\n  - {path: sync.timer, template: builtin/systemd/sync.timer.j2}\n"


def test_the_file_is_that_of_the_other_target(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": BORROWS})
    (bundle,) = compiled(tmp_path, using("note"))[0].bundles
    (other,) = compiled(REPOSITORY, using("systemd"))[0].bundles
    assert bundle.files["sync.timer"] == other.files["slmc-sync.timer"]
    line = traced(tmp_path, using("note"), "note", "sync.timer")[2]
    assert (line.text, line.template, line.template_line) == ("[Unit]", "builtin/systemd/sync.timer.j2", 3)


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what slmc brings, to be changed."""
    folder = tmp_path / "brought"
    shutil.copytree(REPOSITORY / "targets", folder / "targets")
    monkeypatch.setattr(targets, "shipped", lambda name: folder / name)
    return folder / "targets" / "systemd" / "sync.timer.j2"


def test_a_change_of_the_other_target_changes_this_one(brought: Path, tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": BORROWS})
    digests = []
    for text in ("one", "two", "one"):
        brought.write_text(text)
        digests.append(template_digest(check_targets(tmp_path, [using("note")])[0]["note"]))
    assert digests[0] == digests[2] != digests[1]


def test_a_mistake_has_its_place_there(brought: Path, tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": BORROWS})
    for text, code in (("{{ fleet.nam }}", "SLM701"), ("{{ fleets }}", "SLM701"), ("{{ 1 // 0 }}", "SLM702")):
        brought.write_text(f"# a line\n{text}\n")
        _, (found,) = compiled(tmp_path, using("note"))
        assert (found.code.id, str(found.span).rpartition(":")[0]) == (code, "builtin/targets/systemd/sync.timer.j2:2")
        assert diagnostic_text(found).splitlines()[1].strip() == text


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("builtin/systemd/sync.time.j2", "`builtin/systemd/sync.timer.j2` has a similar name."),
        ("builtin/something-else-entirely", "Those of slmc's targets are called `builtin/TARGET/FILE`."),
    ],
)
def test_one_that_is_not_there(name: str, help: str, tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": BORROWS.replace("builtin/systemd/sync.timer.j2", name)})
    _, (found,) = check_targets(tmp_path, [using("note")])
    assert (found.code.id, found.message, found.help) == ("SLM703", f"slmc brings no template `{name}`.", help)


def test_a_template_includes_none_that_the_target_does_not_name(tmp_path: Path) -> None:
    """What a bundle depends on stands in `target.yaml` and in the target's folder."""
    one = "description: A note\nfiles:\n  - {path: note.txt, template: note.j2}\n"
    write(tmp_path, "note", {"target.yaml": one, "note.j2": "{% include 'builtin/systemd/sync.timer.j2' %}"})
    _, (found,) = compiled(tmp_path, using("note", PLAIN))
    assert found.message == "The target's folder has no template `builtin/systemd/sync.timer.j2`."
