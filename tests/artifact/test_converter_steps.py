"""What steps that need a converter say before they call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.converters import environment
from compiler.artifact.steps.apply import apply_step
from compiler.artifact.steps.table import STEPS
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.fleet.graph import Recipe, Step
from tests.artifact import checkpoints
from tests.artifact.building import built, codes, write_workspace
from tests.values import PLACE


def test_a_compile_without_the_environment_names_the_command(tmp_path: Path) -> None:
    recipe = Recipe("other", (Step("convert", {"format": "openvino", "precision": "fp32"}, PLACE),), (), PLACE)
    _, diagnostics, _ = built(write_workspace(tmp_path / "w"), Store(tmp_path / "store"), recipe)
    assert codes(diagnostics) == [Code.CONVERTER_MISSING]
    assert diagnostics[0].message.endswith("the environment of converter `openvino` is not installed.")
    assert diagnostics[0].help is not None
    assert diagnostics[0].help.startswith("`slmc converters install openvino` ")


@pytest.mark.parametrize(
    ("name", "parameters", "before", "why"),
    [
        ("convert/litert", {}, 1, "it has to be the first step"),
        ("package/genai", {}, 2, "it has to be the first step"),
        ("quantize/int8", {"scheme": "int8"}, 1, "`model.gguf` is the format of a runtime"),
        ("convert/litert", {"sequenceLength": 65}, 0, "more than the 64 tokens"),
        ("convert/executorch", {"precision": "fp16", "sequenceLength": 8}, 0, "`fp32`, `int8` and `int4` are"),
        ("convert/gguf", {}, 0, "the architecture `BertModel`"),
        ("package/genai", {}, 0, "the architecture `BertModel`"),
    ],
)
def test_what_does_not_suit_a_conversion_is_refused(
    tmp_path: Path, name: str, parameters: dict[str, Any], before: int, why: str
) -> None:
    folder = checkpoints.bert(tmp_path / "m")
    given = parameters if "scheme" in parameters else {"format": name.partition("/")[2], **parameters}
    source = "model.gguf" if "scheme" in parameters else "model.onnx"
    code, said = _refusal(name, given, folder, tmp_path, before=before, source=source)
    assert code == "STEP_INAPPLICABLE"
    assert why in said


@pytest.mark.parametrize("name", ["convert/litert", "convert/executorch", "convert/gguf", "package/genai"])
@pytest.mark.parametrize("gone", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_source_of_another_kind_is_refused(tmp_path: Path, name: str, gone: str) -> None:
    folder = checkpoints.bert(tmp_path / "m")
    (folder / gone).unlink()
    code, why = _refusal(name, {"format": name.partition("/")[2]}, folder, tmp_path)
    assert code == "STEP_INAPPLICABLE"
    assert "starts from PyTorch weights: `source` has to be a folder with `config.json`" in why


def _refusal(
    name: str, parameters: dict[str, Any], folder: Path, work: Path, *, before: int = 0, source: str = "model.onnx"
) -> tuple[str, str]:
    bench = {"model": str(folder), "scratch": str(work), "threads": 1, "files": {}, "before": before}
    bench["converters"] = str(work / "none")
    made = apply_step(name, parameters, str(folder / source), str(work), bench, lambda share: None)
    return made["refused"], made["reason"]


def test_the_packages_are_part_of_a_step_s_version() -> None:
    for name, converter in {f"convert/{name}": name for name in ("executorch", "gguf", "litert", "openvino")}.items():
        assert str(STEPS[name].VERSION).endswith(f"+{environment.digest(converter)}")
    assert str(STEPS["package/genai"].VERSION).endswith(f"+{environment.digest('genai')}")
    assert environment.names() == ["executorch", "genai", "gguf", "litert", "openvino"]


@pytest.mark.parametrize("path", sorted(environment.requirements().glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_is_pinned_by_hash(path: Path) -> None:
    """pip refuses a file with one that is not; no line says where packages come from."""
    blocks = path.read_text().replace("\\\n", " ").splitlines()
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    assert not any("://" in block or block.startswith("-") for block in blocks)
