"""A model that generates nothing, which needs onnxruntime alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.cli.main import run
from compiler.testing.machine import native
from tests.artifact import tiny_bert
from tests.device_test.asked import ask
from tests.runtime.encoders import TEXTS

BLUEPRINT = f"""\
apiVersion: slmc.dev/v1alpha1
kind: Blueprint
models:
  tiny:
    task: embeddings
    license: MIT
    evaluate: {{data: texts.jsonl}}
    versions: {{2.0.0: {{source: model}}}}
recipes:
  plain: {{steps: [{{kind: optimize}}]}}
deviceClasses:
  box: {{arch: {native()}, memory: 1GiB, storage: 4GB, cores: 1}}
fleets:
  boxes:
    inventory: boxes.csv
    runs:
      search: {{model: tiny@2.0.0, recipe: plain, threads: 2, serve: {{runtime: builtin/onnxruntime}}}}
    targets: [systemd]
    privacy: {{dataClass: internal, egress: deny}}
"""


def test_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("compiler.testing.machine.find_spec", lambda name: None if "genai" in name else object())
    tiny_bert.write(tmp_path / "model", tiny_bert.weights())
    (tmp_path / "texts.jsonl").write_text("".join(f"{json.dumps({'text': text})}\n" for text in TEXTS))
    (tmp_path / "boxes.csv").write_text("id,class\nbox-1,box\n")
    (tmp_path / "boxes.slmc.yaml").write_text(BLUEPRINT)
    assert run(["compile", str(tmp_path)]) == 0
    capsys.readouterr()
    code, answer = ask(capsys, tmp_path)
    (result,) = answer["results"]
    assert (code, result["status"], result["artifact"], result["cpus"]) == (0, "passed", "tiny-2.0.0-plain", 1)
    assert result["answers"]["passed"] > 0
