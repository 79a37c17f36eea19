"""Small models as Hugging Face lays them out, with random weights: an encoder and a text generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

VOCABULARY, HIDDEN, LAYERS, HEADS, INNER, LONGEST = 512, 64, 2, 4, 128, 64


def write_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    """The format's own layout: the length of a JSON header, the header, the data."""
    header, data = {}, b""
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read_safetensors(path: Path) -> dict[str, Any]:
    """What `write_safetensors` wrote, as float64."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(data[start:][slice(*facts["data_offsets"])], np.float32)
        .reshape(facts["shape"])
        .astype(float)
        for name, facts in header.items()
    }


def byte_level(folder: Path) -> None:
    """A tokenizer of bytes, with one merge, and `<s>` before every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: id for id, word in enumerate(["<s>", "</s>", *alphabet, "th"])}
    tokenizer = Tokenizer(models.BPE(words, [("t", "h")]))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named | {"chat_template": "{{ messages[0].content }}"}))


def bert(folder: Path) -> Path:
    """An encoder whose tokens' vectors are averaged."""
    draw = _drawing()
    tensors = {
        "embeddings.word_embeddings.weight": draw(VOCABULARY, HIDDEN),
        "embeddings.position_embeddings.weight": draw(LONGEST, HIDDEN),
        "embeddings.token_type_embeddings.weight": draw(2, HIDDEN),
        **_norm("embeddings.LayerNorm"),
        **_dense("pooler.dense", HIDDEN, HIDDEN, draw),
    }
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            tensors |= _dense(f"{start}attention.self.{name}", HIDDEN, HIDDEN, draw)
        tensors |= _dense(f"{start}attention.output.dense", HIDDEN, HIDDEN, draw)
        tensors |= _norm(f"{start}attention.output.LayerNorm")
        tensors |= _dense(f"{start}intermediate.dense", INNER, HIDDEN, draw)
        tensors |= _dense(f"{start}output.dense", HIDDEN, INNER, draw) | _norm(f"{start}output.LayerNorm")
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": LONGEST,
        "type_vocab_size": 2,
        "pad_token_id": 1,
    }
    return _write(folder, config, tensors)


def llama(folder: Path, **changed: Any) -> Path:
    """A text generator with two heads of keys and values for its four of queries."""
    draw = _drawing()
    tensors = {
        "model.embed_tokens.weight": draw(VOCABULARY, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN),
        "lm_head.weight": draw(VOCABULARY, HIDDEN),
    }
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        rows = {"q_proj": HIDDEN, "k_proj": HIDDEN // 2, "v_proj": HIDDEN // 2, "o_proj": HIDDEN}
        tensors |= {f"{start}self_attn.{name}.weight": draw(count, HIDDEN) for name, count in rows.items()}
        tensors |= {f"{start}mlp.{name}.weight": draw(INNER, HIDDEN) for name in ("gate_proj", "up_proj")}
        tensors[f"{start}mlp.down_proj.weight"] = draw(HIDDEN, INNER)
        tensors |= {f"{start}{n}.weight": np.ones(HIDDEN) for n in ("input_layernorm", "post_attention_layernorm")}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "intermediate_size": INNER,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": False,
    }
    return _write(folder, config | changed, tensors)


def _drawing() -> Any:
    numbers = np.random.default_rng(3)
    return lambda *shape: (numbers.standard_normal(shape) / 8).astype(np.float32)


def _dense(name: str, rows: int, columns: int, draw: Any) -> dict[str, Any]:
    return {f"{name}.weight": draw(rows, columns), f"{name}.bias": draw(rows)}


def _norm(name: str) -> dict[str, Any]:
    return {f"{name}.weight": np.ones(HIDDEN), f"{name}.bias": np.zeros(HIDDEN)}


def _write(folder: Path, config: dict[str, Any], tensors: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", tensors)
    byte_level(folder)
    return folder
