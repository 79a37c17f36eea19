"""The vocabulary of a `tokenizer.json` in a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf

from .exchange import Refused

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def add(writer: Any, folder: Path, size: int) -> None:
    """Add tokens, merges, special tokens and the chat template. Raises Refused for a tokenizer that llama.cpp would
    not understand in the same way."""
    tokenizer = json.loads((folder / "tokenizer.json").read_bytes())
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(tokenizer))
    special = {token["id"]: token for token in tokenizer["added_tokens"]}
    words = {id: word for word, id in tokenizer["model"]["vocab"].items()}
    words |= {id: token["content"] for id, token in special.items()}
    writer.add_token_list([words.get(id, f"[PAD{id}]") for id in range(size)])
    writer.add_token_types([_type(id, words, special) for id in range(size)])
    gguf.SpecialVocab(folder, load_merges=True, n_vocab=size).add_to_gguf(writer, quiet=True)


def _type(id: int, words: dict[int, str], special: dict[int, Any]) -> int:
    if id not in words:
        return int(gguf.TokenType.UNUSED)
    if id not in special:
        return int(gguf.TokenType.NORMAL)
    return int(gguf.TokenType.CONTROL if special[id]["special"] else gguf.TokenType.USER_DEFINED)


def _splitting(tokenizer: Any) -> str:
    """llama.cpp's name for the way in which text is split before it is merged."""
    splitting = tokenizer.get("pre_tokenizer") or {}
    plain = tokenizer["model"].get("type") == "BPE" and not tokenizer.get("normalizer")
    parts = splitting.get("pretokenizers", [splitting])
    *before, last = parts
    if plain and last.get("type") == "ByteLevel" and not last.get("add_prefix_space"):
        patterns = [part.get("pattern", {}).get("Regex") for part in before]
        if not before and last.get("use_regex", True):
            return "gpt-2"
        if patterns == [_LLAMA_3] and not last.get("use_regex", True):
            return "llama-bpe"
    raise Refused("`tokenizer.json` is no byte-level BPE that splits text as GPT-2 or Llama 3 do.")
