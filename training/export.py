"""From the trained network to the folder that onnxruntime-genai loads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from training import tokenizer as tokens

if TYPE_CHECKING:
    from onnx import ModelProto
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

MODEL_FILES = ("genai_config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json")


def export(network: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write `MODEL_FILES` to `folder`; the same network and tokenizer give the same bytes.

    Follows the model builder of onnxruntime-genai (fp32, CPU), which fuses attention and gives
    the logits of every position.
    """
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint, built = Path(temporary, "checkpoint"), Path(temporary, "built")
        network.save_pretrained(checkpoint)
        context = network.config.max_position_embeddings
        tokens.save(tokenizer, checkpoint, context)
        _run_builder(checkpoint, built, Path(temporary, "cache"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(_single_file(built / "model.onnx", network.config.head_dim))
        (folder / "genai_config.json").write_text((built / "genai_config.json").read_text().rstrip() + "\n")
        tokens.save(tokenizer, folder, context)


def _run_builder(checkpoint: Path, built: Path, cache: Path) -> None:
    module = "onnxruntime_genai.models.builder"
    options = ["-i", str(checkpoint), "-o", str(built), "-c", str(cache), "-p", "fp32", "-e", "cpu"]
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", module, *options], env=environment, check=True, capture_output=True)


def _single_file(path: Path, head_size: int) -> bytes:
    """The model at `path` with its weights inside, and without names of files of this machine."""
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info):
        holder.ClearField("metadata_props")
    _fix_head_size(model, head_size)
    return model.SerializeToString(deterministic=True)


def _fix_head_size(model: ModelProto, head_size: int) -> None:
    """Write the size of a head where the builder left a name, so that the graph alone tells the size of its cache."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == "kv_cache_dim":
                dimension.dim_value = head_size
