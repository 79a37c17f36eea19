"""`peer.py TOOL BITS MODEL RESULT`: quantize with another tool, as its documentation says. Run by its own Python."""

import logging
import sys


def nbits(bits: int, model: str, result: str) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.disable(logging.CRITICAL)
    quantizer = MatMulNBitsQuantizer(onnx.load(model), bits=bits, block_size=32, is_symmetric=False, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(result, use_external_data_format=True)


def lookups(bits: int, model: str, result: str) -> None:
    """With the table of embeddings, which takes 4 bits. It calls the graph opset 21, so it has to be that before."""
    import onnx
    import onnx.version_converter
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    logging.disable(logging.CRITICAL)
    asked = DefaultWeightOnlyQuantConfig(
        block_size=32, is_symmetric=True, accuracy_level=4, op_types_to_quantize=("MatMul", "Gather"), bits=bits
    )
    quantizer = MatMulNBitsQuantizer(onnx.version_converter.convert_version(onnx.load(model), 21), algo_config=asked)
    quantizer.process()
    quantizer.model.save_model_to_file(result, use_external_data_format=True)


def defaults(bits: int, model: str, result: str) -> None:
    from onnxruntime.quantization import quantize_dynamic

    assert bits == 8
    logging.disable(logging.CRITICAL)
    quantize_dynamic(model, result)


def channels(bits: int, model: str, result: str) -> None:
    """Every operator that it can quantize, the lookup of embeddings too."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    assert bits == 8
    logging.disable(logging.CRITICAL)
    quantize_dynamic(model, result, per_channel=True, weight_type=QuantType.QInt8)


def dynamic(bits: int, model: str, result: str) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    assert bits == 8
    logging.disable(logging.CRITICAL)
    quantize_dynamic(
        model,
        result,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
        extra_options={"DefaultTensorType": 1},
    )


def olive(bits: int, model: str, result: str) -> None:
    import os

    from olive.hardware.accelerator import AcceleratorSpec
    from olive.model import ONNXModelHandler
    from olive.passes.olive_pass import create_pass_from_dict
    from olive.passes.onnx.rtn_quantization import OnnxBlockWiseRtnQuantization

    given = {"bits": bits, "block_size": 128, "is_symmetric": False}
    work = create_pass_from_dict(
        OnnxBlockWiseRtnQuantization, given, disable_search=True, accelerator_spec=AcceleratorSpec("cpu")
    )
    work.run(ONNXModelHandler(model), os.path.dirname(result))  # noqa: PTH120 - nothing of pathlib is needed


tool, width, source, target = sys.argv[1:]
tools = {
    "nbits": nbits,
    "lookups": lookups,
    "defaults": defaults,
    "channels": channels,
    "dynamic": dynamic,
    "olive": olive,
}
tools[tool](int(width), source, target)
