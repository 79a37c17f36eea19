"""Block-wise quantization beside onnxruntime's own quantizer: the same bits, of whole models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import KQuantWeightOnlyQuantConfig, MatMulNBitsQuantizer

from tests.artifact.products import applied, chain, tensors


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """onnxruntime's quantizer has a line for every node."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def onnxruntimes(made: Any, **parameters: Any) -> dict[str, Any]:
    """The tensors of onnxruntime's own quantizer, by name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    quantizer = MatMulNBitsQuantizer(copy, **parameters)
    quantizer.process()
    return tensors(quantizer.model.model)


def awkward(kind: Any = np.float32) -> Any:
    """Last blocks that are not full, an odd number of blocks, blocks that are 0, flat, tiny, and of one sign."""
    made = chain(96, 38, 100, 18, 64, kind=kind)
    weights = tensors(made)
    weights["W1"] = weights["W1"].copy()
    weights["W1"][:, 0], weights["W1"][:, 1], weights["W1"][:, 2] = 0, 0.5, -0.25
    weights["W1"][:, 3] = np.abs(weights["W1"][:, 3])
    weights["W1"][:, 4] *= np.array(1e-4, kind)
    weights["W1"][:, 5] = np.arange(-48, 48) / np.array(32, kind)
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return made


@pytest.mark.parametrize("symmetric", [False, True], ids=["asymmetric", "symmetric"])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("size", "kind"), [(16, np.float32), (32, np.float32), (64, np.float16), (256, np.float32)])
def test_the_bits_of_onnxruntimes_kernel(tmp_path: Path, bits: int, symmetric: bool, size: int, kind: Any) -> None:
    made = awkward(kind)
    _, quantized = applied(
        made,
        tmp_path / "a",
        f"quantize/int{bits}",
        scheme=f"int{bits}",
        blockSize=size,
        symmetric=symmetric,
        embeddings="keep",
    )
    assert quantized is not None
    expected = onnxruntimes(made, bits=bits, block_size=size, is_symmetric=symmetric)
    found = tensors(quantized)
    assert set(found) == set(expected)
    differing = [
        name
        for name, array in expected.items()
        if (array.shape, array.dtype, array.tobytes()) != (found[name].shape, found[name].dtype, found[name].tobytes())
    ]
    assert differing == []
    assert {node.op_type for node in quantized.graph.node} == {"Gather", "MatMulNBits"}


@pytest.mark.parametrize("symmetric", [False, True], ids=["asymmetric", "symmetric"])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_bits_of_onnxruntimes_kernel_on_a_real_model(
    tmp_path: Path, repository: Path, bits: int, symmetric: bool
) -> None:
    made = onnx.load(repository / "blueprints" / "hello" / "models" / "pydoc-1.0" / "model.onnx")
    _, quantized = applied(
        made, tmp_path / "a", f"quantize/int{bits}", scheme=f"int{bits}", symmetric=symmetric, embeddings="keep"
    )
    expected = onnxruntimes(made, bits=bits, block_size=32, is_symmetric=symmetric)
    found = tensors(quantized)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_the_bits_of_onnxruntimes_k_quant(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whose names are others, and which only takes an even number of blocks."""
    made = chain(128, 64, 192)
    _, quantized = applied(
        made, tmp_path / "a", "quantize/int4", scheme="int4", method="k-quant", embeddings="keep", blockSize=32
    )
    expected = onnxruntimes(made, block_size=32, algo_config=KQuantWeightOnlyQuantConfig())
    capfd.readouterr()
    names = {"_Q4": "_Q4G32", "_scales": "_scale", "_zero_points": "_zp"}
    found = {name: array for name, array in tensors(quantized).items() if name != "E"}
    assert len(found) == 6
    for name, array in found.items():
        ending = next(ending for ending in names if name.endswith(ending))
        assert array.tobytes() == expected[name.removesuffix(ending) + names[ending]].tobytes(), name
