"""The example whose model comes from a package: weights, a graph, eight or four bits, and how near the vectors stay."""

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
    [original] = said["originals"]
    artifacts = {artifact["recipe"]: artifact for artifact in said["artifacts"]}
    assert said["diagnostics"] == []
    shares = {recipe: artifact["size"] / original["size"] for recipe, artifact in artifacts.items()}
    assert shares == {"int8-fast": pytest.approx(0.27, abs=0.01), "int4-small": pytest.approx(0.17, abs=0.01)}
    for artifact in artifacts.values():
        assert {file["name"] for file in artifact["files"]} - {"model.onnx.data"} == {  # large weights lie there
            "config.json",
            "model.onnx",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        }
    [decision] = said["choices"]
    assert decision["recipe"] == "int8-fast"
    assert run(["compile", "--check", str(search)]) == 0
    [export] = (Path(os.environ["SLMC_STORE"]) / "exports").iterdir()
    shutil.rmtree(export)
    assert run(["compile", "--check", str(search)]) == 0
