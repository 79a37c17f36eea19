"""GGUF, the format of llama.cpp: a Llama of Hugging Face's layout → .gguf, by the `gguf` package's writer.

The converter of llama.cpp itself is in no package index. What it does to a Llama is done here with the same package:
the names of tensors, the order of rotary halves, the vocabulary. llama.cpp is not run: every tensor is read back.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

from . import verify, vocabulary
from .exchange import Refused, Tell
from .safetensors_files import Tensor, tensors

_SUFFIXES = (".weight", ".bias")
_Kind = gguf.GGMLQuantizationType
_KINDS = {"fp32": _Kind.F32, "fp16": _Kind.F16, "int8": _Kind.Q8_0, "int4": _Kind.Q4_0}
_FILES = {
    "fp32": gguf.LlamaFileType.ALL_F32,
    "fp16": gguf.LlamaFileType.MOSTLY_F16,
    "int8": gguf.LlamaFileType.MOSTLY_Q8_0,
    "int4": gguf.LlamaFileType.MOSTLY_Q4_0,
}
_ENDS = ("token_embd.weight", "output.weight")
"""With `int4` these get 8 bits: they are what 4 bits hurt most."""


def convert(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the file `target` from the folder `model`; gives a report."""
    folder, target, precision = Path(request["model"]), Path(request["target"]), request["precision"]
    config = _configuration(folder)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    found: dict[str, Tensor] = {}
    for tensor in tensors(folder):
        if config.get("tie_word_embeddings") and tensor.name == "lm_head.weight":
            continue  # llama.cpp takes the embeddings where there is no output
        name = names.get_name(tensor.name, try_suffixes=_SUFFIXES)
        if name is None:
            raise Refused(f"nothing is known of tensor `{tensor.name}` in a Llama.")
        found[name] = tensor
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_file_type(_FILES[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _describe(writer, config)
    vocabulary.add(writer, folder, config["vocab_size"])
    kinds = {name: _kind(name, tensor, precision) for name, tensor in found.items()}
    _write(writer, found, kinds, config, tell)
    return _read_back(target, found, kinds, config, precision)


def _configuration(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_bytes())
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise Refused(f"`config.json` scales rotary positions by `{kind}`, which is not translated.")
    config["rope_theta"] = rope.get("rope_theta", config.get("rope_theta", 10_000.0))
    config["num_key_value_heads"] = config.get("num_key_value_heads") or config["num_attention_heads"]
    config["head_dim"] = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return dict(config)


def _describe(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _kind(name: str, tensor: Tensor, precision: str) -> Any:
    """How a tensor is stored: vectors as float32, rows that blocks of 32 do not fill as float16."""
    if len(tensor.shape) < 2:
        return _Kind.F32
    kind = _Kind.Q8_0 if precision == "int4" and name in _ENDS else _KINDS[precision]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if tensor.shape[-1] % block == 0 else _Kind.F16


def _write(writer: Any, found: dict[str, Tensor], kinds: dict[str, Any], config: dict[str, Any], tell: Tell) -> None:
    """One tensor at a time: the places of all are known before the first is read."""
    for name, tensor in found.items():
        block, size = gguf.GGML_QUANT_SIZES[kinds[name]]
        count = int(np.prod(tensor.shape, dtype=np.int64))
        # Of float32, the writer takes the shape as it is; of bytes, it would take it for one in bytes.
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32), count // block * size, raw_dtype=kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for number, (name, tensor) in enumerate(found.items(), 1):
        writer.write_tensor_data(np.ascontiguousarray(quantize(_values(tensor, config), kinds[name])))
        tell(0.9 * number / len(found))
    writer.close()


def _values(tensor: Tensor, config: dict[str, Any]) -> Any:
    """As llama.cpp has them: Hugging Face keeps the two halves that are rotated apart, llama.cpp interleaved."""
    values = tensor.read()
    heads = 0
    if ".self_attn.q_proj." in tensor.name:
        heads = config["num_attention_heads"]
    elif ".self_attn.k_proj." in tensor.name:
        heads = config["num_key_value_heads"]
    if not heads:
        return values
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _read_back(
    target: Path, found: dict[str, Tensor], kinds: dict[str, Any], config: dict[str, Any], precision: str
) -> dict[str, Any]:
    """Raises Refused when a tensor of the file is not what was to be written."""
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(target).tensors}
    if stored.keys() != found.keys():
        raise Refused(f"the file holds {len(stored)} tensors instead of {len(found)}.")
    worst = 1.0
    for name, tensor in found.items():
        wanted, kept = _values(tensor, config), dequantize(stored[name].data, kinds[name]).reshape(tensor.shape)
        if kinds[name] == _Kind.F32 and not np.array_equal(wanted, kept):
            raise Refused(f"tensor `{name}` of the file is not what was to be written.")
        worst = min(worst, verify.cosine(wanted, kept))
    if not worst >= verify.LEAST[precision]:
        raise Refused(f"the worst tensor of the file has cosine {worst:.4f} with what was to be written.")
    return {
        "runtime": f"none: every tensor was read back with gguf {version('gguf')}; llama.cpp was not run",
        "tensors": len(stored),
        "cosineMin": round(worst, 6),
        "halfPrecision": sum(1 for kind in kinds.values() if kind == _Kind.F16),
    }
