"""The network: a Llama-style decoder, small enough to train on a laptop's processor in a quarter of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.tokenizer import BEGIN_ID, END_ID

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaForCausalLM


@dataclass(frozen=True, slots=True)
class Size:
    """Counts of the network; `context` is in tokens."""

    vocabulary: int = 1024
    context: int = 512
    width: int = 192
    layers: int = 5
    heads: int = 6
    key_value_heads: int = 2
    inner: int = 512


def create(size: Size, dropout: float) -> LlamaForCausalLM:
    """A network with fresh weights from torch's current seed.

    Llama has no dropout of its own; the reference is a small text, so the outputs of the
    embedding and of both halves of each layer are dropped with probability `dropout`
    while training.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size.vocabulary,
            max_position_embeddings=size.context,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_value_heads,
            intermediate_size=size.inner,
            tie_word_embeddings=True,
            bos_token_id=BEGIN_ID,
            eos_token_id=END_ID,
            pad_token_id=END_ID,
        )
    )
    network.model.embed_tokens.register_forward_hook(_drop(dropout))
    for layer in network.model.layers:
        layer.self_attn.o_proj.register_forward_hook(_drop(dropout))
        layer.mlp.down_proj.register_forward_hook(_drop(dropout))
    return network


def untie(network: LlamaForCausalLM) -> None:
    """Give the output layer its own copy of the embedding.

    They train better as one matrix; quantizers treat the two uses in different ways.
    """
    import torch

    network.config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(network.model.embed_tokens.weight.detach().clone())


def _drop(probability: float) -> Any:
    from torch.nn import functional

    def hook(module: Any, _: Any, output: Tensor) -> Tensor:
        return functional.dropout(output, probability, module.training)

    return hook
