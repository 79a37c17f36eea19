"""A folder as Hugging Face lays it out, for which there is no graph yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compiler.artifact.configuration import LONGEST_CONTEXT, Unusable
from compiler.artifact.model.checkpoint import CONFIG, ITEM_BYTES, WEIGHTS, Checkpoint


def inspect(folder: Path, task: str, from_checkpoint: bool) -> dict[str, Any]:
    """What has to become of it: `{"export": model type}`, or the facts of a text generator whose recipe begins with a
    step that reads such folders. Or all its `problems`, as Unusable. Raises Unusable.
    """
    checkpoint = Checkpoint(folder)
    kind = checkpoint.config.get("model_type")
    if task == "text-generation":
        if not from_checkpoint:
            message = (
                f"The folder has weights of a model of type `{kind}` and no `genai_config.json`. "
                "The recipe has to begin with `{kind: package, format: genai}`."
            )
            raise Unusable("UNSUPPORTED_MODEL", message)
        return {"model": WEIGHTS, "data": checkpoint.files, "shape": _shape(checkpoint)}
    from compiler.artifact.model.architectures.table import ARCHITECTURES

    architecture = ARCHITECTURES.get(str(kind))
    if architecture is None or task not in architecture.TASKS:
        known = ", ".join(name for name, module in ARCHITECTURES.items() if task in module.TASKS)
        message = f"`{CONFIG}` says that the model's type is `{kind}`; those with {task} are: {known}."
        raise Unusable("UNSUPPORTED_MODEL", message)
    problems = list(architecture.problems(checkpoint, task))
    return {"problems": problems} if problems else {"export": kind}


def _shape(checkpoint: Checkpoint) -> dict[str, int]:
    """Of a decoder. Its cache is taken to hold float32."""
    heads = checkpoint.number("num_attention_heads")
    groups = checkpoint.number("num_key_value_heads", heads)
    size = checkpoint.number("head_dim", checkpoint.number("hidden_size") // heads)
    context = checkpoint.number("max_position_embeddings")
    if not 2 <= context <= LONGEST_CONTEXT:
        raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` has no usable `max_position_embeddings`.")
    stored = checkpoint.tensors.values()
    return {
        "parameters": sum(tensor.elements for tensor in stored),
        "weight_bytes": sum(tensor.elements * ITEM_BYTES[tensor.dtype] for tensor in stored),
        "kv_bytes_per_token": checkpoint.number("num_hidden_layers") * 2 * groups * size * 4,
        "context_length": context,
    }
