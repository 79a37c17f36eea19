"""What the JSON files of a model's folder say: `genai_config.json` is that of onnxruntime-genai."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

CONFIG = "genai_config.json"
TOKENIZER = "tokenizer.json"
DEFAULT_GRAPH = "model.onnx"
_POINTER = b"version https://git-lfs"
LONGEST_CONTEXT = 2**24
"""Tokens; far beyond any model, and small enough for sums of bytes."""


LONGEST_TEXT = 512
"""Tokens of a text that are read at most, by models that take longer ones, too."""

_LENGTHS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
    ("config.json", "max_position_embeddings"),
)
"""Where a limit of an encoder may stand; the smallest holds."""


class Unusable(Exception):
    """The model cannot be used. `code` is the name of a Code, the text a sentence, and `help` what to do if that is
    known."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.help = help


def folder_with(name: str, graph: Path, model: Path) -> Path:
    """Where the file `name` is that goes with a graph inside a recipe: beside it, where an earlier step left one for it
    (heads that went, a folder that was packaged), otherwise in the folder of the model as it came."""
    return graph.parent if (graph.parent / name).is_file() else model


def graph_file(folder: Path) -> str:
    """The name of the ONNX file. Raises Unusable."""
    name = _config(folder)["model"]["decoder"].get("filename", DEFAULT_GRAPH)
    if not isinstance(name, str) or not stays_inside(name):
        raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` names a model file outside its folder.")
    return name


def encoder_graph(folder: Path) -> str:
    """The name of an encoder's graph, for which there is no configuration: its ONNX file, or what became of it."""
    names = (DEFAULT_GRAPH, PurePosixPath(DEFAULT_GRAPH).with_suffix(".ort").name)
    return next((name for name in names if (folder / name).is_file()), DEFAULT_GRAPH)


def context_length(folder: Path) -> int:
    """Tokens that the model was made for. Raises Unusable."""
    length = _config(folder)["model"].get("context_length")
    if not isinstance(length, int) or not 2 <= length <= LONGEST_CONTEXT:
        raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` has no usable `model.context_length`.")
    return length


def cache_sizes(folder: Path, declared: Sequence[Any]) -> tuple[int, int]:
    """Heads and head size of a cache input that is batch × heads × tokens × head size.

    `declared` is the shape in the graph; the model builder leaves parts of it to the configuration.
    Raises Unusable.
    """
    decoder = _config(folder)["model"]["decoder"]
    heads = declared[1] if isinstance(declared[1], int) and declared[1] else decoder.get("num_key_value_heads")
    size = declared[3] if isinstance(declared[3], int) and declared[3] else decoder.get("head_size")
    if not isinstance(heads, int) or not isinstance(size, int):
        raise Unusable(
            "UNSUPPORTED_MODEL", f"Neither the graph nor `{CONFIG}` says the heads and head size of the cache."
        )
    return heads, size


def stays_inside(name: str) -> bool:
    """Whether a relative path keeps to the folder that it starts from."""
    path = PurePosixPath(name)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts


def encoder_lengths(folder: Path) -> list[int]:
    """The limits on tokens that an encoder's files state. Raises Unusable for a file that is no JSON."""
    found = [read_json(folder / name).get(key) for name, key in _LENGTHS if (folder / name).exists()]
    # Tokenizers without a limit say 10 to the power of 30.
    return [value for value in found if isinstance(value, int) and 2 <= value <= LONGEST_CONTEXT]


def text_length(folder: Path) -> int:
    """Tokens that an encoder reads of a text: what it was made for, and LONGEST_TEXT at most."""
    return min([LONGEST_TEXT, *encoder_lengths(folder)])


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the model's folder. Raises Unusable."""
    found = _parsed(path)
    if not isinstance(found, dict):
        raise Unusable("UNSUPPORTED_MODEL", f"`{path.name}` is no JSON object.")
    return found


def read_json_list(path: Path) -> list[dict[str, Any]]:
    """The list of JSON objects in a file of the model's folder. Raises Unusable."""
    found = _parsed(path)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Unusable("UNSUPPORTED_MODEL", f"`{path.name}` is no list of JSON objects.")
    return found


def _parsed(path: Path) -> Any:
    """None for what is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise Unusable("UNSUPPORTED_MODEL", f"The folder has no `{path.name}`.") from None
    except (ValueError, RecursionError):
        return None


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in the place of a large one."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def _config(folder: Path) -> Any:
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        _ = config["model"].get, config["model"]["decoder"].get
        return config
    except (FileNotFoundError, IsADirectoryError):
        raise Unusable("UNSUPPORTED_MODEL", f"The folder has no `{CONFIG}`, which onnxruntime-genai needs.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` is not a configuration of onnxruntime-genai.") from None
