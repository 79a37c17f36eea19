"""Every line of every file that the example has committed is explained: its values, or where its text stands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compiler import pipeline, questions
from compiler.base.diagnostics import Stop
from compiler.base.shipped import shipped
from compiler.cli.asked import AskedFile, asked_file
from compiler.cli.main import run
from compiler.lock.text import NAME, read
from compiler.report.generated import explain, locate, scene_of
from compiler.report.grounds import lock_text
from compiler.report.outcome import Outcome
from tests.conftest import REPOSITORY

HELLO = REPOSITORY / "blueprints" / "hello"
FILES = sorted(path.relative_to(HELLO).as_posix() for path in (HELLO / "deploy").rglob("*") if path.is_file())
assert FILES


def _asked(question: str, capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    assert run(["where", question, "-C", str(HELLO), "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["diagnostics"] == []
    assert "remark" not in answer, "the committed file is what the blueprint gives"
    return dict(answer)


@pytest.fixture(scope="module")
def workspace() -> Outcome:
    outcome = pipeline.validate(HELLO, None)
    assert outcome.diagnostics == []
    return outcome


def _template_line(place: str) -> str:
    name, _, number = place.rpartition(":")
    path = shipped("targets") / name.removeprefix("builtin/targets/")
    return path.read_text(encoding="utf-8").split("\n")[int(number) - 1]


@pytest.mark.parametrize("file", FILES)
def test_no_line_is_without_an_answer(file: str, workspace: Outcome) -> None:
    located, diagnostics = locate(workspace.fleets, file.removeprefix("deploy/"))
    assert located is not None
    lock, _ = read(HELLO / NAME)
    outcome = replace(workspace, diagnostics=[])
    if located.cohort:
        questions.recall(outcome, HELLO, Path("no-store"), lock, (located.alone,))
    (lines, data), found = explain(outcome, located, lock_text(HELLO / NAME, lock), None)
    assert diagnostics + found + outcome.diagnostics == []
    assert data == (HELLO / file).read_bytes()
    assert [line.text for line in lines] == data.decode().removesuffix("\n").split("\n")
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    for line in lines:
        for origin in (*line.origins, *line.conditions):
            assert origin.setting.place or origin.grounds or origin.path, "a line, or what it was computed from"
        if line.template is None:
            assert line.note
        elif not line.origins:
            assert line.template_text == _template_line(line.template)
            assert line.text == line.template_text, "text of the template, as it stands there"
        else:
            assert "{{" in line.template_text


def test_facts_that_no_line_of_the_example_shows(workspace: Outcome) -> None:
    located, _ = locate(workspace.fleets, "shops/counter-pi/kubernetes/namespace.yaml")
    assert located is not None and located.cohort is not None
    lock, _ = read(HELLO / NAME)
    scene = scene_of(workspace, located.fleet, located.cohort, lock_text(HELLO / NAME, lock), "kubernetes", None)
    (name,), (folder,) = scene.of(("cohort", "name")), scene.of(("cohort", "folder"))
    assert (folder.fact, folder.setting.value, folder.grounds) == ("cohort.folder", "shops/counter-pi", name.grounds)
    (golden,) = scene.of(("runs", "counter", "artifact", "golden"))
    assert (golden.fact, golden.setting.value) == ("run.artifact.golden", True)


def test_computed_memory_limit_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    file = "deploy/shops/counter-pi/systemd/slmc-counter.service"
    line = next(line for line in _asked(file, capsys)["lines"] if line["text"].startswith("MemoryMax="))
    limit = next(value for value in line["values"] if value["fact"] == "run.memory_limit")
    assert line["text"] == f"MemoryMax={limit['value']}"
    lock = (HELLO / "slmc.lock").read_text(encoding="utf-8").split("\n")
    named = [ground for ground in limit["computedFrom"] if ground.get("place")]
    shown = [lock[int(ground["place"].removeprefix("slmc.lock:")) - 1].strip() for ground in named]
    shape = json.loads("\n".join(lock))["artifacts"]["pydoc-1.0.0-int4-small"]["shape"]
    assert shown == [f'"weightBytes": {shape["weightBytes"]}', f'"kvBytesPerToken": {shape["kvBytesPerToken"]},']
    parts = shape["weightBytes"], shape["contextLength"] * shape["kvBytesPerToken"], 96 * 2**20
    assert limit["value"] == 2 * sum(parts)


def test_golden_answers_say_whose_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    file = "deploy/shops/office-n100/container/golden.json"
    lock = json.loads((HELLO / "slmc.lock").read_text(encoding="utf-8"))["artifacts"]["pydoc-1.0.0-int8-fast"]
    found = {
        value["fact"]: value["value"] for line in _asked(file, capsys)["lines"] for value in line.get("values", [])
    }
    assert found == {
        "run.artifact.name": "pydoc-1.0.0-int8-fast",
        "run.artifact.digest": lock["digest"],
        "run.name": "office",
    }


def test_a_file_is_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "shop" / "deploy" / "shops" / "pi"
    inside.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    wanted = AskedFile(Path("shop"), "shops/pi/a.txt", 7)
    assert asked_file("shop/deploy/shops/pi/a.txt:7", "shop") == wanted
    assert asked_file("deploy/shops/pi/a.txt:7", "shop") == wanted
    assert asked_file("deploy/shops/pi/a.txt:7:3", "shop") == wanted
    assert asked_file(f"{inside}/a.txt:7", "shop") == wanted
    assert asked_file("shop/deploy/shops/pi/../pi/a.txt:7", None) == wanted
    assert asked_file("shop/deploy/shops/pi/a.txt", None) == AskedFile(Path("shop"), "shops/pi/a.txt", None)
    monkeypatch.chdir(inside)
    assert asked_file("a.txt:7", None) == AskedFile(Path("../../.."), "shops/pi/a.txt", 7)
    assert asked_file("fleets.shops.runs.a.environment.B", None) is None
    assert asked_file("models.chat", None) is None
    with pytest.raises(Stop):
        asked_file("../../../x.yaml:3", "../../..")
