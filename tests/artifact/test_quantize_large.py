"""Steps that go through a model tensor by tensor take memory for pieces, whatever its size."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler.artifact.graph.weights import Target
from tests.artifact.products import node


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["int4", "int8", "fp16"])
def test_memory_does_not_grow_with_the_model(tmp_path: Path, repository: Path, scheme: str) -> None:
    """Of a model with six times the weights, and tensors twice as large, the process takes hardly more."""
    peaks = []
    for number, (layers, width) in enumerate([(4, 1024), (6, 2048)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        _write_large(folder / "model.onnx", layers, width)
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(folder / "model.onnx"), str(folder), scheme],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
        shutil.rmtree(folder)
    assert peaks[1] - peaks[0] < 20_000
    assert peaks[1] < 120_000


def _write_large(path: Path, layers: int, width: int) -> None:
    target = Target(path)
    weights = [target.reserve(f"w{n}", TensorProto.FLOAT, [width, 2 * width]) for n in range(layers)]
    for tensor in weights:
        target.write(tensor, np.random.default_rng(1).standard_normal((width, 2 * width), np.float32))
    nodes = [node("MatMul", [f"x{n}", f"w{n}"], f"y{n}") for n in range(layers)]
    inputs = [helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, [1, width]) for n in range(layers)]
    outputs = [helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, None) for n in range(layers)]
    graph = helper.make_graph(nodes, "large", inputs, outputs, weights)
    target.finish(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


_PEAK = """
import sys
from pathlib import Path
from compiler.artifact.steps.apply import apply_step
model, folder, scheme = sys.argv[1:]
for name in ("target", "scratch"):
    Path(folder, name).mkdir()
bench = {"model": folder, "scratch": folder + "/scratch", "threads": 2, "files": {}}
made = apply_step("quantize/" + scheme, {"scheme": scheme}, model, folder + "/target", bench, lambda share: None)
assert "graph" in made, made
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
