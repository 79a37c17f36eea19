"""ExecuTorch, the successor of PyTorch Mobile: PyTorch → .pte for the XNNPACK delegate, quantized by torchao."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import encoder, verify
from .exchange import Tell

_BLOCK = 32


def convert(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the file `target` from the folder `model`, with int64 inputs of 1 × `length` tokens; gives a report."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    folder, target = Path(request["model"]), Path(request["target"])
    length, precision = request["length"], request["precision"]
    original = encoder.load(folder)
    ids = list(encoder.tokens(folder, verify.TEXTS, length))
    expected = [original.expected(one) for one in ids]
    before = sum(weight.numel() * weight.element_size() for weight in original.parameters())
    tell(0.1)
    kept = _quantize(original, precision) if precision != "fp32" else 0
    sample = tuple(
        torch.from_numpy(part) for part in encoder.padded(ids[0], length, encoder.pad_token(folder), np.int64)
    )
    exported = torch.export.export(original.eval(), sample, strict=False)
    tell(0.3)
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    target.write_bytes(program.buffer)
    tell(0.9)
    if precision != "fp32":
        verify.check_smaller(before - kept, target.stat().st_size - kept)
    found = _run(target, ids, encoder.pad_token(folder))
    report = verify.compare(expected, found, precision, f"ExecuTorch {version('executorch')} with XNNPACK")
    return report | {"embeddingBytes": kept}


def embed(request: dict[str, Any], tell: Tell) -> list[list[float]]:
    """The vectors that the file `artifact` gives for `ids`, the tokens of each text, cut to what its inputs hold."""
    return [[float(value) for value in one] for one in _run(Path(request["artifact"]), request["ids"], request["pad"])]


def _quantize(module: Any, precision: str) -> int:
    """Make the weights of linear layers integers in place; activations become 8 bits while it runs.

    Gives the bytes of the tables of embeddings, which stay float32: ExecuTorch's standard kernels have no lookup in
    quantized ones.
    """
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, quantize_

    kinds = {"int8": (torch.int8, PerAxis(0)), "int4": (torch.int4, PerGroup(_BLOCK))}
    kind, granularity = kinds[precision]
    quantize_(module, Int8DynamicActivationIntxWeightConfig(weight_dtype=kind, weight_granularity=granularity))
    tables = (inner.weight for inner in module.modules() if isinstance(inner, torch.nn.Embedding))
    return sum(table.numel() * table.element_size() for table in tables)


def _run(artifact: Path, ids: list[list[int]], pad: int) -> list[Any]:
    method, length = _method(artifact)
    found = []
    for one in ids:
        fed = [torch.from_numpy(part) for part in encoder.padded(one, length, pad, np.int64)]
        found.append(method.execute(fed)[0][0].numpy().copy())
    return found


def _method(artifact: Path) -> tuple[Any, int]:
    """What runs the program, and the tokens that its inputs have."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(str(artifact)).load_method("forward")
    return method, int(method.metadata.input_tensor_meta(0).sizes()[1])
