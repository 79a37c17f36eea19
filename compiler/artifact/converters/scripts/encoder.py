"""A sentence encoder of the transformers library in a form that exporters take: fixed shapes, no branches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .exchange import Refused

_HIDDEN = -1e9
"""Added to the attention score of a padding token."""


def load(folder: Path) -> Encoder:
    """The encoder in a folder as Hugging Face lays it out."""
    from transformers import AutoModel

    body = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    made = Encoder(body, folder)
    made.eval()
    return made


class Encoder(torch.nn.Module):
    """Token ids and mask (1 × tokens) to one vector of length 1 (1 × dimensions), pooled as `1_Pooling` says."""

    def __init__(self, body: Any, folder: Path) -> None:
        super().__init__()
        self.body = body
        self.first_token = _pools_first_token(folder)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """The mask is given to the body in the four dimensions that it would make itself, by branches that exporters
        trip over."""
        mask = attention_mask.to(torch.float32)
        hidden = self.body(input_ids=input_ids, attention_mask=(1.0 - mask)[:, None, None, :] * _HIDDEN)[0]
        return self.pool(hidden, mask)

    def pool(self, hidden: Any, mask: Any) -> Any:
        if self.first_token:
            pooled = hidden[:, 0]
        else:
            pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, p=2.0, dim=1)

    def expected(self, ids: list[int]) -> Any:
        """What the original gives for these tokens: no padding, its own mask."""
        tokens = torch.tensor([ids])
        mask = torch.ones_like(tokens)
        with torch.no_grad():
            return self.pool(self.body(input_ids=tokens, attention_mask=mask)[0], mask.to(torch.float32))[0].numpy()


def tokens(folder: Path, texts: Iterable[str], length: int) -> Iterator[list[int]]:
    """The ids of each text, cut to `length`."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    for text in texts:
        yield tokenizer.encode(text).ids[:length]


def padded(ids: list[int], length: int, pad: int, kind: Any) -> tuple[Any, Any]:
    """Ids and mask as numpy arrays, 1 × `length`; longer texts are cut."""
    ids = ids[:length]
    rest = length - len(ids)
    return np.array([ids + [pad] * rest], kind), np.array([[1] * len(ids) + [0] * rest], kind)


def pad_token(folder: Path) -> int:
    found = json.loads((folder / "config.json").read_bytes()).get("pad_token_id")
    return found if isinstance(found, int) else 0


def _pools_first_token(folder: Path) -> bool:
    """Whether the first token's vector is taken; else the mean of all. Raises Refused for another pooling."""
    try:
        config = json.loads((folder / "1_Pooling" / "config.json").read_bytes())
    except FileNotFoundError:
        return False
    chosen = {name for name, on in config.items() if name.startswith("pooling_mode_") and on is True}
    chosen = chosen or {f"pooling_mode_{config.get('pooling_mode')}"}
    if chosen <= {"pooling_mode_mean_tokens", "pooling_mode_mean"}:
        return False
    if chosen <= {"pooling_mode_cls_token", "pooling_mode_cls"}:
        return True
    raise Refused(f"`1_Pooling/config.json` asks for {', '.join(sorted(chosen))}; mean and first token are known.")
