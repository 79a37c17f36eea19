"""What a step refuses is underlined where its parameter stands, down to the one value that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.cli.main import run

CALIBRATED = "{kind: quantize, scheme: int8-static, calibrate: {data: data/empty.jsonl}}"

LEAVING = CALIBRATED.replace("empty", "heldout").replace("}}", "}, leave: [lm_head.*, nothing.*]}")


@pytest.mark.parametrize(
    ("step", "code", "underlined"),
    [
        ("{kind: fix-shapes, dimensions: {batch: 1}}", "SLM510", "dimensions"),
        ("{kind: fix-shapes, dimensions: {batch_size: 1, sequence_length: 16}}", "SLM510", "16"),
        ("{kind: extract, inputs: [input_ids, mask], outputs: [logits]}", "SLM510", "mask"),
        ("{kind: extract, inputs: [input_ids], outputs: [logit]}", "SLM510", "logit"),
        (CALIBRATED, "SLM513", "data/empty.jsonl"),
        (LEAVING, "SLM510", "nothing.*"),
        ("{kind: convert-opset, opset: 30}", "SLM510", "30"),
        ("{kind: prune, method: heads, share: 1%}", None, ""),
    ],
)
def test_the_value_that_is_wrong(
    hello: Path, step: str, code: str | None, underlined: str, capsys: pytest.CaptureFixture[str]
) -> None:
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("{kind: optimize}", step, 1))
    (hello / "data" / "empty.jsonl").write_text('{"text": "one"}\n')
    run(["build", str(hello), "--format=json"])
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    lines = blueprint.read_text().splitlines()
    errors = [
        (one["code"], lines[at["line"] - 1][at["column"] - 1 :][: at["length"]])
        for one in found
        if one["severity"] == "error" and (at := one["place"])
    ]
    assert errors == ([(code, underlined)] if code else [])
