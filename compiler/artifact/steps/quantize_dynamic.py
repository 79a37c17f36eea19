"""`quantize` with scheme `int8-dynamic`: 8-bit weights, activations scaled at run time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 2

_FLOAT = 1
"""onnx.TensorProto.FLOAT: the type of tensors that shape inference knows nothing about, as in
graphs whose nodes onnxruntime has fused."""

_EMBEDDING_BLOCK = 128


def apply(source: Path, target: Path, parameters: Mapping[str, Any]) -> bool:
    """Quantize every MatMul with constant weights, and the embeddings in blocks.

    QInt8 weights: QUInt8 measured 1.8 times slower. Per channel is the default, because per
    tensor loses far more quality at the same size. MatMul alone: the quantizer would also take each
    Gather, which wrecks tables of rotary positions.
    """
    from compiler.artifact import graphs, runtime
    from compiler.artifact.steps.embedding import quantize_embeddings

    model = graphs.load(source)
    before = graphs.operators(model)
    saved = target.with_name("quantized.onnx")
    runtime.quantize_dynamic(
        model,
        saved,
        op_types_to_quantize=["MatMul"],
        per_channel=parameters["perChannel"],
        use_external_data_format=graphs.is_large(source),
        extra_options={"DefaultTensorType": _FLOAT},
    )
    quantized = graphs.load(saved)
    quantize_embeddings(quantized, _EMBEDDING_BLOCK)
    graphs.drop_unused(quantized)
    graphs.save(quantized, target)
    return graphs.operators(quantized) != before
