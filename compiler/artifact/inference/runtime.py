"""The only module that imports onnxruntime.

From 1.29 on its Linux wheels send telemetry unless `ORT_DISABLE_TELEMETRY=1` stands in the
environment before the library loads; the call that disables events does not stop it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

_LOG_FATAL = 4

onnxruntime.set_default_logger_severity(_LOG_FATAL)

OrtValue = onnxruntime.OrtValue
VERSION = onnxruntime.__version__

LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
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


def open_session(model: Path | bytes, chosen: Any, without: Collection[str] = ()) -> Any:
    """A session on the CPU, of a file or of a serialized graph. Raises what onnxruntime raises for a model that it
    cannot run. `without` names optimizers of onnxruntime that stay idle.
    """
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(
        source, chosen, providers=["CPUExecutionProvider"], disabled_optimizers=sorted(without)
    )


def open_graph(model: Any, folder: Path, chosen: Any) -> Any:
    """A session for a ModelProto whose external data lies in `folder`."""
    chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return onnxruntime.InferenceSession(model.SerializeToString(), chosen, providers=["CPUExecutionProvider"])


def save_optimized(source: Path, saved: Path, level: str, *, without: Collection[str] = (), ort: bool = False) -> None:
    """Optimize the graph in `source` and write it to `saved`: as ONNX, weights of a KiB or more in `<saved>.data`
    beside it, or in onnxruntime's own format. Nothing in it depends on the processor of this machine.

    Raises what onnxruntime raises for a model that it cannot run.
    """
    chosen = options(level, threads=1)
    chosen.optimized_model_filepath = str(saved)
    # The default differs between Arm and x86.
    chosen.add_session_config_entry("session.qdqisint8allowed", "0")
    # Weights laid out for the kernels would be a second copy of the model, which nobody runs.
    chosen.add_session_config_entry("session.disable_prepacking", "1")
    if ort:
        chosen.add_session_config_entry("session.save_model_format", "ORT")
    else:
        chosen.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{saved.name}.data")
    open_session(source, chosen, without)


def fuse_transformer(model: Any, kind: str, heads: int, hidden: int) -> Any:
    """What onnxruntime's fusions for a transformer of this kind make of `model`, which they change.

    `heads` and `hidden`, the sizes of attention, are 0 when they are not known. Weights stay apart: attention keeps
    a MatMul for each of query, key and value, and the token embeddings keep their Gather, because quantizers look for
    those. Masks stay as they come: made into lengths, as the library does by default, they would allow for padding
    at the right alone.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_by_fusion

    chosen = FusionOptions(kind)
    chosen.use_multi_head_attention = True
    chosen.enable_embed_layer_norm = False
    chosen.use_raw_attention_mask(True)
    return optimize_by_fusion(model, kind, heads, hidden, chosen).model


def operators() -> frozenset[tuple[str, str]]:
    """Domain and name of every operator that onnxruntime has, of whatever version. ONNX's own domain is ""."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    return frozenset((schema.domain, schema.name) for schema in onnxruntime_pybind11_state.get_all_operator_schema())


def output_types(graph: bytes) -> dict[str, tuple[str, list[int | str | None]]]:
    """Type (`tensor(float)`) and shape of every output of a serialized graph, as onnxruntime infers them.

    Raises what onnxruntime raises for a model that it cannot run.
    """
    session = open_session(graph, options("none", threads=1))
    return {value.name: (value.type, list(value.shape)) for value in session.get_outputs()}


def runs_opset(opset: int) -> bool:
    """Whether this onnxruntime loads graphs with that version of ONNX's own operators."""
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "opset", value[:1], value[1:])
    # The oldest form of the file that there is for graphs without initializers among the inputs.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    try:
        open_session(model.SerializeToString(), options("none", threads=1))
    except Exception:
        return False
    return True


def ort_schema() -> Any:
    """The FlatBuffers classes of onnxruntime's own format."""
    importlib.import_module("onnxruntime.tools.ort_format_model")  # It puts the next one on the path.
    return importlib.import_module("ort_flatbuffers_py.fbs")
