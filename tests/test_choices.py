"""Choices of recipes in the real example: candidates that cannot be built, and what is asked before one is decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compiler.cli.main import run
from compiler.lock.text import read
from tests.tree import generated


def choose(hello: Path, *names: str) -> None:
    """Leave the counter's recipe to slmc; `fixed` and `cut` do not apply to the model."""
    blueprint = hello / "hello.slmc.yaml"
    text = blueprint.read_text()
    text = text.replace("recipe: int4-small", f"recipe: {{choose: [{', '.join(names)}], minimize: size}}")
    recipes = "".join(
        f"  {name}:\n    steps: [{{kind: fix-shapes, dimensions: {{{name}: 1}}}}]\n" for name in ("fixed", "cut")
    )
    blueprint.write_text(text.replace("recipes:\n", f"recipes:\n{recipes}", 1))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, exit: int = 0) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--format=json"]) == exit
    return json.loads(capsys.readouterr().out)


def findings(answer: Any) -> list[tuple[str, int, int]]:
    return [(d["code"], d["place"]["line"], d["place"]["column"]) for d in answer["diagnostics"]]


def place(hello: Path, line: str, word: str) -> tuple[int, int]:
    for number, text in enumerate((hello / "hello.slmc.yaml").read_text().splitlines(), 1):
        if line in text:
            return number, text.index(word) + 1
    raise AssertionError(line)


def test_a_candidate_that_does_not_apply_is_dropped(
    hello: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(hello, "fixed", "int4-small")
    warning = [("SLM405", *place(hello, "choose:", "fixed"))]
    first = said(capsys, "compile", str(hello))
    assert findings(first) == warning
    [message] = [d["message"] for d in first["diagnostics"]]
    [decision] = first["choices"]
    fixed, small = decision["candidates"]
    assert (decision["recipe"], fixed["digest"], small["dropped"]) == ("int4-small", None, None)
    assert fixed["dropped"].startswith("step 1 (`fix-shapes`) does not apply: ")
    assert "`fixed`" in message and "`batch_size`" in message and "`batch_size`" in fixed["dropped"]
    lock, _ = read(hello / "slmc.lock")
    assert set(lock.refused) == {"pydoc-1.0.0-fixed"} and "pydoc-1.0.0-fixed" not in lock.artifacts
    before = generated(hello)

    assert run(["compile", str(hello)]) == 0  # what was refused once is not tried again
    output = capsys.readouterr()
    assert "Nothing to write" in output.out and "(1/1)" not in output.err and "SLM405" in output.err
    assert said(capsys, "build", str(hello))["exitCode"] == 0
    assert [v["artifact"] for v in said(capsys, "build", "--verify", str(hello))["verdicts"]] == [
        "pydoc-1.0.0-int4-small", "pydoc-1.0.0-int8-fast",
    ]  # fmt: skip
    assert said(capsys, "plan", str(hello))["pending"] is False
    monkeypatch.setenv("SLMC_STORE", str(hello.parent / "empty"))
    for mode in ("--check", "--locked"):
        again = said(capsys, "compile", mode, str(hello))
        assert again["diagnostics"] == first["diagnostics"]
        assert again["choices"][0]["candidates"][0] == fixed
    assert generated(hello) == before


def test_nothing_is_left_when_no_candidate_applies(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choose(hello, "fixed", "cut")
    answer = said(capsys, "compile", str(hello), exit=5)
    assert findings(answer) == [
        ("SLM510", *place(hello, "dimensions: {fixed", "dimensions")),
        ("SLM510", *place(hello, "dimensions: {cut", "dimensions")),
    ]
    assert generated(hello) == {}


def test_a_recipe_that_a_run_has_by_itself_is_no_candidate(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choose(hello, "fixed", "int4-small")
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("        recipe: int8-fast\n", "        recipe: fixed\n"))
    answer = said(capsys, "compile", str(hello), exit=5)
    assert findings(answer) == [("SLM510", *place(hello, "dimensions: {fixed", "dimensions"))]


def test_what_applies_after_a_change_is_a_candidate_again(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choose(hello, "fixed", "int4-small")
    assert said(capsys, "compile", str(hello))["exitCode"] == 0
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(
        blueprint.read_text().replace("{kind: fix-shapes, dimensions: {fixed: 1}}", "{kind: optimize}")
    )
    [change] = said(capsys, "plan", str(hello), "--fleet", "shops")["artifacts"]
    assert (change["artifact"], change["reason"], change["devices"]) == (
        "pydoc-1.0.0-fixed", "the recipe's steps changed", 0,
    )  # fmt: skip
    assert said(capsys, "compile", "--locked", str(hello), exit=1)["diagnostics"][0]["code"] == "SLM801"
    answer = said(capsys, "compile", str(hello))
    assert answer["diagnostics"] == []
    lock, _ = read(hello / "slmc.lock")
    assert lock.refused == {} and "pydoc-1.0.0-fixed" in lock.artifacts


def test_a_generated_file_is_not_explained_before_its_recipe_is_decided(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", str(hello)]) == 0
    choose(hello, "int4-small", "int8-fast")
    file = next(hello.glob("deploy/shops/counter-pi/systemd/*.service"))
    [finding] = said(capsys, "where", str(file), exit=1)["diagnostics"]
    assert (finding["code"], finding["message"]) == (
        "SLM801",
        "Which recipe `counter` gets on `counter-pi` is not decided: chosen among `int4-small`, `int8-fast`.",
    )
