"""The model builder of onnxruntime-genai: a decoder of Hugging Face's layout → ONNX with fused attention."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import verify
from .exchange import Tell

_LAST = 64
"""Tokens of a text that are compared: what differs, differs early."""


def convert(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the folder `target` from the folder `model`; gives a report."""
    folder, target, precision = Path(request["model"]), Path(request["target"]), request["precision"]
    _build(folder, target, Path(request["scratch"]) / "cache", precision, request["block_size"])
    tell(0.8)
    expected, found = _logits(folder, target)
    return verify.compare(expected, found, precision, f"onnxruntime-genai {version('onnxruntime-genai')}")


def _build(folder: Path, target: Path, cache: Path, precision: str, block_size: int) -> None:
    """The builder takes any option in silence: these are the names that it reads."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    given = {"hf_token": "false"}
    if precision == "int4":
        given |= {"algo_config": "rtn", "block_size": str(block_size)}
    place = ("", str(folder), str(target), precision, "cpu", str(cache))
    options = parse_extra_options(*place, [f"{name}={value}" for name, value in given.items()])
    create_model(*place, **options)
    _forget_shapes(target / "model.onnx")


def _forget_shapes(path: Path) -> None:
    """Leave out the builder's shapes of inner values. Those of repeated keys and values (fp16, grouped heads) have the
    length of the input in the place of the cache's; onnxruntime, which plans buffers by them, fails at token two.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    onnx.save(model, path)


def _logits(folder: Path, target: Path) -> tuple[list[Any], list[Any]]:
    """Of the last token of each text, by transformers from the source and by onnxruntime-genai from what was built."""
    import onnxruntime_genai
    import torch
    from transformers import AutoModelForCausalLM

    original = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    model = onnxruntime_genai.Model(str(target))
    tokenizer = onnxruntime_genai.Tokenizer(model)
    expected, found = [], []
    for text in verify.TEXTS:
        ids = tokenizer.encode(text)[:_LAST]
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(max_length=len(ids) + 1)
        generator = onnxruntime_genai.Generator(model, parameters)
        if len(ids) > 1:
            generator.append_tokens(ids[:-1])
        generator.append_tokens(ids[-1:])  # reads the KV cache, as every token that is generated does
        found.append(generator.get_logits()[0, -1].copy())
        with torch.no_grad():
            expected.append(original(input_ids=torch.tensor([ids.tolist()])).logits[0, -1].numpy())
    return expected, found
