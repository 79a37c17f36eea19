"""The example whose model comes from a package: weights, a graph, eight bits, and how near the vectors stay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from compiler.cli.main import run
from tests.conftest import REPOSITORY
from tests.minilm import fetched


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace, and a store with nothing but the package."""
    package = fetched()
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    packages = tmp_path / "store" / "sources" / "pypi"
    packages.mkdir(parents=True)
    (packages / package.name).symlink_to(package)
    generated = shutil.ignore_patterns("deploy", "slmc.lock")
    return Path(shutil.copytree(REPOSITORY / "blueprints" / "search", tmp_path / "search", ignore=generated))


@pytest.mark.slow
def test_the_example_keeps_its_gates(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(search), "--format=json"]) == 0
    said = json.loads(capsys.readouterr().out)
    [original], [artifact] = said["originals"], said["artifacts"]
    assert said["diagnostics"] == []
    assert artifact["size"] < 0.28 * original["size"]
    assert {file["name"] for file in artifact["files"]} == {
        "config.json",
        "model.onnx",
        "model.onnx.data",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert run(["compile", "--check", str(search)]) == 0
    [export] = (Path(os.environ["SLMC_STORE"]) / "exports").iterdir()
    shutil.rmtree(export)
    assert run(["compile", "--check", str(search)]) == 0
