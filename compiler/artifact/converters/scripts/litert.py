"""LiteRT, the successor of TensorFlow Lite: PyTorch → .tflite by litert-torch, quantized by ai-edge-quantizer."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import encoder, verify
from .exchange import Tell


class _Named(torch.nn.Module):
    """The encoder with a dictionary as its result: outputs take their names from it, inputs from `forward`."""

    def __init__(self, inner: encoder.Encoder) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        return {"sentence_embedding": self.inner(input_ids, attention_mask)}


def convert(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the file `target` from the folder `model`, with int32 inputs of 1 × `length` tokens; gives a report."""
    import litert_torch

    folder, target = Path(request["model"]), Path(request["target"])
    length, precision = request["length"], request["precision"]
    original = encoder.load(folder)
    ids = list(encoder.tokens(folder, verify.TEXTS, length))
    expected = [original.expected(one) for one in ids]
    sample = {name: torch.from_numpy(value) for name, value in _fed(ids[0], length, encoder.pad_token(folder)).items()}
    tell(0.1)
    whole = target if precision == "fp32" else Path(request["scratch"]) / "float32.tflite"
    litert_torch.convert(_Named(original).eval(), sample_kwargs=sample).export(str(whole))
    tell(0.8)
    if precision != "fp32":
        _quantize(whole, target, precision)
    found = _run(target, ids, encoder.pad_token(folder))
    return verify.compare(expected, found, precision, f"LiteRT {version('ai-edge-litert')}")


def embed(request: dict[str, Any], tell: Tell) -> list[list[float]]:
    """The vectors that the file `artifact` gives for `ids`, the tokens of each text, cut to what its inputs hold.

    `plain`: by LiteRT's own kernels, not by those of XNNPACK.
    """
    found = _run(Path(request["artifact"]), request["ids"], request["pad"], plain=request["plain"])
    return [[float(value) for value in one] for one in found]


def _quantize(whole: Path, target: Path, precision: str) -> None:
    from ai_edge_quantizer import quantizer, recipe

    recipes = {"int8": recipe.dynamic_wi8_afp32, "int4": recipe.dynamic_wi4b32_afp32, "fp16": _half}
    quantizer.Quantizer(str(whole), recipes[precision]()).quantize().export_model(str(target))
    # A recipe that no operator supports is passed over in silence.
    verify.check_smaller(whole.stat().st_size, target.stat().st_size)


def _half() -> Any:
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager

    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    manager = recipe_manager.RecipeManager()
    manager.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT
        ),
        algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
    )
    return manager.get_quantization_recipe()


def _run(artifact: Path, ids: list[list[int]], pad: int, *, plain: bool = False) -> list[Any]:
    runner = _runner(artifact, plain)
    length = _length(runner)
    return [runner(**_fed(one, length, pad))["sentence_embedding"][0].copy() for one in ids]


def _runner(artifact: Path, plain: bool) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    made = Interpreter(model_path=str(artifact), num_threads=1, experimental_op_resolver_type=kinds)
    return made.get_signature_runner()


def _length(runner: Any) -> int:
    return int(runner.get_input_details()["input_ids"]["shape"][1])


def _fed(ids: list[int], length: int, pad: int) -> dict[str, Any]:
    return dict(zip(("input_ids", "attention_mask"), encoder.padded(ids, length, pad, np.int32), strict=True))
