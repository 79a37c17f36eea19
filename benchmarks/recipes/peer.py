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
{"nbits": nbits, "dynamic": dynamic, "olive": olive}[tool](int(width), source, target)
