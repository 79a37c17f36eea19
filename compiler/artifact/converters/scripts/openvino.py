"""OpenVINO: ONNX → its intermediate representation (.xml beside .bin), weights compressed by NNCF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from . import verify
from .exchange import Refused, Tell

_BLOCK = 32
_POOLED = ("sentence_embedding", "text_embeds")
"""Outputs that are one vector for each text, as `compiler.artifact.inference.encoder` knows them."""


def convert(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the file `target`, and its weights beside it, from the ONNX file `source`; gives a report.

    `expected` is an .npz file with the inputs `NUMBER/in/NAME` and the first output `NUMBER/out` of each text, as
    onnxruntime gives it.
    """
    target, precision = Path(request["target"]), request["precision"]
    model = openvino.convert_model(request["source"])
    _check_operators(model)
    tell(0.3)
    openvino.save_model(_compressed(model, precision), target, compress_to_fp16=precision == "fp16")
    tell(0.7)
    if precision != "fp32":
        verify.check_smaller(request["weight_bytes"], target.with_suffix(".bin").stat().st_size)
    compiled = _compile(target, {})
    expected, found = [], []
    with np.load(request["expected"]) as cases:
        for number in _numbers(cases):
            expected.append(cases[f"{number}/out"])
            found.append(compiled(_fed(cases, number))[0])
    return verify.compare(expected, found, precision, f"OpenVINO {openvino.__version__.partition('-')[0]}")


def embed(request: dict[str, Any], tell: Tell) -> list[list[float]]:
    """The vectors that the file `artifact` gives for `ids`, the tokens of each text; of token vectors, the mean.

    `plain`: as processors without 8-bit products do it. On others OpenVINO rounds what compressed weights multiply.
    """
    compiled = _compile(Path(request["artifact"]), {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0} if request["plain"] else {})
    names = [name for output in compiled.outputs for name in output.names if name in _POOLED]
    chosen = compiled.output(names[0]) if names else compiled.output(0)
    found = []
    for ids in request["ids"]:
        tokens = np.array([ids], np.int64)
        fed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
            "position_ids": np.arange(len(ids), dtype=np.int64)[None],
        }
        vector = compiled({input.any_name: fed[input.any_name] for input in compiled.inputs})[chosen][0]
        found.append([float(value) for value in (vector.mean(axis=0) if vector.ndim == 2 else vector)])
    return found


def _numbers(cases: Any) -> list[int]:
    return sorted({int(name.partition("/")[0]) for name in cases.files})


def _fed(cases: Any, number: int) -> dict[str, Any]:
    start = f"{number}/in/"
    return {name.removeprefix(start): cases[name] for name in cases.files if name.startswith(start)}


def _compressed(model: Any, precision: str) -> Any:
    import nncf

    if precision == "int8":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    if precision == "int4":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT4_ASYM, group_size=_BLOCK, ratio=1.0)
    return model


def _check_operators(model: Any) -> None:
    """Some operators of onnxruntime are translated for running at once, but cannot be read back from a file."""
    for node in model.get_ops():
        if node.get_type_info().version_id == "extension":
            raise Refused(
                f"node `{node.friendly_name}` is a `{node.get_type_name()}`, which OpenVINO runs and writes but does "
                "not read back."
            )


def _compile(path: Path, settings: dict[str, Any]) -> Any:
    """In float32: on processors with bfloat16 OpenVINO would compute in that."""
    return openvino.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, **settings}
    )
