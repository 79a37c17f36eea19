"""OpenVINO: ONNX → its intermediate representation (.xml beside .bin), weights compressed by NNCF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from . import verify
from .exchange import Refused, Tell

_BLOCK = 32


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
    compiled = _compile(target)
    expected, found = [], []
    with np.load(request["expected"]) as cases:
        for number in range(sum(1 for name in cases.files if name.endswith("/out"))):
            start = f"{number}/in/"
            fed = {name.removeprefix(start): cases[name] for name in cases.files if name.startswith(start)}
            expected.append(cases[f"{number}/out"])
            found.append(compiled(fed)[0])
    return verify.compare(expected, found, precision, f"OpenVINO {openvino.__version__.partition('-')[0]}")


def run(request: dict[str, Any], tell: Tell) -> None:
    """Write to `outputs` (.npz, `NUMBER/out`) the first output of the file `artifact` for each of `inputs` (.npz)."""
    compiled = _compile(Path(request["artifact"]))
    found = {}
    with np.load(request["inputs"]) as cases:
        for number in sorted({int(name.partition("/")[0]) for name in cases.files}):
            start = f"{number}/in/"
            fed = {name.removeprefix(start): cases[name] for name in cases.files if name.startswith(start)}
            found[f"{number}/out"] = compiled(fed)[0]
    np.savez(request["outputs"], **found)


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


def _compile(path: Path) -> Any:
    """In float32: on processors with bfloat16 OpenVINO would compute in that."""
    return openvino.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
