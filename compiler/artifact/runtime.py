"""The only module that imports onnxruntime.

From 1.29 on its Linux wheels send telemetry unless `ORT_DISABLE_TELEMETRY=1` stands in the
environment before the library loads; the call that disables events does not stop it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

_LOG_FATAL = 4

onnxruntime.set_default_logger_severity(_LOG_FATAL)

OrtValue = onnxruntime.OrtValue

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def options(level: str, threads: int) -> Any:
    """Session options that are the same everywhere."""
    chosen = onnxruntime.SessionOptions()
    chosen.graph_optimization_level = LEVELS[level]
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.log_severity_level = _LOG_FATAL
    chosen.use_deterministic_compute = True
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


def open_session(model: Path, chosen: Any) -> Any:
    """A session on the CPU. Raises what onnxruntime raises for a model that it cannot run."""
    return onnxruntime.InferenceSession(str(model), chosen, providers=["CPUExecutionProvider"])


def open_graph(model: Any, folder: Path, chosen: Any) -> Any:
    """A session for a ModelProto whose external data lies in `folder`."""
    chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return onnxruntime.InferenceSession(model.SerializeToString(), chosen, providers=["CPUExecutionProvider"])


def quantize_blockwise(model: Any, **parameters: Any) -> Any:
    """The ModelProto that onnxruntime's MatMulNBitsQuantizer makes of `model`."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(model, **parameters)
    quantizer.process()
    return quantizer.model.model
